"""`getpatter telemetry status`: the facts, as plain values and as lines, and never a secret."""

import json
import re
from pathlib import Path

import pytest
from conftest import Run, tree

from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.testing import Receiver

CODE = "import json; from getpatter.telemetry import status; print(json.dumps(status.collect()))"
LINES = "from getpatter.telemetry import status; print(status.render(status.collect()))"
RULES = [
    "DO_NOT_TRACK",
    "PATTER_TELEMETRY",
    "PATTER_TELEMETRY_DISABLED",
    "opt-out marker",
    "telemetry=False",
    "CI or test run",
]


def facts(run: Run, **variables: str | None) -> dict[str, object]:
    result = run(CODE, catch_up=False, **variables)
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def lines(run: Run, **variables: str | None) -> str:
    result = run(LINES, catch_up=False, **variables)
    assert result.stderr == ""
    return result.stdout


def test_facts_of_a_fresh_install(run: Run, home: Path) -> None:
    found = facts(run, PATTER_TELEMETRY_ENDPOINT=None)
    rules = found.pop("rules")
    directory = found.pop("state_directory")
    at_exit = found.pop("exit")
    assert isinstance(at_exit, dict)
    assert at_exit["mode"] in ("detach", "wait")  # it depends on the machine
    assert at_exit["why"]
    assert found == {
        "enabled": True,
        "decided_by": {"rule": "default", "why": "nothing says off"},
        "debug": False,
        "sample_rate": 1.0,
        "sample_rate_understood": True,
        "endpoint": "https://telemetry.getpatter.com/v1/ingest",
        "endpoint_from": "default",
        "state_problem": None,
        "notice_shown": False,
        "grace": 30.0,
        "grace_left": 30.0,
        "grace_understood": True,
        "first_run": "the next successful start",
        "exit_understood": True,
        "spooled": 0,
        "lost": {},
        "withheld": [],
        "unknown_variables": [],
        "misspelt_opt_outs": {},
        "endpoint_problem": None,
    }
    assert isinstance(rules, list)
    assert [rule["rule"] for rule in rules] == RULES
    assert not any(rule["off"] for rule in rules)
    assert all(rule["why"] for rule in rules)
    assert str(directory).startswith(str(home))


def test_asking_changes_nothing(run: Run, tmp_path: Path) -> None:
    before = tree(tmp_path)
    facts(run)
    lines(run)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("variables", "rule", "why"),
    [
        ({"DO_NOT_TRACK": "1"}, "DO_NOT_TRACK", "set in the environment"),
        ({"PATTER_TELEMETRY": "0"}, "PATTER_TELEMETRY", "set in the environment"),
        ({"PATTER_TELEMETRY_DISABLED": "1"}, "PATTER_TELEMETRY_DISABLED", "set in the environment"),
        ({"GITLAB_CI": "1"}, "CI or test run", "GITLAB_CI is set"),
        ({"PYTEST_VERSION": "8"}, "CI or test run", "PYTEST_VERSION is set"),
    ],
)
def test_names_the_rule_that_decided(
    run: Run, variables: dict[str, str], rule: str, why: str
) -> None:
    found = facts(run, **variables)
    assert found["enabled"] is False
    assert found["decided_by"] == {"rule": rule, "why": why}
    shown = lines(run, **variables)
    assert shown.startswith(f"Telemetry is off: {rule} ({why}).\n")
    assert "Turn it off" not in shown


def test_says_what_each_other_rule_says(run: Run) -> None:
    found = facts(run, DO_NOT_TRACK="1", PATTER_TELEMETRY="1", CI="1")
    rules = found["rules"]
    assert isinstance(rules, list)
    said = {rule["rule"]: (rule["off"], rule["why"]) for rule in rules}
    assert said["DO_NOT_TRACK"] == (True, "set in the environment")
    assert said["PATTER_TELEMETRY"] == (False, "set, and does not say off")
    assert said["PATTER_TELEMETRY_DISABLED"] == (False, "not set")
    assert said["CI or test run"] == (True, "CI is set")
    shown = lines(run, DO_NOT_TRACK="1", PATTER_TELEMETRY="1", CI="1")
    for rule in RULES:
        assert f"\n  {rule} " in shown


def test_says_no_more_of_the_flag_than_it_can_know(run: Run) -> None:
    rules = facts(run)["rules"]
    assert isinstance(rules, list)
    said = {rule["rule"]: rule["why"] for rule in rules}
    assert said["telemetry=False"] == "known only to your program"


def test_opt_out_in_dotenv_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / ".env").write_text("DO_NOT_TRACK=1\n")
    assert facts(run)["decided_by"] == {"rule": "DO_NOT_TRACK", "why": "set in .env"}


def test_stored_opt_out_says_where(run: Run, home: Path) -> None:
    marker = home / ".getpatter" / "telemetry-disabled"
    marker.parent.mkdir()
    marker.touch()
    assert facts(run)["decided_by"] == {"rule": "opt-out marker", "why": f"stored in {marker}"}


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://user:secret@telemetry.example/v1/ingest", "https://telemetry.example/v1/ingest"),
        ("https://secret@telemetry.example:8443/v1", "https://telemetry.example:8443/v1"),
        ("https://telemetry.example/v1?key=secret", "https://telemetry.example/v1"),
        ("https://telemetry.example/v1#secret", "https://telemetry.example/v1"),
        ("https://telemetry.example?key=secret", "https://telemetry.example"),
        ("http://user:secret@telemetry.example/v1", None),
        ("ftp://user:secret@telemetry.example/", None),
        ("https://user:secret@", None),
        ("https://user:secret@host:port/", None),
        ("https://user:secret@[::1/", None),
        ("secret", None),
    ],
)
def test_credentials_of_an_endpoint_are_never_shown(
    run: Run, endpoint: str, shown: str | None
) -> None:
    found = facts(run, PATTER_TELEMETRY_ENDPOINT=endpoint)
    assert found["endpoint"] == shown
    assert found["endpoint_from"] == "PATTER_TELEMETRY_ENDPOINT"
    assert "secret" not in json.dumps(found)
    text = lines(run, PATTER_TELEMETRY_ENDPOINT=endpoint)
    assert "secret" not in text
    assert ("cannot be used, so nothing is sent" in text) is (shown is None)


def test_empty_endpoint_is_unset(run: Run) -> None:
    assert facts(run, PATTER_TELEMETRY_ENDPOINT="")["endpoint_from"] == "default"


@pytest.mark.parametrize(
    ("value", "rate", "is_understood"),
    [("0.25", 0.25, True), ("0", 0.0, True), ("1O%", 1.0, False)],
)
def test_sample_rate_that_is_a_typo_says_so(
    run: Run, value: str, rate: float, is_understood: bool
) -> None:
    found = facts(run, PATTER_TELEMETRY_SAMPLE=value)
    assert (found["sample_rate"], found["sample_rate_understood"]) == (rate, is_understood)
    shown = lines(run, PATTER_TELEMETRY_SAMPLE=value)
    assert f"Sample rate: {rate:g}" in shown
    assert ("is ignored" in shown) is not is_understood


def test_debug_says_that_nothing_is_sent(run: Run) -> None:
    assert facts(run, PATTER_TELEMETRY_DEBUG="1")["debug"] is True
    assert "nothing is sent" in lines(run, PATTER_TELEMETRY_DEBUG="1")
    assert "nothing is sent" not in lines(run)


def test_state_that_cannot_be_stored_says_why(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    named = str(tmp_path / "file")
    found = facts(run, PATTER_TELEMETRY_STATE_DIR=named)
    assert found["state_directory"] is None
    assert found["state_problem"] == "the state directory is not a directory"
    assert "in memory only, because the state" in lines(run, PATTER_TELEMETRY_STATE_DIR=named)


def test_never_shows_an_identity(run: Run) -> None:
    identity = run("from getpatter.telemetry import install_id as i; print(i.install_id())").stdout
    assert len(identity.strip()) == 32
    assert identity.strip() not in json.dumps(facts(run))
    assert identity.strip() not in lines(run)


def test_notice_shown_is_told(run: Run, home: Path) -> None:
    run("from getpatter.telemetry import install_id as i; i.open_state().notice.remember()")
    assert list(home.rglob("notice"))
    assert facts(run)["notice_shown"] is True


def test_the_grace_is_told(run: Run) -> None:
    default: dict[str, str | None] = {"PATTER_TELEMETRY_ENDPOINT": None}
    text = lines(run, **default)
    assert "The next program shows it. Nothing leaves before it, nor for 30 s after it.\n" in text
    assert "Nothing leaves before it.\n" in lines(run), "there is no grace on this machine"
    run("from getpatter.telemetry import install_id as i; i.open_state().notice.remember()")
    left = facts(run, PATTER_TELEMETRY_GRACE="900", **default)["grace_left"]
    assert isinstance(left, float)
    assert 800 < left <= 900
    assert "Notice: shown. Nothing leaves for another" in lines(run, PATTER_TELEMETRY_GRACE="900")
    assert "Notice: shown.\n" in lines(run)


def test_the_grace_after_an_update_is_told_as_such(run: Run, home: Path) -> None:
    """What the notice before had named leaves; only what is new waits."""
    run("from getpatter.telemetry import install_id as i; i.open_state().notice.remember()")
    (notice,) = home.rglob("notice")
    _, shown, *_ = notice.read_text().split()
    notice.write_text(f"{SCHEMA_VERSION} {shown} {SCHEMA_VERSION - 1}")
    text = lines(run, PATTER_TELEMETRY_GRACE="900")
    assert re.search("Notice: shown. What it names as new leaves in [0-9]+ s at the earliest", text)
    assert "Withheld until" in text


SILENT = [
    {"PATTER_TELEMETRY": "0"},
    {"PATTER_TELEMETRY_DEBUG": "1"},
    {"PATTER_TELEMETRY_ENDPOINT": "ftp://example"},
]


@pytest.mark.parametrize("variables", SILENT)
def test_no_notice_and_no_grace_is_promised_where_nothing_is_sent(
    run: Run, variables: dict[str, str | None]
) -> None:
    variables = {"PATTER_TELEMETRY_GRACE": "900", **variables}
    assert "Notice: not shown. Nothing is sent, so none is due.\n" in lines(run, **variables)
    run("from getpatter.telemetry import install_id as i; i.open_state().notice.remember()")
    assert "Notice: shown.\n" in lines(run, **variables)


def test_a_typo_in_the_grace_is_said(run: Run) -> None:
    assert facts(run, PATTER_TELEMETRY_GRACE="1m")["grace_understood"] is False
    assert "PATTER_TELEMETRY_GRACE must be a number of seconds" in lines(
        run, PATTER_TELEMETRY_GRACE="1m"
    )
    assert facts(run, PATTER_TELEMETRY_GRACE="1m")["unknown_variables"] == []


def test_the_first_run_is_told(run: Run) -> None:
    assert "First run: the next successful start" in lines(run)
    run("from getpatter.telemetry import install_id as i; i.is_first_run()")
    assert "First run: was claimed" in lines(run)


def test_on_says_how_to_turn_it_off(run: Run) -> None:
    assert "getpatter telemetry disable" in lines(run)


@pytest.mark.parametrize("mode", ["detach", "wait", "spool", "none"])
def test_the_way_to_exit_is_said_and_why(run: Run, mode: str) -> None:
    found = facts(run, PATTER_TELEMETRY_EXIT=mode)
    assert found["exit"] == {"mode": mode, "why": "set by PATTER_TELEMETRY_EXIT"}
    text = lines(run, PATTER_TELEMETRY_EXIT=mode)
    assert f"At exit: {mode} (set by PATTER_TELEMETRY_EXIT)" in text


def test_a_typo_in_the_way_to_exit_is_said(run: Run) -> None:
    assert facts(run, PATTER_TELEMETRY_EXIT="deatch")["exit_understood"] is False
    text = lines(run, PATTER_TELEMETRY_EXIT="deatch")
    assert "PATTER_TELEMETRY_EXIT must be one of detach, wait, spool, none; it is ignored" in text


def test_a_typo_in_the_name_of_a_variable_is_said(run: Run) -> None:
    assert facts(run, PATTER_TELEMETY="yes")["unknown_variables"] == ["PATTER_TELEMETY"]
    text = lines(run, PATTER_TELEMETY="yes")
    assert "PATTER_TELEMETY is not a known variable and is ignored. Did you mean " in text
    assert "Did you mean PATTER_TELEMETRY?\n" in text
    assert text.startswith("Telemetry is on")


def test_a_name_one_letter_off_is_said(run: Run) -> None:
    text = lines(run, DO_NOT_TRAK="0", PATER_TELEMETRY="yes", PATER_TELEMETRY_DEBUG="1")
    assert text.startswith("Telemetry is on")
    for name, meant in (
        ("DO_NOT_TRAK", "DO_NOT_TRACK"),
        ("PATER_TELEMETRY", "PATTER_TELEMETRY"),
        ("PATER_TELEMETRY_DEBUG", "PATTER_TELEMETRY_DEBUG"),
    ):
        assert f"{name} is not a known variable and is ignored. Did you mean {meant}?\n" in text


def test_an_opt_out_with_a_typo_in_its_name_is_one_and_is_said(run: Run, tmp_path: Path) -> None:
    text = lines(run, PATTER_TELEMTRY="0")
    assert text.startswith("Telemetry is off: PATTER_TELEMETRY (set in the environment as PATTER_T")
    assert "PATTER_TELEMTRY is not a known variable, but reads as an opt-out" in text
    assert "Did you mean PATTER_TELEMETRY?\n" in text
    (tmp_path / "work" / ".env").write_text("PATTER_DISABLE_TELEMETRY=1\n")
    found = facts(run)
    assert found["unknown_variables"] == ["PATTER_DISABLE_TELEMETRY"]
    assert found["decided_by"] == {
        "rule": "PATTER_TELEMETRY_DISABLED",
        "why": "set in .env as PATTER_DISABLE_TELEMETRY. Did you mean PATTER_TELEMETRY_DISABLED?",
    }


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("http://telemetry.example/v1", "plain http is allowed to this machine only; use https"),
        ("telemetry.example/v1", "it does not begin with https:// or http://"),
        ("ftp://telemetry.example/v1", "it does not begin with https:// or http://"),
        ("https:///v1", "it has no valid host name"),
        ("https://a b/v1", "it has no valid host name"),
        ("https://host:port/", "it is not a valid URL"),
    ],
)
def test_an_endpoint_that_cannot_be_used_says_why(run: Run, endpoint: str, why: str) -> None:
    assert facts(run, PATTER_TELEMETRY_ENDPOINT=endpoint)["endpoint_problem"] == why
    assert f"so nothing is sent: {why}.\n" in lines(run, PATTER_TELEMETRY_ENDPOINT=endpoint)


def test_what_waits_on_disk_and_what_was_lost_is_said(run: Run, receiver: Receiver) -> None:
    receiver.answer(404)
    code = """
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("no_such_event")
client.record("cli_command", cli_command="demo")
assert not client.flush(10)
"""
    assert run(code, catch_up=False).returncode == 0
    found = facts(run)
    assert found["spooled"] == 1
    assert found["lost"] == {"unknown": {"unknown_event": 1}}
    text = lines(run)
    assert "Spooled (on disk): 1 event\n" in text
    assert "1 unknown (unknown_event)" in text
