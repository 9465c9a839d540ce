"""The host object: what it says when it starts, when it cannot, and for each distinct agent."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from getpatter.telemetry.testing import Receiver

TWILIO = {
    "TWILIO_ACCOUNT_SID": "AC-canary",
    "TWILIO_AUTH_TOKEN": "canary-token",
    "PATTER_PHONE_NUMBER": "+15550100",
}


@pytest.fixture
def run(run_loaded: Run) -> Run:
    return run_loaded


def names(receiver: Receiver) -> list[str]:
    return [event["event"] for event in receiver.events]


def named(receiver: Receiver, name: str) -> list[dict[str, Any]]:
    return [event for event in receiver.events if event["event"] == name]


# start


def test_the_first_start_says_first_run_then_sdk_initialized(run: Run, receiver: Receiver) -> None:
    code = "from getpatter import Patter\nPatter(carrier='none')"
    assert run(code).returncode == 0
    assert names(receiver) == ["first_run", "sdk_initialized"]
    first, initialized = receiver.events
    assert first["carrier"] == "none"
    assert first["tunnel"] == "none"
    assert first["days_since_install_bucket"] == "0"
    assert {**first, "event": "sdk_initialized"} == initialized
    assert run(code).returncode == 0
    assert names(receiver) == ["first_run", "sdk_initialized", "sdk_initialized"]
    assert receiver.events[2]["install_id"] == first["install_id"]
    assert receiver.events[2]["run_id"] != first["run_id"]


def test_each_host_object_says_that_it_started(run: Run, receiver: Receiver) -> None:
    code = "from getpatter import Patter\nkept = [Patter(carrier='none') for _ in range(3)]"
    assert run(code).returncode == 0
    assert sorted(names(receiver)) == ["first_run"] + ["sdk_initialized"] * 3
    assert len({event["run_id"] for event in receiver.events}) == 1


@pytest.mark.parametrize(
    ("tunnel", "said"),
    [
        ("None", "none"),
        ("False", "none"),
        ("'https://canary.example'", "static"),
        ("True", "configured"),
    ],
)
def test_a_tunnel_is_a_kind_and_no_address(
    run: Run, receiver: Receiver, tunnel: str, said: str
) -> None:
    assert (
        run(f"from getpatter import Patter\nPatter(carrier='none', tunnel={tunnel})").returncode
        == 0
    )
    assert named(receiver, "sdk_initialized")[0]["tunnel"] == said


def test_an_upgrade_says_the_previous_version(run: Run, receiver: Receiver, home: Path) -> None:
    place = home / ".getpatter"
    place.mkdir(mode=0o700)
    (place / "version").write_text("0.7.3")
    (place / "install-id").write_text("a" * 32)
    (place / "first-run").touch()
    code = "from getpatter import Patter\nPatter(carrier='none')"
    run(code)
    run(code)
    first, second = receiver.events
    assert names(receiver) == ["sdk_initialized"] * 2
    assert first["previous_sdk_version"] == "0.7.3"
    assert first["install_id"] == "a" * 32
    assert "previous_sdk_version" not in second


# credentials

HOST = "from getpatter import Patter\npatter = Patter(carrier='twilio')\nprint(patter.config)"


def test_credentials_from_arguments(run: Run, receiver: Receiver) -> None:
    credentials = {name: value for name, value in TWILIO.items() if name.startswith("TWILIO")}
    arguments = f"carrier='twilio', phone_number='+15550100', credentials={credentials!r}"
    done = run(f"from getpatter import Patter\nprint(Patter({arguments}).config)")
    assert done.returncode == 0
    assert "canary" not in done.stdout
    assert named(receiver, "sdk_initialized")[0]["carrier"] == "twilio"


def test_credentials_from_the_environment(run: Run, receiver: Receiver) -> None:
    done = run(HOST, **TWILIO)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout
    assert names(receiver) == ["first_run", "sdk_initialized"]


def test_credentials_from_an_env_file(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in TWILIO.items()]
    (tmp_path / "work" / ".env").write_text("\n".join(lines))
    done = run(HOST)
    assert done.returncode == 0, done.stderr
    assert names(receiver) == ["first_run", "sdk_initialized"]


def test_arguments_win_over_the_environment_which_wins_over_the_file(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "work" / ".env").write_text("PATTER_PHONE_NUMBER=3\nPATTER_CARRIER=telnyx\n")
    code = "from getpatter import Patter\nprint(Patter(**{}).config.phone_number)"
    plain = {**TWILIO, "PATTER_CARRIER": "twilio"}
    assert run(code, **{**plain, "PATTER_PHONE_NUMBER": "2"}).stdout == "2\n"
    argument = code.replace("**{}", "phone_number='1'")
    assert run(argument, **{**plain, "PATTER_PHONE_NUMBER": "2"}).stdout == "1\n"
    del plain["PATTER_PHONE_NUMBER"]
    assert run(code, **plain).stdout == "3\n"


# what is missing

SHOW = """
import json, sys
from getpatter import ConfigurationError, Patter
try:
    {statement}
except ConfigurationError as error:
    print(json.dumps([type(error).__name__, str(error), error.category]))
else:
    sys.exit("no error")
"""
BLOCKERS: dict[str, tuple[str, dict[str, str], str]] = {
    "no carrier": ("Patter()", {}, "carrier_credentials"),
    "no credentials": ("Patter(carrier='twilio')", {}, "carrier_credentials"),
    "half the credentials": (
        "Patter(carrier='twilio', credentials={'TWILIO_AUTH_TOKEN': 'canary'})",
        {},
        "carrier_credentials",
    ),
    "credentials of another": ("Patter(carrier='telnyx')", TWILIO, "carrier_credentials"),
    "unknown carrier": ("Patter(carrier='canary')", {}, "other"),
    "no phone number": (
        "Patter(carrier='twilio')",
        {name: value for name, value in TWILIO.items() if name.startswith("TWILIO")},
        "other",
    ),
    "unknown engine": ("Patter(carrier='none', engine='canary')", {}, "engine_config"),
    "engine without its agent": (
        "Patter(carrier='none', engine='convai')",
        {"ELEVENLABS_API_KEY": "canary"},
        "engine_config",
    ),
    "engine without its key": ("Patter(carrier='none', engine='realtime')", {}, "llm_key"),
    "llm without its key": (
        "Patter(carrier='none', engine='pipeline', llm='anthropic')",
        {"OPENAI_API_KEY": "canary"},
        "llm_key",
    ),
    "agent without its key": (
        "Patter(carrier='none').agent(engine='realtime')",
        {},
        "llm_key",
    ),
    "agent of an unknown engine": (
        "Patter(carrier='none').agent(engine='canary')",
        {},
        "engine_config",
    ),
    "agent whose llm has no key": (
        "Patter(carrier='none').agent(llm='groq/llama-3.3-70b-versatile')",
        {},
        "llm_key",
    ),
}


@pytest.mark.parametrize("blocker", BLOCKERS)
def test_what_is_missing_is_said_immediately_before_the_unchanged_error(
    run: Run, receiver: Receiver, blocker: str
) -> None:
    statement, variables, category = BLOCKERS[blocker]
    code = SHOW.replace("{statement}", statement)
    done = run(code, **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[2] == category
    (event,) = named(receiver, "config_incomplete")
    assert event["missing"] == category
    assert receiver.events[-1] == event
    assert "canary" not in json.dumps(receiver.events)
    if "agent" not in statement:
        assert names(receiver) == ["config_incomplete"]

    arrived = len(receiver.events)
    silent = run(code, DO_NOT_TRACK="1", **variables)
    assert silent.stdout == done.stdout
    assert len(receiver.events) == arrived


def test_an_error_that_nobody_catches_ends_the_program_as_it_would_without_telemetry(
    run: Run, receiver: Receiver
) -> None:
    code = "from getpatter import Patter\nPatter(carrier='twilio')"
    done, silent = run(code), run(code, DO_NOT_TRACK="1")
    assert done.returncode == silent.returncode == 1
    assert silent.stderr.splitlines()[-1].startswith("getpatter.errors.ConfigurationError: carrier")
    assert set(silent.stderr.splitlines()) <= set(done.stderr.splitlines())
    assert names(receiver) == ["config_incomplete"]


def test_what_is_missing_is_said_once_for_each_host_object(run: Run, receiver: Receiver) -> None:
    code = """
from getpatter import ConfigurationError, Patter
from contextlib import suppress
for _ in range(2):
    patter = Patter(carrier="none")
    for engine in ("realtime", "convai", "nonsense", "realtime"):
        with suppress(ConfigurationError):
            patter.agent(engine=engine)
"""
    assert run(code).returncode == 0
    assert [event["missing"] for event in named(receiver, "config_incomplete")] == ["llm_key"] * 2


# agents

AGENTS = """
from contextlib import suppress
from getpatter import ConfigurationError, Patter
patter = Patter(carrier="none")
def agent(**arguments):
    with suppress(ConfigurationError):
        patter.agent(**arguments)
"""


def test_an_agent_is_told_before_anything_is_validated(run: Run, receiver: Receiver) -> None:
    assert run(AGENTS + "agent(engine='realtime')").returncode == 0
    assert names(receiver)[2:] == ["feature_used", "agent_configured", "config_incomplete"]
    feature = named(receiver, "feature_used")[0]
    assert (feature["engine"], feature["provider"]) == ("realtime", "openai")


def test_a_stack_is_told_in_public_words(run: Run, receiver: Receiver) -> None:
    code = """
class Layer:
    provider_key, model = "openai_tts", "canary-fine-tune"
agent(stt="deepgram/nova-3", tts=Layer(), llm="acme/canary-model")
"""
    assert run(AGENTS + code).returncode == 0
    (feature,) = named(receiver, "feature_used")
    assert feature["engine"] == "pipeline"
    assert feature["provider"] == "other"
    assert feature["stt_provider"] == "deepgram"
    assert feature["stt_model"] == "deepgram-nova-3"
    assert (feature["tts_provider"], feature["tts_model"]) == ("openai", "openai-other")
    assert (feature["llm_provider"], feature["llm_model"]) == ("other", "other-other")


def test_the_shape_of_an_agent(run: Run, receiver: Receiver) -> None:
    code = """
agent(
    engine="pipeline",
    tools=["transfer", "hangup", print, {"name": "canary", "timeout": 3}],
    mcp_servers=["https://canary.example", "b"],
    noise_reduction="near_field",
    turn_detection=object(),
    preambles=True,
    llm_fallback="canary",
)
agent(engine="pipeline", integration="hermes", turn_detection=False)
agent(engine="pipeline", integration="canary")
"""
    assert run(AGENTS + code).returncode == 0
    first, second, third = named(receiver, "agent_configured")
    assert first["builtin_tool_count"] == 2
    assert first["custom_tool_count_bucket"] == "2_3"
    assert first["mcp_server_count_bucket"] == "2_3"
    assert (first["integration"], first["integration_kind"]) == ("mcp", "mcp")
    assert first["noise_reduction"] == "near_field"
    assert first["turn_detection"] == "custom"
    assert first["preambles_used"] is True
    assert first["per_tool_timeouts_set"] is True
    assert first["llm_fallback_configured"] is True
    assert (second["integration"], second["integration_kind"]) == ("hermes", "consult")
    assert second["turn_detection"] == "none"
    assert second["noise_reduction"] == "none"
    assert second["per_tool_timeouts_set"] is False
    assert third["integration"] == "other"
    assert len(named(receiver, "feature_used")) == 1
    assert "canary" not in json.dumps(receiver.events)


def test_each_distinct_shape_is_told_once(run: Run, receiver: Receiver) -> None:
    code = """
for _ in range(3):
    agent(engine="pipeline", stt="deepgram/nova-3")
    agent(engine="pipeline", stt="cartesia/ink-whisper")
    agent(engine="pipeline", stt="cartesia/ink-whisper", preambles=True)
"""
    assert run(AGENTS + code).returncode == 0
    assert len(named(receiver, "feature_used")) == 2
    assert len(named(receiver, "agent_configured")) == 2


def test_shapes_are_the_same_that_look_the_same_to_a_reader(run: Run, receiver: Receiver) -> None:
    code = """
agent(engine="pipeline", llm="acme/a", noise_reduction="mine", tools=[print] * 4)
agent(engine="pipeline", llm="acme/b", noise_reduction="yours", tools=[print] * 5)
"""
    assert run(AGENTS + code).returncode == 0
    assert len(named(receiver, "feature_used")) == 1
    assert len(named(receiver, "agent_configured")) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "engine=[]",
        "engine=['pipeline']",
        "engine='pipeline', integration=['x']",
        "engine='pipeline', noise_reduction=Refuses()",
        "engine='pipeline', preambles=Refuses()",
        "engine='pipeline', tools=[Refuses()]",
        "engine='pipeline', llm_fallback=Refuses()",
        "engine='pipeline', turn_detection=Refuses()",
        "engine='pipeline', stt=Refuses(), tts=Refuses(), llm=Refuses()",
    ],
)
def test_telemetry_is_never_the_error_of_an_agent(run: Run, arguments: str) -> None:
    code = """
class Refuses:
    def refuse(self, *_):
        raise RuntimeError("asked")
    __eq__ = __str__ = __repr__ = __bool__ = __len__ = __iter__ = __getattr__ = refuse
    __hash__ = None
"""
    done = run(f"{AGENTS}{code}\nagent({arguments})")
    assert done.returncode == 0, done.stderr


# calls


def test_the_events_of_a_call_belong_together(run: Run, receiver: Receiver) -> None:
    code = """
agent = patter.agent(stt="deepgram/nova-3", tts="cartesia/sonic")
with patter.call(direction="outbound", agent=agent) as call:
    call.turn()
    with call.stage("stt"):
        pass
with patter.call(direction="sideways") as call:
    call.answer()
"""
    assert run(AGENTS + code).returncode == 0
    started, second = named(receiver, "call_started")
    completed, _ = named(receiver, "call_completed")
    assert started["call_uid"] == completed["call_uid"] != second["call_uid"]
    for event in (started, completed):
        assert event["direction"] == "outbound"
        assert event["engine"] == "pipeline"
        assert event["provider"] == "deepgram"
        assert event["carrier"] == "none"
        assert event["time_to_first_call_bucket"] == "lt_1h"
    assert completed["stt_latency_ms"] == 1
    assert "direction" not in second
