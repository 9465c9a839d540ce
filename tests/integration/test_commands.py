"""`getpatter telemetry …` as a user runs it: real processes, an environment made from scratch."""

import csv
import gzip
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import golden
import pytest
from conftest import Command, Run, tree
from golden import VECTORS

from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._tables import COMMON_FIELDS, EVENT_NAMES, SCHEMA_VERSION
from getpatter.telemetry.judge import Judge
from getpatter.telemetry.testing import Answer, Receiver

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas" / f"v{SCHEMA_VERSION}"
ACTIONS = (
    "status",
    "preview",
    "explain",
    "log",
    "check",
    "schema",
    "inventory",
    "disable",
    "enable",
    "forget",
)
HEX = re.compile(r"\b[0-9a-f]{32}\b")
MEASURED = re.compile(r'"(latency_ms|duration_seconds)":[0-9]+')

# The program that `preview` says it shows.
PROGRAM = """
from getpatter import Patter
phone = Patter(carrier="twilio", phone_number="+15550001234", llm="openai",
               credentials=dict.fromkeys(
                   ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "OPENAI_API_KEY"], "x"))
agent = phone.agent(stt="deepgram/nova-3", llm="openai/gpt-4o",
                    tts="elevenlabs/eleven_flash_v2_5")
with phone.call(direction="inbound", agent=agent) as call:
    for _ in range(2):
        call.turn()
        call.observe("eou", 0.24)
        call.observe("stt", 0.18)
        call.observe("llm", 0.42)
        call.observe("tts", 0.16)
    call.cost(0.0213)
    call.hangup("remote")
assert phone.telemetry.flush(10)
"""


def state_of(home: Path) -> Path:
    return home / ".local" / "state" / "getpatter"


def bodies(receiver: Receiver) -> list[str]:
    """What arrived, before compression."""
    return [
        (
            gzip.decompress(request.body) if request.headers["Content-Encoding"] else request.body
        ).decode()
        for request in receiver.requests
    ]


# all of them


@pytest.mark.parametrize("action", ACTIONS)
def test_help_has_examples_that_parse(command: Command, action: str) -> None:
    said = command(action, "--help")
    assert said.returncode == 0
    examples = re.findall(rf"^  getpatter telemetry ({action}[^|<\n]*)", said.stdout, re.MULTILINE)
    assert examples
    for example in examples:
        assert command(*example.split(), "--help").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("preview",),
        ("preview", "--json"),
        ("explain",),
        ("explain", "--json"),
        ("status",),
        ("log",),
        ("schema", "--json"),
        ("inventory",),
        ("check", "-"),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_asking_changes_nothing_and_sends_nothing(
    *,
    command: Command,
    run: Run,
    tmp_path: Path,
    receiver: Receiver,
    arguments: tuple[str, ...],
    is_new: bool,
) -> None:
    if not is_new:
        assert run(PROGRAM).returncode == 0
    before, sent = tree(tmp_path), bodies(receiver)
    assert command(*arguments, text="{}").returncode == (1 if arguments[0] == "check" else 0)
    assert tree(tmp_path) == before
    assert bodies(receiver) == sent


@pytest.mark.parametrize("action", ["status", "preview", "explain", "log"])
@pytest.mark.parametrize("as_json", [True, False])
def test_credentials_of_an_endpoint_are_never_shown(
    command: Command, receiver: Receiver, run: Run, action: str, as_json: bool
) -> None:
    _, _, address = receiver.endpoint.partition("://")
    endpoint = f"http://someone:s3cret@{address}?token=s3cret"
    assert run(PROGRAM, PATTER_TELEMETRY_ENDPOINT=endpoint).returncode == 0
    arguments = (action, "--json") if as_json else (action,)
    said = command(*arguments, PATTER_TELEMETRY_ENDPOINT=endpoint)
    assert said.returncode == 0
    assert "s3cret" not in said.stdout + said.stderr
    if action != "explain":
        assert address.partition("/")[0] in said.stdout + said.stderr


@pytest.mark.parametrize(
    "arguments",
    [("explain", "nonsense"), ("schema", "nonsense"), ("inventory", "--format", "xml"), ("check",)],
)
def test_a_wrong_command_line_is_exit_2(command: Command, arguments: tuple[str, ...]) -> None:
    said = command(*arguments)
    assert said.returncode == 2
    assert said.stderr.startswith(f"getpatter telemetry {arguments[0]}: ")
    assert len(said.stderr.splitlines()) == 1


def test_a_reader_that_has_seen_enough_is_no_error(child_environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        said = subprocess.run(
            [sys.executable, "-m", "getpatter", "telemetry", "inventory"],
            check=False,
            env=child_environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (said.returncode, said.stderr) == (1, "")


@pytest.mark.parametrize("action", ["status", "preview", "explain"])
def test_what_must_be_quick_loads_no_http_and_no_judge(run: Run, action: str) -> None:
    code = (
        "import sys; from getpatter.cli import main; code = main(['telemetry', sys.argv[1]]);"
        "loaded = {'requests', 'jsonschema', 'urllib3', 'asyncio', 'dataclasses'} & {*sys.modules};"
        "sys.exit(f'{loaded}' if loaded else code)"
    )
    said = run(code.replace("sys.argv[1]", repr(action)))
    assert said.returncode == 0, said.stderr


def test_enable_under_do_not_track_says_that_it_is_still_off(command: Command, home: Path) -> None:
    command("disable")
    said = command("enable", DO_NOT_TRACK="1")
    assert said.returncode == 0
    assert "still off, because of DO_NOT_TRACK: set in the environment" in said.stdout
    assert not list(home.rglob("telemetry-disabled"))
    assert "still off" not in command("enable").stdout


# preview


@pytest.mark.parametrize("rate", ["1", "0.4"])
def test_preview_is_what_the_program_then_sends_byte_for_byte(
    command: Command, run: Run, receiver: Receiver, rate: str
) -> None:
    """But for what is made anew each time: ids, and how long the call really took."""
    shown = [command("preview", PATTER_TELEMETRY_SAMPLE=rate).stdout]
    for _ in range(60):
        before = len(receiver.requests)
        assert run(PROGRAM, PATTER_TELEMETRY_SAMPLE=rate).returncode == 0
        sent = "[" + ",".join(body[1:-1] for body in bodies(receiver)[before:]) + "]"
        if before == 0:
            shown.append(command("preview", PATTER_TELEMETRY_SAMPLE=rate).stdout)
            first = sent
        if "call_started" in sent:
            break
    assert "first_run" in first
    assert "first_run" not in shown[1]
    expected = masked(shown[0 if sent is first else 1])
    assert masked(sent) + "\n" == expected
    assert ('"sample_rate":0.4' in sent) is (rate == "0.4")


def masked(body: str) -> str:
    return MEASURED.sub(r'"\1":0', HEX.sub("0" * 32, body))


def test_preview_shows_the_identity_that_is_sent(
    command: Command, run: Run, receiver: Receiver
) -> None:
    run(PROGRAM)
    (known,) = {event["install_id"] for event in receiver.events}
    events = json.loads(command("preview").stdout)
    assert {event["install_id"] for event in events} == {known}
    assert events[0]["event"] == "sdk_initialized"


def test_preview_is_valid_and_says_what_it_is(command: Command) -> None:
    shown = command("preview")
    assert "Nothing was sent or changed" in shown.stderr
    assert "once the notice was shown" in shown.stderr
    judged = command("check", "-", text=shown.stdout)
    assert (judged.returncode, judged.stdout) == (0, "-: 6 events, valid\n")


def test_preview_says_that_it_is_off_and_shows_all_the_same(command: Command) -> None:
    shown = command("preview", DO_NOT_TRACK="1")
    assert "Telemetry is off (DO_NOT_TRACK: set in the environment)" in shown.stderr
    assert len(json.loads(shown.stdout)) == 6
    found = json.loads(command("preview", "--json", CI="1").stdout)
    assert found["enabled"] is False
    assert json.loads(found["body"]) == found["events"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PATTER_TELEMETRY_DEBUG": "1"}, "prints it and sends nothing"),
        ({"PATTER_TELEMETRY_ENDPOINT": "ftp://nowhere"}, "cannot be used, so nothing leaves"),
        ({"PATTER_TELEMETRY_SAMPLE": "0"}, "calls are left out"),
    ],
)
def test_preview_says_why_nothing_or_less_leaves(
    command: Command, variables: dict[str, str], words: str
) -> None:
    shown = command("preview", **variables)
    assert words in shown.stderr
    assert ("call_started" in shown.stdout) is ("PATTER_TELEMETRY_SAMPLE" not in variables)


def test_preview_and_log_show_the_headers_that_leave(
    command: Command, run: Run, receiver: Receiver
) -> None:
    """All but the three that say nothing but where to and how long."""
    shown = json.loads(command("preview", "--json", PATTER_TELEMETRY_SAMPLE="0.4").stdout)
    text = command("preview", PATTER_TELEMETRY_SAMPLE="0.4").stderr
    receiver.answer(503, Answer(200, headers={"Accept-Encoding": "gzip"}))
    more = "phone.telemetry.record('no_such_event')\nwith phone.call(direction='inbound'): pass\n"
    late = PROGRAM.replace("assert phone", "phone") + more + "phone.telemetry.flush(20)\n"
    for program in (late, PROGRAM):
        run(program, PATTER_TELEMETRY_SAMPLE="0.4")
    assert len(receiver.requests) > 2
    said = {"Host", "Accept-Encoding", "Content-Length"}
    log, found = command("log").stdout, [one for one in entries(command) if "body" in one]
    for request, entry in zip(receiver.requests, found, strict=True):
        assert entry["headers"] == {n: v for n, v in request.headers.items() if n not in said}
        assert set(shown["headers"]) <= set(request.headers)
        assert all(f"\n  {name}: {value}\n" in log for name, value in entry["headers"].items())
    assert any("Content-Encoding" in entry["headers"] for entry in found)
    assert any("Patter-Client-Report" in entry["headers"] for entry in found)
    for name, value in found[0]["headers"].items():
        # The age is what it was then: a second on a busy machine.
        if name not in ("Idempotency-Key", "Patter-Client-Report", "Patter-Batch-Age"):
            assert shown["headers"][name] == value
    for name in shown["headers"]:
        assert f"\n  {name}: " in text
    assert all(name in text for name in said)


def test_log_reads_entries_without_headers(command: Command, home: Path) -> None:
    """As earlier versions wrote them."""
    state_of(home).mkdir(parents=True, mode=0o700)
    entry = {"at": 1, "endpoint": "https://x", "key": "k", "status": 200, "body": "[]"}
    (state_of(home) / "ledger").write_text(json.dumps({**entry, "dropped": {}}) + "\n")
    assert command("log").stdout == "1970-01-01 00:00:01Z  https://x  answer 200  key k\n[]\n"


# check


def event(**changes: object) -> dict[str, object]:
    return {**golden.rows("valid")[0]["event"], **changes}


def write(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "events"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.mark.parametrize("form", ["array", "lines", "one array a line"])
def test_check_accepts_the_valid_vectors(command: Command, tmp_path: Path, form: str) -> None:
    events = [row["event"] for row in golden.rows("valid")]
    content = {
        "array": json.dumps(events, indent=1),
        "lines": "\n\n".join(json.dumps(one) for one in events) + "\n",
        "one array a line": "".join(json.dumps([one, one]) + "\r\n" for one in events),
    }[form]
    said = command("check", write(tmp_path, content))
    assert said.returncode == 0
    count = len(events) * (2 if form == "one array a line" else 1)
    assert said.stdout.endswith(f": {count} events, valid\n")


def test_check_finds_what_the_invalid_vectors_name(command: Command) -> None:
    rows = golden.rows("invalid")
    file = str(VECTORS / "invalid.json")
    said = command("check", file, "--json")
    assert said.returncode == 1
    found = json.loads(said.stdout)
    assert (found["file"], found["events"], found["invalid"]) == (file, len(rows), len(rows))
    first = {row["index"]: row for row in reversed(found["violations"])}
    for index, row in enumerate(rows):
        assert (first[index]["pointer"], first[index]["rule"]) == (row["pointer"], row["rule"]), row


def test_check_says_where_why_and_which_type_but_no_content(
    command: Command, tmp_path: Path
) -> None:
    bad = [
        event(),
        event(os="s3cret-system"),
        event(s3cret_name="s3cret-value"),
        event(event="s3cret"),
        event(ci=None, sdk_version=["s3cret"]),
        "s3cret",
    ]
    file = write(tmp_path, "\n".join(json.dumps(one) for one in bad))
    systems = documents()["first_run"]["properties"]["os"]["enum"]
    said = command("check", file)
    assert said.returncode == 1
    assert said.stdout.splitlines() == [
        f"{file}: line 2: /os: enum (string): must be one of {', '.join(systems)}",
        f"{file}: line 3: additionalProperties (object): an unknown field",
        f"{file}: line 4: /event: enum (string): must be one of {', '.join(EVENT_NAMES)}",
        (
            f"{file}: line 5: /sdk_version: type (array): must be text of 1 to 32 characters "
            "[0-9a-z.+-], begins with [0-9]"
        ),
        f"{file}: line 5: /ci: type (null): must be true or false",
        f"{file}: line 6: type (string): must be an object",
        f"{file}: 6 events, 5 invalid",
    ]
    everything = said.stdout + command("check", file, "--json").stdout
    assert "s3cret" not in everything


def test_check_reads_standard_input_and_one_event(command: Command) -> None:
    assert command("check", "-", text=json.dumps(event(), indent=2)).returncode == 0
    said = command("check", "-", text=json.dumps(event(schema_version=SCHEMA_VERSION + 1)))
    assert said.returncode == 1
    assert said.stdout.splitlines()[0] == (
        f"-: event 0: /schema_version: const (number): must be {SCHEMA_VERSION}"
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ci": ..., "os": ...}, "required (object): os, ci are missing"),
        ({"run_id": ...}, "required (object): run_id is missing"),
        ({"event": ...}, "required (object): event is missing"),
        (
            {"latency_ms": 7, "outcome": "s3cret"},
            (
                "additionalProperties (object): "
                "latency_ms does not belong to first_run, outcome does not belong to first_run"
            ),
        ),
        (
            {"carier": "s3cret", "s3cret": 1},
            (
                "additionalProperties (object): "
                "an unknown field (did you mean carrier?), an unknown field"
            ),
        ),
        (
            {"schema_version": 7},
            (
                f"/schema_version: const (number): must be {SCHEMA_VERSION}; "
                "the event is of schema version 7, which has rules of its own"
            ),
        ),
        ({"schema_version": 6}, f"/schema_version: const (number): must be {SCHEMA_VERSION}"),
        (
            {"event": "call_started", "sample_rate": 1},
            "/sample_rate: exclusiveMaximum (number): must be a number, above 0 to below 1",
        ),
        (
            {"event": "call_completed", "latency_ms": -1},
            "/latency_ms: minimum (number): must be a whole number, 0 to 3600000",
        ),
        (
            {"event": "call_completed", "sample_rate": 0.5, "outcome": "failed"},
            (
                "/sample_rate: not (number): "
                "must not occur together with outcome error or failed, or error_code"
            ),
        ),
    ],
)
def test_check_says_what_the_schema_demands(changes: dict[str, object], says: str) -> None:
    base = {name: value for name, value in event().items() if name in COMMON_FIELDS}
    changed = {name: value for name, value in (base | changes).items() if value is not ...}
    violation = next(Judge().violations(changed))
    where = f"{violation.pointer}: " if violation.pointer else ""
    assert f"{where}{violation.rule} ({violation.kind}): {violation.demand}" == says


def test_check_says_both_what_is_missing_and_what_is_too_much(command: Command) -> None:
    """One does not hide the other, and the second value of a kind is not hidden either."""
    bad = {**event(latency_ms=1), "os": 1}
    del bad["ci"], bad["arch"]
    said = command("check", "-", text=json.dumps(bad)).stdout
    assert "arch, ci are missing" in said
    assert "latency_ms does not belong to first_run" in said
    assert "/os: enum (number)" in said


def test_check_takes_the_vectors_of_the_repository_as_they_are(command: Command) -> None:
    said = command("check", str(VECTORS / "valid.json"))
    assert (said.returncode, said.stdout.count("\n")) == (0, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no event"),
        ("[]", "holds no event"),
        ("\n \n", "holds no event"),
        ("s3cret", "line 1 is not valid JSON"),
        ('{\n "s3cret": 1,\n "x" 2}', "line 3 is not valid JSON"),
        ('{"event": "first_run"}\n{"event": "s3', "line 2 is not valid JSON"),
        ('{"cost_usd": NaN}', "line 1 is not valid JSON: NaN and Infinity are not allowed"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 10_000, "is not valid JSON: a number has too many digits"),
        (b'\xff"s3cret"\x80', "is not UTF-8"),
    ],
)
def test_check_of_what_is_no_json_is_exit_2(
    command: Command, tmp_path: Path, content: str | bytes, words: str
) -> None:
    said = command("check", write(tmp_path, content))
    assert (said.returncode, said.stdout) == (2, "")
    assert words in said.stderr
    assert said.stderr.count("\n") == 1
    assert "s3cret" not in said.stderr


def test_check_of_a_file_that_cannot_be_read_is_exit_2(command: Command, tmp_path: Path) -> None:
    for name in (str(tmp_path / "missing"), str(tmp_path)):
        said = command("check", name)
        assert said.returncode == 2
        assert said.stderr.startswith(f"getpatter: {name}: cannot be read (")


def test_check_of_a_file_that_is_too_large_is_exit_2(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    said = command("check", str(path))
    assert said.returncode == 2
    assert "larger than 64 MiB" in said.stderr


# schema, inventory, explain


def test_schema_is_the_file_byte_for_byte(command: Command) -> None:
    for path in sorted(SCHEMAS.iterdir()):
        name = path.name.partition(".")[0]
        assert command("schema", name).stdout == path.read_text("utf-8")
        assert command("schema", name, "--json").stdout == path.read_text("utf-8")


def test_schema_without_an_event_lists_all(command: Command) -> None:
    names = sorted(path.name.partition(".")[0] for path in SCHEMAS.iterdir())
    listed = command("schema").stdout
    assert [line for line in listed.splitlines() if line in names] == names
    assert list(json.loads(command("schema", "--json").stdout)) == names


def test_inventory_has_every_field_of_every_event_in_every_format(command: Command) -> None:
    schemas = {
        path.name.partition(".")[0]: json.loads(path.read_text("utf-8"))
        for path in SCHEMAS.iterdir()
    }
    rows = json.loads(command("inventory", "--format", "json").stdout)
    assert json.loads(command("inventory", "--json").stdout) == rows
    common = {row["field"] for row in rows if row["event"] == "*"}
    assert common == set(schemas["first_run"]["required"])
    for name, schema in schemas.items():
        own = {row["field"]: row for row in rows if row["event"] == name}
        assert own.keys() | common == schema["properties"].keys()
        for field, row in own.items():
            rule = schema["properties"][field]
            assert row["since"] == rule["x-since"]
            assert row["description"] == rule["description"]
            if "enum" in rule:
                assert row["values"].split() == rule["enum"]
    assert {row["since"] for row in rows} >= {5, 7, 8}

    table = command("inventory", "--format", "csv").stdout
    plain = [{name: str("" if v is None else v) for name, v in row.items()} for row in rows]
    assert list(csv.DictReader(io.StringIO(table))) == plain
    lines = command("inventory").stdout.splitlines()
    assert len(lines) == len(rows) + 2
    assert lines[0].split(" | ")[0] == "| event"


def fields(found: dict[str, Any], name: str | None = None) -> dict[str, dict[str, Any]]:
    rows = found["every_event"]
    if name is not None:
        rows = next(one for one in found["events"] if one["event"] == name)["fields"]
    return {row["field"]: row for row in rows}


def test_explain_tells_this_machines_values(command: Command, run: Run, receiver: Receiver) -> None:
    run(PROGRAM, KUBERNETES_SERVICE_HOST="1")
    sent = next(one for one in receiver.events if one["event"] == "sdk_initialized")
    variables = {"KUBERNETES_SERVICE_HOST": "1", "K_SERVICE": "1"}
    found = json.loads(command("explain", "--json", **variables).stdout)
    common = fields(found)
    assert common["install_id"]["value"] == sent["install_id"]
    assert common["runtime_version"]["value"] == sent["runtime_version"]
    assert "value" not in common["run_id"]
    start = fields(found, "sdk_initialized")
    assert start["container"]["value"] is True
    assert start["cloud"]["value"] == "gcp"
    assert start["carrier"]["depends"] == "depends on the program"
    assert start["previous_sdk_version"]["sent"] is False
    call = fields(found, "call_completed")
    assert call["outcome"]["depends"] == "depends on the call"
    assert call["time_to_first_call_bucket"]["value"] == "lt_1h"
    assert call["sample_rate"]["sent"] is False
    first = next(one for one in found["events"] if one["event"] == "first_run")
    assert first["sent"] is False
    assert all(row["purpose"] and row["question"] and row["why"] for row in call.values())


def test_explain_covers_every_field_of_the_schemas(command: Command) -> None:
    found = json.loads(command("explain", "--json").stdout)
    for path in SCHEMAS.iterdir():
        name = path.name.partition(".")[0]
        covered = {"event", *fields(found), *fields(found, name)}
        assert covered == json.loads(path.read_text("utf-8"))["properties"].keys()


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"DO_NOT_TRACK": "1"}, "telemetry is off: DO_NOT_TRACK (set in the environment)"),
        ({"PATTER_TELEMETRY_DEBUG": "1"}, "PATTER_TELEMETRY_DEBUG is set"),
        ({"PATTER_TELEMETRY_ENDPOINT": "gopher://x"}, "PATTER_TELEMETRY_ENDPOINT cannot be used"),
    ],
)
def test_explain_says_why_nothing_is_sent(
    command: Command, variables: dict[str, str], why: str
) -> None:
    found = json.loads(command("explain", "call_started", "--json", **variables).stdout)
    assert [one["event"] for one in found["events"]] == ["call_started"]
    for row in (*fields(found).values(), *fields(found, "call_started").values()):
        assert row["sent"] is False
        assert row["why"].startswith(why)
    assert f"not sent, because {why}" in command("explain", "call_started", **variables).stdout


def test_explain_tells_the_sample_rate(command: Command) -> None:
    found = json.loads(command("explain", "--json", PATTER_TELEMETRY_SAMPLE="0.25").stdout)
    rate = fields(found, "call_started")["sample_rate"]
    assert (rate["value"], rate["sent"]) == (0.25, True)


# log


def entries(command: Command, **variables: str) -> list[dict[str, Any]]:
    said = command("log", "--json", **variables)
    assert said.returncode == 0
    found: list[dict[str, Any]] = json.loads(said.stdout)["entries"]
    return found


def test_log_has_every_body_byte_for_byte(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    receiver.answer(503, None)
    for _ in range(3):
        assert run(PROGRAM).returncode == 0
    found = entries(command)
    assert [entry["body"] for entry in found] == bodies(receiver)
    assert [entry["key"] for entry in found] == [r.idempotency_key for r in receiver.requests]
    assert [entry["status"] for entry in found] == [r.status for r in receiver.requests]
    assert found[0]["status"] == 503
    assert {entry["endpoint"] for entry in found} == {receiver.endpoint}
    assert [entry["at"] for entry in found] == sorted(entry["at"] for entry in found)
    text = command("log").stdout
    for body in bodies(receiver):
        assert f"\n{body}\n" in text
    assert (state_of(home) / "ledger").stat().st_mode & 0o777 == 0o600


def test_log_says_what_was_dropped_and_why(command: Command, run: Run, receiver: Receiver) -> None:
    receiver.answer(lambda _: Answer(400, body=b'{"refused": []}'))
    assert run(PROGRAM.replace("assert phone", "phone")).returncode == 0
    (entry,) = [entry for entry in entries(command) if entry["status"] == 400]
    lost = {
        (one, reason): times
        for one, reasons in entry["dropped"].items()
        for reason, times in reasons.items()
    }
    count = len(json.loads(entry["body"]))
    assert sum(lost.values()) == count
    assert {reason for _, reason in lost} == {"rejected"}
    assert "dropped: 1 first_run, rejected" in command("log").stdout


def test_log_says_what_never_reached_a_request(
    command: Command, run: Run, receiver: Receiver
) -> None:
    assert run(PROGRAM, PATTER_TELEMETRY_SAMPLE="0").returncode == 0
    dropped = [entry["dropped"] for entry in entries(command)]
    assert {"call_started": {"sampled_out": 1}, "call_completed": {"sampled_out": 1}} in dropped
    sent = len(receiver.requests)
    run(PROGRAM.replace("assert phone", "phone"), PATTER_TELEMETRY_ENDPOINT="gopher://x:s3cret@y")
    last = entries(command)[-1]
    assert len(receiver.requests) == sent
    assert "body" not in last
    assert last["endpoint"] is None
    assert last["dropped"]["sdk_initialized"] == {"endpoint_invalid": 1}
    said = command("log").stdout
    assert "nothing sent" in said
    assert "dropped: 1 sdk_initialized, endpoint_invalid" in said
    assert "s3cret" not in said


def test_nothing_is_kept_in_debug_or_off_or_where_there_is_no_state(
    command: Command, run: Run, home: Path, tmp_path: Path
) -> None:
    before = tree(home)
    assert run(PROGRAM, PATTER_TELEMETRY_DEBUG="1").returncode == 0
    assert run(PROGRAM, DO_NOT_TRACK="1").returncode == 0
    unusable = tmp_path / "named"
    unusable.touch()
    assert run(PROGRAM, PATTER_TELEMETRY_STATE_DIR=str(unusable)).returncode == 0
    assert tree(home) == before
    assert command("log").stdout == (
        "The log is empty: nothing has been sent yet, or the log was erased.\n"
    )
    said = command("log", PATTER_TELEMETRY_STATE_DIR=str(unusable)).stdout
    assert said == "No log is kept, because the state directory is not a directory.\n"


def test_log_that_cannot_be_read_says_so(command: Command, home: Path) -> None:
    (state_of(home) / "ledger").mkdir(parents=True)
    state_of(home).chmod(0o700)
    said = command("log")
    assert said.returncode == 1
    assert said.stderr.startswith("getpatter: the log cannot be read (")


def test_disable_erases_the_ledger(command: Command, run: Run, home: Path) -> None:
    run(PROGRAM)
    assert (state_of(home) / "ledger").exists()
    command("disable")
    assert not (state_of(home) / "ledger").exists()
    assert entries(command) == []


def test_opt_out_between_two_sends_leaves_no_ledger(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    """The answer to a request that was under way must not bring the identity back."""

    def opt_out(_: object) -> None:
        assert command("disable").returncode == 0

    receiver.answer(opt_out)
    assert run(PROGRAM).returncode == 0
    assert len(receiver.requests) == 1
    assert not (state_of(home) / "ledger").exists()
    assert not (state_of(home) / "install-id").exists()


def test_disable_says_how_to_have_erased_what_was_sent(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    assert "forget --remote" not in command("disable").stdout, "nothing was ever sent"
    command("enable")
    assert run(PROGRAM).returncode == 0
    known = receiver.events[0]["install_id"]
    said = command("disable").stdout
    assert "getpatter telemetry forget --remote" in said
    assert known not in said
    assert json.loads(command("disable", "--json").stdout)["erasable"] is True
    before = len(receiver.requests)
    assert command("forget", "--remote", "--yes").returncode == 0
    assert [request.path for request in receiver.requests[before:]] == [f"/v1/installs/{known}"]
    assert not [path for path in home.rglob("*") if path.is_file() and known in path.read_text()]
    assert json.loads(command("disable", "--json").stdout)["erasable"] is False


# forget


def test_forget_opts_out_and_erases(command: Command, run: Run, home: Path) -> None:
    run(PROGRAM)
    said = command("forget", "--json")
    assert (said.returncode, json.loads(said.stdout)["opted_out"]) == (0, True)
    left = {path.name for path in state_of(home).iterdir()}
    assert not left & {"install-id", "install-date", "version", "ledger"}
    assert "telemetry-disabled" in left
    assert json.loads(command("status", "--json").stdout)["enabled"] is False


def test_forget_remote_asks_the_collector_and_prints_the_receipt(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    run(PROGRAM)
    (known,) = {one["install_id"] for one in receiver.events}
    said = command("forget", "--remote", "--yes")
    assert said.returncode == 0
    assert "Receipt: erasure-1\n" in said.stdout
    request = receiver.requests[-1]
    assert (request.method, request.path) == ("DELETE", f"/v1/installs/{known}")
    assert receiver.events == []
    for name in ("Cookie", "Authorization", "Referer", "Patter-Sample-Rate", "Idempotency-Key"):
        assert request.headers[name] is None
    assert request.headers["User-Agent"].startswith("getpatter/")
    assert not (state_of(home) / "install-id").exists()


def test_forget_remote_asks_for_every_id_that_is_known(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    run(PROGRAM)
    earlier = home / ".getpatter"
    earlier.mkdir()
    (earlier / "install-id").write_text("e" * 32)
    found = json.loads(command("forget", "--remote", "--yes", "--json").stdout)
    assert found["remote"]["receipts"] == ["erasure-1", "erasure-2"]
    assert receiver.requests[-1].path.endswith("e" * 32)


@pytest.mark.parametrize(
    "variables",
    [
        {"DO_NOT_TRACK": "1"},
        {"PATTER_TELEMETRY": "0"},
        {"CI": "1"},
        {"PATTER_TELEMETRY_DEBUG": "1"},
    ],
)
def test_forget_remote_under_an_environment_opt_out_sends_and_erases_nothing(
    command: Command, run: Run, receiver: Receiver, home: Path, variables: dict[str, str]
) -> None:
    run(PROGRAM)
    before, sent = tree(home), len(receiver.requests)
    said = command("forget", "--remote", "--yes", **variables)
    assert said.returncode == 1
    name = next(iter(variables))
    assert name in said.stderr
    if name in ("DO_NOT_TRACK", "PATTER_TELEMETRY"):
        assert f"Unset {name} for this command, or run it without --remote." in said.stderr
    assert len(receiver.requests) == sent
    assert tree(home) == before


def test_forget_remote_without_a_terminal_wants_yes(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    run(PROGRAM)
    before, sent = tree(home), len(receiver.requests)
    said = command("forget", "--remote", text="y\n")
    assert said.returncode == 2
    assert "--yes" in said.stderr
    assert len(receiver.requests) == sent
    assert tree(home) == before


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1)])
def test_forget_remote_asks_on_a_terminal(
    *,
    child_environment: dict[str, str],
    run: Run,
    receiver: Receiver,
    home: Path,
    typed: bytes,
    code: int,
) -> None:
    run(PROGRAM)
    sent = len(receiver.requests)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed)
        said = subprocess.run(
            [sys.executable, "-m", "getpatter", "telemetry", "forget", "--remote"],
            check=False,
            env=child_environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.returncode == code
    assert "[y/N]" in said.stderr
    assert len(receiver.requests) == sent + (code == 0)
    assert (state_of(home) / "install-id").exists() is (code == 1)


@pytest.mark.parametrize("status", [404, 405])
def test_forget_remote_of_a_collector_that_cannot_still_erases_here(
    command: Command, run: Run, receiver: Receiver, home: Path, status: int
) -> None:
    run(PROGRAM)
    receiver.answer(status)
    said = command("forget", "--remote", "--yes")
    assert said.returncode == 0
    assert "cannot erase" in said.stdout
    assert not (state_of(home) / "install-id").exists()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(close=True), "did not answer"),
        (Answer(500), "answered 500"),
        (Answer(302, {"Location": "/v1/elsewhere"}), "answered 302"),
    ],
)
def test_forget_remote_that_fails_erases_nothing_and_can_be_tried_again(
    *, command: Command, run: Run, receiver: Receiver, home: Path, answer: Answer, words: str
) -> None:
    run(PROGRAM)
    before, sent = tree(home), len(receiver.requests)
    receiver.answer(answer)
    said = command("forget", "--remote", "--yes")
    assert (said.returncode, said.stdout) == (1, "")
    assert words in said.stderr
    assert len(receiver.requests) == sent + 1
    assert tree(home) == before
    assert command("forget", "--remote", "--yes").returncode == 0


def test_forget_remote_without_an_identity_sends_nothing(
    command: Command, receiver: Receiver
) -> None:
    said = command("forget", "--remote")
    assert said.returncode == 0
    assert "nothing to ask" in said.stdout
    assert receiver.requests == []


def test_a_receipt_that_would_drive_the_terminal_is_not_shown(
    command: Command, run: Run, receiver: Receiver
) -> None:
    run(PROGRAM)
    receiver.answer(Answer(body=json.dumps({"receipt": "\x1b[2Jgone"}).encode()))
    said = command("forget", "--remote", "--yes")
    assert said.returncode == 0
    assert "\x1b" not in said.stdout
    assert "has erased" in said.stdout


def test_forget_that_cannot_be_stored_says_what_to_set(command: Command, tmp_path: Path) -> None:
    home = tmp_path / "a-file"
    home.touch()
    said = command("forget", HOME=str(home))
    assert said.returncode == 1
    assert "DO_NOT_TRACK=1" in said.stderr
