"""The released library runs unchanged on our telemetry: what it says, prints and ends with.

Each program runs twice on the same machine, first on the release as it is, then on the copy with
our `telemetry`; the release's behaviour is the expectation, the contract says where ours differs.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from dropin_library import OURS, PROGRAM, RELEASE, Done, Library, Machine, Twins, command

from getpatter.telemetry import notice

pytest_plugins = ("dropin_fixtures",)

# New in each run, or measured in it.
RANDOM = frozenset({"run_id", "install_id", "call_uid", "duration_seconds", "latency_ms"})
PIPELINE = "stt=getpatter.DeepgramSTT(api_key='k'), tts=getpatter.ElevenLabsTTS(api_key='k')"
REALTIME = "engine=OpenAIRealtime(api_key='k')"
START = ["first_run", "sdk_initialized"]


def told(done: Done) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in event.items() if name not in RANDOM}
        for event in done.events
    ]


def agree(theirs: Done, ours: Done) -> None:
    """What a user sees must be the same, but for the notice."""
    assert (ours.status, ours.stdout) == (theirs.status, theirs.stdout)
    assert ours.stderr_but_notice == theirs.stderr_but_notice


def both(twins: Twins, code: str) -> tuple[Done, Done]:
    """Run a program on both; they must agree, and every event of ours must be valid."""
    theirs, ours = twins.run(PROGRAM + code)
    agree(theirs, ours)
    assert twins.refused == []
    assert twins.machine.receiver.losses == {}
    assert all(request.status == 200 for request in ours.requests)
    return theirs, ours


def sources(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def test_what_runs_is_the_release_and_the_release_with_our_folder(twins: Twins) -> None:
    """Else all the rest would compare something with itself."""
    code = (
        "import getpatter.telemetry, importlib.metadata, os\n"
        "print(importlib.metadata.version('getpatter'), getpatter.telemetry.SCHEMA_VERSION)\n"
        "print(os.path.dirname(getpatter.telemetry.__file__))"
    )
    folders = []
    for done in twins.run(code):
        said, folder = done.stdout.splitlines()
        assert said == f"{RELEASE} 8"
        folders.append(Path(folder))
    theirs, ours = folders
    assert theirs != ours
    assert sources(ours) == sources(OURS)
    assert not (theirs / "route.py").exists()


# agents

STACKS = {
    "realtime": (REALTIME, {"engine": "realtime", "provider": "openai", "llm_provider": "openai"}),
    "realtime 2": (
        "engine=OpenAIRealtime2(api_key='k')",
        {"engine": "realtime", "llm_model": "openai-gpt-realtime-2"},
    ),
    "realtime, a public model": (
        "engine=OpenAIRealtime(api_key='k', model='gpt-4o-mini-realtime-preview')",
        {"llm_model": "openai-gpt-4o-mini-realtime-preview"},
    ),
    "convai": (
        "engine=ElevenLabsConvAI(api_key='k', agent_id='a')",
        {"engine": "convai", "provider": "elevenlabs"},
    ),
    "pipeline": (
        PIPELINE,
        {
            "engine": "pipeline",
            "stt_provider": "deepgram",
            "stt_model": "deepgram-nova-3",
            "tts_provider": "elevenlabs",
            "tts_model": "elevenlabs-eleven-flash-v2-5",
        },
    ),
    "pipeline with a model": (
        f"{PIPELINE}, llm=getpatter.OpenAILLM(api_key='k')",
        {"llm_provider": "openai", "llm_model": "openai-gpt-4o-mini"},
    ),
    "pipeline at groq": (
        f"{PIPELINE}, llm=getpatter.GroqLLM(api_key='k')",
        {"llm_provider": "groq", "llm_model": "groq-llama-3.3-70b-versatile"},
    ),
    "pipeline by namespaces": (
        "stt=cartesia.STT(api_key='k'), tts=rime.TTS(api_key='k')",
        {"stt_provider": "cartesia", "tts_provider": "rime", "tts_model": "rime-arcana"},
    ),
    "pipeline of openai": (
        "stt=getpatter.OpenAITranscribeSTT(api_key='k'), tts=getpatter.OpenAITTS(api_key='k')",
        {"stt_provider": "openai", "stt_model": "openai-gpt-4o-transcribe"},
    ),
    "pipeline, others": (
        "stt=getpatter.SonioxSTT(api_key='k'), tts=getpatter.LMNTTTS(api_key='k')",
        {"stt_provider": "soniox", "tts_provider": "lmnt"},
    ),
    "whisper": (
        "stt=getpatter.WhisperSTT(api_key='k'), tts=getpatter.CartesiaTTS(api_key='k')",
        {"stt_provider": "whisper", "stt_model": "whisper-whisper-1"},
    ),
}


@pytest.mark.parametrize(("options", "expected"), STACKS.values(), ids=STACKS)
def test_each_stack_says_what_the_release_says(
    twins: Twins, options: str, expected: dict[str, str]
) -> None:
    code = f"agent = patter().agent(system_prompt='x', {options}); print(type(agent).__name__)"
    theirs, ours = both(twins, code)
    assert ours.stdout == "Agent\n"
    assert ours.names == [*START, "feature_used", "agent_configured"]
    assert expected.items() <= ours.events[2].items()
    assert told(ours) == told(theirs)


CUSTOMERS = {
    "model": ("engine=OpenAIRealtime(api_key='k', model='acme-agent-7')", "llm_model", "openai"),
    "date": (
        f"{PIPELINE}, llm=getpatter.OpenAILLM(api_key='k', model='gpt-acme-20250101')",
        "llm_model",
        "openai",
    ),
    "vendor": (
        f"{PIPELINE}, llm=getpatter.CustomLLM(base_url='http://127.0.0.1:9', model='acme')",
        "llm_model",
        "other",
    ),
}


@pytest.mark.parametrize(("options", "dimension", "vendor"), CUSTOMERS.values(), ids=CUSTOMERS)
def test_what_a_customer_calls_a_model_leaves_the_release_but_not_ours(
    twins: Twins,
    options: str,
    dimension: str,
    vendor: str,
) -> None:
    """The one difference in what is said, and the contract's: only public names are expressible."""
    code = f"patter().agent(system_prompt='x', {options})"
    theirs, ours = both(twins, code)
    assert "acme" in str(told(theirs)), "the release says it"
    assert "acme" not in str(ours.events)
    assert ours.events[2][dimension] == f"{vendor}-other"
    for event in (told(theirs)[2], told(ours)[2]):
        event.pop(dimension)
    assert [e | {dimension: None} for e in told(ours)] == [
        e | {dimension: None} for e in told(theirs)
    ]


TOOLS = """
@getpatter.tool
async def look(date: str) -> dict:
    '''Look.'''
    return {{}}
phone = patter()
engine = OpenAIRealtime(api_key='k')
for number in {numbers}:
    phone.agent(system_prompt=str(number), engine=engine, tools=[look] * number)
"""


def test_tools_are_counted_and_a_shape_is_told_once(twins: Twins) -> None:
    code = TOOLS.format(numbers=[0, 1, 0, 2, 3, 13, 1])
    theirs, ours = both(twins, code)
    shapes = [event for event in ours.events if event["event"] == "agent_configured"]
    buckets = [shape["custom_tool_count_bucket"] for shape in shapes]
    assert buckets == ["0", "1", "2_3", "13_plus"]
    assert ours.names.count("feature_used") == 1
    assert told(ours) == told(theirs)


def test_the_first_run_is_told_once(machine: Machine, dropin: Library) -> None:
    code = PROGRAM + "patter(); patter()"
    first, second = machine.run(dropin, code), machine.run(dropin, code)
    assert sorted(first.names) == [*START, "sdk_initialized"]
    assert second.names == ["sdk_initialized", "sdk_initialized"]
    assert first.stderr == notice.TEXT
    assert second.stderr == ""
    assert len({event["install_id"] for event in first.events + second.events}) == 1
    assert len({event["run_id"] for event in first.events + second.events}) == 2
    assert machine.receiver.refused == []


# what is not configured

INITIALIZED = ["sdk_initialized"]
AGENT = ["feature_used", "agent_configured"]
FAILURES = {
    # What fails before there is a Patter says nothing, as in the release.
    "carrier without credentials": ("Twilio()", [], None),
    "engine without key": ("OpenAIRealtime()", [], None),
    "speech without key": ("getpatter.DeepgramSTT()", [], None),
    "no carrier object": ("patter(carrier='twilio')", [], None),
    "no phone number": ("Patter(carrier=twilio())", [], "carrier_credentials"),
    "no engine key": ("patter().agent(system_prompt='x')", [*START, *AGENT], "llm_key"),
    "no speech recognition": (
        "patter().agent(system_prompt='x', provider='pipeline')",
        [*START, *AGENT],
        "engine_config",
    ),
    "no engine object": (
        "patter().agent(system_prompt='x', engine='openai')",
        [*START, *AGENT],
        None,
    ),
    "no tool object": (
        f"patter().agent(system_prompt='x', {REALTIME}, tools=['look'])",
        [*START, *AGENT],
        None,
    ),
    "no agent to serve": ("asyncio.run(patter().serve(None))", START, None),
    "no agent to call with": ("asyncio.run(patter().call('+15550001235'))", START, None),
    "no webhook": (
        f"asyncio.run((p := patter(webhook_url='')).serve(p.agent(system_prompt='x', {REALTIME})))",
        [*START, *AGENT],
        None,
    ),
}


@pytest.mark.parametrize(("what", "before", "missing"), FAILURES.values(), ids=FAILURES)
def test_a_failing_configuration_fails_as_in_the_release(
    twins: Twins,
    what: str,
    before: list[str],
    missing: str | None,
) -> None:
    theirs, ours = both(twins, f"attempt(lambda: {what})")
    kind = ours.stdout.split()[1]
    assert kind.endswith("Error"), ours.stdout
    assert ours.names == before + (["config_incomplete"] if missing else [])
    if missing:
        assert ours.events[-1]["missing"] == missing
    assert told(ours) == told(theirs)


def test_an_error_that_nobody_catches_is_told_before_the_program_ends(twins: Twins) -> None:
    code = PROGRAM + "patter().agent(system_prompt='x')"
    theirs, ours = twins.run(code)
    assert ours.status == theirs.status == 1
    assert ours.stderr_but_notice == theirs.stderr_but_notice
    assert "\nValueError: " in ours.stderr
    assert ours.names[-1] == "config_incomplete"


def test_the_first_missing_thing_is_told_once_per_host_object(twins: Twins) -> None:
    code = "phone = patter()\n" + 2 * (
        "attempt(lambda: phone.agent(system_prompt='x'))\n"
        "attempt(lambda: phone.agent(system_prompt='x', provider='pipeline'))\n"
    )
    theirs, ours = both(twins, code)
    told_missing = [e["missing"] for e in ours.events if e["event"] == "config_incomplete"]
    assert told_missing == ["llm_key"]
    assert told(ours) == told(theirs)


# the command line

COMMANDS = {
    # The release calls a missing subcommand one.
    "": ["none"],
    "--help": [],
    "nonsense": [],
    "eval --help": [],
    "dashboard --help": [],
    "init --nonsense": [],
    "telemetry --help": [],
    "telemetry nonsense": [],
    "telemetry": [],
    "telemetry status": [],
    "telemetry disable": [],
    "telemetry enable": [],
    "eval": ["eval"],
}


@pytest.mark.parametrize(("arguments", "said"), COMMANDS.items(), ids=COMMANDS)
def test_a_command_answers_as_in_the_release(twins: Twins, arguments: str, said: list[str]) -> None:
    theirs, ours = twins.run(command(arguments))
    agree(theirs, ours)
    assert [event["cli_command"] for event in ours.events] == said
    assert told(ours) == told(theirs)
    assert twins.refused == []


def test_a_command_that_fails_later_is_told_all_the_same(twins: Twins) -> None:
    theirs, ours = twins.run(command("eval run missing.yaml"))
    assert ours.status == theirs.status == 1
    assert "FileNotFoundError" in ours.stderr
    assert told(ours) == told(theirs)
    assert "missing.yaml" not in str(ours.events)


def test_opting_out_and_in_again_by_the_command(twins: Twins) -> None:
    steps = ("status", "disable", "status", "", "enable", "status")
    theirs = [twins.machine.run(twins.released, command(f"telemetry {step}")) for step in steps]
    twins.machine.anew()
    ours = [twins.machine.run(twins.dropin, command(f"telemetry {step}")) for step in steps]
    for before, now in zip(theirs, ours, strict=True):
        agree(before, now)
    assert "DISABLED" in ours[2].stdout
    assert "ENABLED" in ours[5].stdout
    assert twins.machine.receiver.requests == []


@pytest.mark.parametrize("name", ["DO_NOT_TRACK", "PATTER_TELEMETRY_DISABLED", "CI"])
def test_status_knows_the_reason_in_the_environment(twins: Twins, name: str) -> None:
    theirs, ours = twins.run(command("telemetry status"), **{name: "1"})
    agree(theirs, ours)
    assert "DISABLED" in ours.stdout


# off

OFF: dict[str, tuple[dict[str, str], str]] = {
    "DO_NOT_TRACK": ({"DO_NOT_TRACK": "1"}, ""),
    "PATTER_TELEMETRY": ({"PATTER_TELEMETRY": "off"}, ""),
    "PATTER_TELEMETRY_DISABLED": ({"PATTER_TELEMETRY_DISABLED": "true"}, ""),
    "CI": ({"CI": "true"}, ""),
    "test run": ({"PYTEST_CURRENT_TEST": "x"}, ""),
    "flag": ({}, "telemetry=False"),
}


@pytest.mark.parametrize(("variables", "option"), OFF.values(), ids=OFF)
def test_who_is_off_is_silent(
    machine: Machine, dropin: Library, variables: dict[str, str], option: str
) -> None:
    before = tree(machine.home)
    done = machine.run(
        dropin,
        f"{PROGRAM}phone = patter({option})\nphone.agent(system_prompt='x', {REALTIME})\n"
        "attempt(lambda: phone.agent(system_prompt='x'))",
        **variables,
    )
    assert done.status == 0
    assert done.stderr == ""
    assert done.requests == []
    assert tree(machine.home) == before


def test_debug_prints_and_neither_sends_nor_stores(machine: Machine, dropin: Library) -> None:
    done = machine.run(dropin, PROGRAM + "patter()", PATTER_TELEMETRY_DEBUG="1")
    assert done.requests == []
    assert done.stdout == ""
    assert '"event":"sdk_initialized"' in done.stderr
    assert tree(machine.home) == {}


# a call

CALL = Path(__file__).with_name("call.py").read_text(encoding="utf-8")
TALKING = """
from getpatter.providers.base import STTProvider, Transcript, TTSProvider

class STT(STTProvider):
    provider_key = "deepgram"
    model = "nova-3"
    def __init__(self): self.heard = asyncio.Queue()
    async def connect(self): pass
    async def send_audio(self, audio):
        self.heard.put_nowait(Transcript("hello", is_final=True, confidence=1.0, speech_final=True))
    async def receive_transcripts(self):
        while True:
            yield await self.heard.get()
    async def close(self): pass

class TTS(TTSProvider):
    provider_key = "elevenlabs"
    model = "eleven_flash_v2_5"
    async def synthesize(self, text):
        yield bytes(6400)
    async def close(self): pass

class LLM:
    provider_key = "openai"
    model = "gpt-4o-mini"
    async def stream(self, messages, tools=None, **_):
        yield {"type": "text", "content": "Good morning to you. "}
        yield {"type": "done"}
"""
CALLS = {
    "pipeline": (
        f"{TALKING}\nagent = phone.agent('x', stt=STT(), tts=TTS(), llm=LLM())",
        True,
        {"engine": "pipeline", "provider": "openai", "outcome": "completed"},
    ),
    "realtime, nobody reached": (
        f"agent = phone.agent(system_prompt='x', {REALTIME})",
        False,
        {
            "engine": "realtime",
            "provider": "openai",
            "outcome": "error",
            "error_code": "connection",
            "disconnect_reason": "error",
        },
    ),
}


def call_program(agent: str, *, talk: bool) -> str:
    return (
        f"{PROGRAM}\n{CALL}\nphone = patter()\n{agent}\n"
        f"asyncio.run(hold_call(phone, agent, talk={talk}))"
    )


@pytest.mark.parametrize(("agent", "talk", "expected"), CALLS.values(), ids=CALLS)
def test_a_call_through_the_library_s_own_server(
    twins: Twins,
    agent: str,
    talk: bool,
    expected: dict[str, str],
) -> None:
    code = call_program(agent, talk=talk)
    theirs, ours = twins.run(code)
    # It also logs ports and process ids, so that only its standard output is compared.
    assert (ours.status, spoken_of(ours)) == (theirs.status, spoken_of(theirs)), ours.stderr
    assert ours.names == theirs.names == [*START, *AGENT, "call_started", "call_completed"]
    assert twins.refused == []
    started, completed = ours.events[-2:]
    assert started["call_uid"] == completed["call_uid"]
    assert started["direction"] == "inbound"
    assert started["carrier"] == completed["carrier"] == "twilio"
    assert expected.items() <= completed.items()
    assert "5550009999" not in str(ours.events)
    assert "CA" + "1" * 32 not in str(ours.events)


def spoken_of(done: Done) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith(("started", "ended"))]


STATUS = (Path(__file__).parent / "status.py").read_text(encoding="utf-8")
# Status of the carrier's → how the library says that the call ended.
STATUSES = {
    "failed": ("failed", "carrier", "error"),
    "no-answer": ("no_answer", "none", "no_answer"),
    "busy": ("busy", "none", "busy"),
}


def test_what_the_carrier_says_of_calls_that_never_began(twins: Twins) -> None:
    agent = f"agent = phone.agent(system_prompt='x', {REALTIME})"
    code = (
        f"{PROGRAM}\n{STATUS}\nphone = patter()\n{agent}\n"
        f"asyncio.run(say_statuses(phone, agent, {[*STATUSES]}))"
    )
    theirs, ours = twins.run(code)
    assert (ours.status, ours.names) == (theirs.status, theirs.names), ours.stderr
    ended = [event for event in ours.events if event["event"] == "call_completed"]
    told = [(one["outcome"], one["error_layer"], one["disconnect_reason"]) for one in ended]
    assert told == list(STATUSES.values())
    assert {event["carrier"] for event in ended} == {"twilio"}
    released = [event for event in theirs.events if event["event"] == "call_completed"]
    assert [event["outcome"] for event in released] == [event["outcome"] for event in ended]
    assert twins.refused == []


# what it uses

USED = {
    "telemetry.TelemetryClient",
    "telemetry.call_metrics.record_call_completed",
    "telemetry.call_metrics.record_call_started",
    "telemetry.client.DEFAULT_ENDPOINT",
    "telemetry.consent.is_enabled",
    "telemetry.environment.cloud",
    "telemetry.environment.in_container",
    "telemetry.environment.invoked_by_agent",
    "telemetry.environment.package_manager",
    "telemetry.environment.serverless",
    "telemetry.install_id.days_since_install_bucket",
    "telemetry.install_id.is_first_run",
    "telemetry.install_id.is_opted_out",
    "telemetry.install_id.previous_version",
    "telemetry.install_id.set_opt_out",
    "telemetry.stack.model_token",
    "telemetry.stack.stack_dimensions",
}


def test_every_name_it_takes_exists_and_every_call_fits(machine: Machine, dropin: Library) -> None:
    """The host may swallow an AttributeError or a TypeError, so nothing else would show it."""
    programs = [
        PROGRAM + f"patter().agent(system_prompt='x', {REALTIME})",
        PROGRAM + f"patter().agent(system_prompt='x', {PIPELINE})",
        PROGRAM + "".join(f"attempt(lambda: {what})\n" for what, _, _ in FAILURES.values()),
        *(call_program(agent, talk=talk) for agent, talk, _ in CALLS.values()),
        *map(command, COMMANDS),
    ]
    found: dict[str, set[str]] = {}
    for program in programs:
        for what, names in machine.trace(dropin, program).items():
            found.setdefault(what, set()).update(names)
    assert found["missing"] == set()
    assert found["failures"] == set()
    assert found["names"] == USED
    assert {call.partition("(")[0] for call in found["calls"]} >= {
        "telemetry.TelemetryClient.__init__",
        "telemetry.TelemetryClient.record",
        "telemetry.TelemetryClient.flush_pending",
        "telemetry.call_metrics.record_call_completed",
        "telemetry.call_metrics.record_call_started",
        "telemetry.install_id.set_opt_out",
    }


def test_the_tracer_sees_a_name_that_is_not_there_and_a_call_that_does_not_fit(
    machine: Machine, dropin: Library, tmp_path: Path
) -> None:
    """The test above could else not fail."""
    broken = tmp_path / "broken"
    (broken / "getpatter").mkdir(parents=True)
    for entry in (dropin.root / "getpatter").iterdir():
        if entry.name != "telemetry":
            (broken / "getpatter" / entry.name).symlink_to(entry)
    ours = broken / "getpatter" / "telemetry"
    shutil.copytree(OURS, ours, ignore=shutil.ignore_patterns("__pycache__"))
    asks = (ours / "install_id.py").read_text(encoding="utf-8")
    assert "def is_first_run() ->" in asks
    asks = asks.replace("def is_first_run() ->", "def is_first_run(needed: int) ->")
    (ours / "install_id.py").write_text(asks, encoding="utf-8")
    with (ours / "stack.py").open("a", encoding="utf-8") as stack:
        stack.write("\ndel stack_dimensions\n")
    library = Library(dropin.python, broken, dropin.inside)
    found = machine.trace(library, PROGRAM + f"patter().agent(system_prompt='x', {REALTIME})")
    assert "telemetry.stack.stack_dimensions" in found["missing"]
    assert any(
        failure.startswith("telemetry.install_id.is_first_run: ") for failure in found["failures"]
    )
