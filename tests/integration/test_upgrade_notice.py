"""After an upgrade that collects more: what is new waits until the notice that names it.

Real programs, with state as the versions before left it. v5 and v7 kept no record of which notice
they had shown; this version does, so that the next one knows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import history
import pytest
from jsonschema import Draft202012Validator

from getpatter.telemetry import notice
from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

VERSIONS = {n: history.load(p) for n, p in history.versions(Path(history.__file__).parent).items()}
ID = "0123456789abcdef" * 2
# What this version sends of all that is new, and more.
PROGRAM = """
from getpatter import Patter
phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"})
with phone.call(direction="inbound") as call:
    call.turn()
    with call.stage("stt"):
        pass
    call.hangup("remote")
phone.telemetry.record("config_incomplete", missing="llm_key")
phone.telemetry.record("cli_command", cli_command="hermes")
assert phone.telemetry.flush(20)
import json
print(json.dumps(phone.telemetry.stats()["lost"]))
"""
MUTE = "import sys; sys.stderr = None\n"
NEW_IN_8 = {"error_layer", "disconnect_reason", "time_to_first_call_bucket", "stt_latency_ms"}


@pytest.fixture(params=[".getpatter", "state/getpatter", "state"])
def released(request: pytest.FixtureRequest, home: Path) -> tuple[Path, dict[str, str]]:
    """A place where released versions kept their files, with them, and the variables for it."""
    place = home / request.param
    place.mkdir(mode=0o700, parents=True)
    (place / "install-id").write_text(ID)
    (place / "first-run").touch()
    (place / "version").write_text("0.6.8")
    is_xdg = request.param.startswith("state")
    return place, {"XDG_STATE_HOME": str(home / "state")} if is_xdg else {}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory of this version, of an install that had its first run before."""
    place = tmp_path / "kept"
    place.mkdir(mode=0o700)
    (place / "install-id").write_text(ID)
    (place / "first-run").touch()
    return place


def status(run: Run, **variables: str) -> dict[str, Any]:
    done = run(
        "from getpatter.cli import main; main(['telemetry', 'status', '--json'])", **variables
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sent(receiver: Receiver) -> dict[str, dict[str, Any]]:
    assert receiver.refused == []
    return {event["event"]: event for event in receiver.events}


def is_as_before(event: dict[str, Any], version: int) -> bool:
    schema = VERSIONS[version].get(event["event"])
    said = {**event, "schema_version": version}
    return schema is not None and Draft202012Validator(schema).is_valid(said)


def test_from_a_release_nothing_leaves_before_the_notice_that_names_what_is_new(
    run: Run, receiver: Receiver, released: tuple[Path, dict[str, str]]
) -> None:
    _, variables = released
    waiting = status(run, **variables)
    assert waiting["notice_shown"] is False
    assert {"config_incomplete", "call_uid", "cli_command=hermes", *NEW_IN_8} <= set(
        waiting["withheld"]
    )
    done = run(MUTE + PROGRAM, **variables)
    assert done.returncode == 0, done.stderr
    assert receiver.requests == []
    assert status(run, **variables)["withheld"] == waiting["withheld"]

    done = run(PROGRAM, **variables)
    assert done.stderr == notice.compose(None, is_upgrade=True)
    assert all(f"`{name.rpartition('=')[2]}`" in done.stderr for name in waiting["withheld"])
    events = sent(receiver)
    assert {"config_incomplete", "call_started", "call_completed"} <= set(events)
    assert events["call_completed"].keys() >= NEW_IN_8
    assert events["call_completed"]["install_id"] == ID
    assert "first_run" not in events
    assert status(run, **variables)["withheld"] == []
    assert run(PROGRAM, **variables).stderr == "", "once"


@pytest.mark.parametrize(("marker", "version"), [("5", 5), ("7", 7), ("", 5), ("torn!", 5)])
def test_what_is_new_waits_while_the_notice_cannot_be_shown(
    run: Run, receiver: Receiver, state: Path, marker: str, version: int
) -> None:
    """An empty marker says that some notice was shown: that of the oldest version, at least."""
    (state / "notice").write_text(marker)
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    done = run(MUTE + PROGRAM, **variables)
    events = sent(receiver)
    assert set(events) == {"sdk_initialized", "call_started", "call_completed", "cli_command"}
    for event in events.values():
        assert is_as_before(event, version), event
    assert ("call_uid" in events["call_started"]) is (version == 7)
    assert events["cli_command"]["cli_command"] == ("hermes" if version == 7 else "other")
    # Counted, but not under its name, which is what is withheld.
    assert json.loads(done.stdout) == {"unknown": {"unknown_event": 1}}
    assert "config_incomplete" not in str([request.headers for request in receiver.requests])
    assert (state / "notice").read_text() == marker
    assert set(status(run, **variables)["withheld"]) >= NEW_IN_8
    assert status(run, **variables)["notice_shown"] is True


@pytest.mark.parametrize(("marker", "names_v7"), [("5", True), ("7", False), ("", True)])
def test_the_notice_of_an_update_names_what_is_new_since_the_last_one(
    run: Run, receiver: Receiver, state: Path, marker: str, *, names_v7: bool
) -> None:
    (state / "notice").write_text(marker)
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    done = run(PROGRAM, **variables)
    assert done.stderr.startswith("getpatter was updated")
    assert ("`call_uid`" in done.stderr) is names_v7
    assert "`config_incomplete`" in done.stderr
    events = sent(receiver)
    assert "config_incomplete" in events
    assert events["call_completed"].keys() >= NEW_IN_8
    shown = (state / "notice").read_text().split()[::2]
    assert shown == [f"{SCHEMA_VERSION}", marker or "5"]
    assert run(PROGRAM, **variables).stderr == ""


def test_from_v5_over_v7_to_v8_each_notice_names_only_its_own(
    run: Run, receiver: Receiver, state: Path
) -> None:
    """The version that shows one keeps it; the next goes on from there."""
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    withheld = {}
    for version in (5, 7, 8):
        (state / "notice").write_text(f"{version}")
        withheld[version] = set(status(run, **variables)["withheld"])
    assert withheld[5] > withheld[7] > withheld[8] == set()
    assert withheld[5] - withheld[7] == {"call_uid", "cli_command=hermes", "cli_command=openclaw"}
    assert run(PROGRAM, **variables).stderr == ""
    assert "config_incomplete" in sent(receiver)


@pytest.mark.parametrize("mode", ["detach", "wait"])
def test_what_is_new_waits_until_the_grace_of_its_notice_is_over(
    run: Run, receiver: Receiver, state: Path, mode: str
) -> None:
    """What was told of before leaves meanwhile, as the version before would have sent it."""
    (state / "notice").write_text("7")
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state), "PATTER_TELEMETRY_EXIT": mode}
    for shown in (notice.compose(7, is_upgrade=True), ""):
        done = run(PROGRAM, PATTER_TELEMETRY_GRACE="600", **variables)
        assert done.stderr == shown
        assert json.loads(done.stdout)["unknown"] == {"unknown_event": 1}
    events = sent(receiver)
    assert {"sdk_initialized", "call_started", "call_completed"} <= set(events)
    assert all(is_as_before(event, 7) for event in receiver.events)

    version, since, before = (state / "notice").read_text().split()
    (state / "notice").write_text(f"{version} {int(since) - 601} {before}")
    done = run(PROGRAM, PATTER_TELEMETRY_GRACE="600", **variables)
    assert (done.stderr, json.loads(done.stdout)) == ("", {})
    assert sent(receiver)["call_completed"].keys() >= NEW_IN_8
    assert "config_incomplete" in sent(receiver)


def test_a_no_within_the_grace_of_an_update_means_that_nothing_new_ever_left(
    run: Run, receiver: Receiver, state: Path
) -> None:
    (state / "notice").write_text("7")
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state), "PATTER_TELEMETRY_GRACE": "600"}
    assert run(PROGRAM, **variables).returncode == 0
    sent_before = len(receiver.events)
    off = "from getpatter.cli import main; main(['telemetry', 'disable'])"
    assert run(off, **variables).returncode == 0
    done = run(PROGRAM, **variables)
    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert len(receiver.events) == sent_before > 0
    assert all(is_as_before(event, 7) for event in receiver.events)


def test_a_version_that_is_newer_has_shown_all(run: Run, receiver: Receiver, state: Path) -> None:
    """Whoever goes back is told of nothing, and what that version stored stays."""
    newer = f"{SCHEMA_VERSION + 1}"
    (state / "notice").write_text(newer)
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    assert run(PROGRAM, **variables).stderr == ""
    assert "config_incomplete" in sent(receiver)
    assert (state / "notice").read_text() == newer


def test_calls_that_may_not_say_that_they_are_sampled_do_not_leave(
    run: Run, receiver: Receiver, state: Path
) -> None:
    (state / "notice").write_text("7")
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state), "PATTER_TELEMETRY_SAMPLE": "0.999999"}
    done = run(MUTE + PROGRAM, **variables)
    assert set(sent(receiver)) == {"sdk_initialized", "cli_command"}
    lost = json.loads(done.stdout)
    assert lost["call_started"] == lost["call_completed"] == {"sampled_out": 1}


def test_a_new_install_is_told_in_three_lines_and_withholds_nothing(
    run: Run, receiver: Receiver
) -> None:
    assert status(run)["withheld"] == []
    done = run(PROGRAM)
    assert done.stderr == notice.TEXT
    assert "config_incomplete" in sent(receiver)
    assert status(run)["withheld"] == []


def test_a_new_install_whose_first_run_was_mute_is_new_still(run: Run, receiver: Receiver) -> None:
    run(MUTE + PROGRAM)
    assert receiver.requests == []
    assert run(PROGRAM).stderr == notice.TEXT


def test_preview_and_explain_say_what_waits(run: Run, state: Path) -> None:
    (state / "notice").write_text("7")
    code = "from getpatter.cli import main; main(['telemetry', 'NAME', '--json'])"
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    shown = json.loads(run(code.replace("NAME", "preview"), **variables).stdout)
    assert "error_layer" in shown["withheld"]
    explained = json.loads(run(code.replace("NAME", "explain"), **variables).stdout)
    why = {event["event"]: event["why"] for event in explained["events"]}
    assert why["config_incomplete"].startswith("it is withheld until the notice that names it")
    assert why["call_completed"] == "telemetry is on"
    (completed,) = [e for e in explained["events"] if e["event"] == "call_completed"]
    why = {field["field"]: field["why"] for field in completed["fields"]}
    assert why["error_layer"].startswith("it is withheld until the notice that names it")
    assert why["outcome"] == "telemetry is on"
    words = run(code.replace("NAME", "preview").replace(", '--json'", ""), **variables).stderr
    assert "goes there once its notice was shown" in words


def test_status_says_what_waits_in_words(run: Run, state: Path) -> None:
    (state / "notice").write_text("7")
    code = "from getpatter.cli import main; main(['telemetry', 'status'])"
    lines = run(code, PATTER_TELEMETRY_STATE_DIR=str(state)).stdout
    assert "Withheld until the notice that names them was shown: config_incomplete," in lines
    (state / "notice").write_text("8")
    assert "Withheld" not in run(code, PATTER_TELEMETRY_STATE_DIR=str(state)).stdout


def explained(run: Run, **variables: str) -> tuple[dict[str, Any], str]:
    code = "from getpatter.cli import main; main(['telemetry', 'explain'{json}])"
    found: dict[str, Any] = json.loads(run(code.format(json=", '--json'"), **variables).stdout)
    return found, run(code.format(json=""), **variables).stdout


@pytest.mark.parametrize("marker", ["5", "7"])
def test_explain_marks_what_is_withheld(run: Run, state: Path, marker: str) -> None:
    (state / "notice").write_text(marker)
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    withheld = status(run, **variables)["withheld"]
    found, text = explained(run, **variables)
    seen = {event["event"] for event in found["events"] if event["withheld"]}
    for event in found["events"]:
        assert not (event["withheld"] and event["sent"])
        for field in event["fields"]:
            is_new = field["field"] in withheld or event["event"] in withheld
            assert not (is_new and field["sent"]), field
            if field["withheld"]:
                assert is_new
                assert "withheld until the notice that names it has been shown" in field["why"]
                seen.add(field["field"])
            seen |= {f"{field['field']}={value}" for value in field.get("withheld_values", ())}
    # Said of each, but of what this machine would not send now anyway.
    assert set(withheld) - seen <= {"sample_rate", "previous_sdk_version"}
    assert "not sent, because it is withheld until the notice that names it has been shown" in text
    hermes = "values withheld until a notice has named them"
    assert (hermes in text) is any("=" in name for name in withheld)


def test_explain_withholds_nothing_once_the_notice_was_shown(run: Run, state: Path) -> None:
    (state / "notice").write_text("5")
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(state)}
    assert run(PROGRAM, **variables).returncode == 0
    found, text = explained(run, **variables)
    assert "withheld until" not in text
    assert not any(event["withheld"] for event in found["events"])
    held, text = explained(run, PATTER_TELEMETRY_GRACE="900", **variables)
    assert any(event["withheld"] for event in held["events"]), "the grace period is not over"
    assert status(run, PATTER_TELEMETRY_GRACE="900", **variables)["withheld"]


def test_explain_of_a_new_install_says_that_the_notice_comes_first(run: Run) -> None:
    found, text = explained(run)
    assert found["notice_shown"] is False
    assert "Nothing is sent until the notice has been shown." in text
