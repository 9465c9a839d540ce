"""The command as a user runs it: real processes, an environment made from scratch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import tree

from getpatter.telemetry.testing import Receiver

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(child_environment: dict[str, str], tmp_path: Path) -> Command:
    """Run `getpatter …` in an empty directory; keywords are variables."""

    def run_command(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "getpatter", *arguments],
            check=False,
            env={**child_environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run_command


def test_status_says_on_and_what_each_rule_says(command: Command, home: Path) -> None:
    before = tree(home)
    result = command("telemetry", "status")
    assert result.returncode == 0
    assert result.stdout.startswith("Telemetry is on: default (nothing says off).")
    for rule in ("DO_NOT_TRACK", "PATTER_TELEMETRY", "opt-out marker", "CI or test run"):
        assert rule in result.stdout
    assert tree(home) == before


def test_status_is_the_default_action(command: Command) -> None:
    assert command("telemetry").stdout == command("telemetry", "status").stdout


def test_status_names_the_rule_that_decided(command: Command) -> None:
    assert (
        "off: DO_NOT_TRACK (set in the environment)"
        in command("telemetry", DO_NOT_TRACK="1", PATTER_TELEMETRY="0").stdout
    )


def test_status_as_json(command: Command) -> None:
    found = json.loads(command("telemetry", "status", "--json", CI="true").stdout)
    assert found["enabled"] is False
    assert found["decided_by"] == {"rule": "CI or test run", "why": "CI is set"}
    assert [rule["rule"] for rule in found["rules"] if rule["off"]] == ["CI or test run"]


def test_status_says_that_a_rate_with_a_typo_does_not_count(command: Command) -> None:
    said = command("telemetry", PATTER_TELEMETRY_SAMPLE="O.5").stdout
    assert "Sample rate: 1 (PATTER_TELEMETRY_SAMPLE must be a number between 0 and 1" in said


def test_status_never_shows_credentials_of_an_endpoint(command: Command) -> None:
    endpoint = "https://someone:s3cret@collector.example/v1/ingest?token=s3cret"
    for arguments in (("telemetry",), ("telemetry", "status", "--json")):
        said = command(*arguments, PATTER_TELEMETRY_ENDPOINT=endpoint).stdout
        assert "s3cret" not in said
        assert "collector.example" in said


def test_disable_then_enable(command: Command, home: Path) -> None:
    assert "off: opt-out marker" in command("telemetry", "disable").stdout
    assert (home / ".getpatter" / "telemetry-disabled").exists(), "where released versions look"
    assert "off: opt-out marker" in command("telemetry", "status").stdout
    assert "Telemetry is on" in command("telemetry", "enable").stdout
    assert not list(home.rglob("telemetry-disabled"))


def test_enable_under_do_not_track_says_that_it_is_still_off(command: Command) -> None:
    result = command("telemetry", "enable", DO_NOT_TRACK="1")
    assert result.returncode == 0
    assert "Telemetry is off: DO_NOT_TRACK" in result.stdout


def test_disable_erases_the_identity(command: Command, home: Path) -> None:
    state = home / ".local" / "state" / "getpatter"
    state.mkdir(parents=True, mode=0o700)
    (state / "install-id").write_text("a" * 32)
    command("telemetry", "disable")
    assert not (state / "install-id").exists()


def test_disable_that_cannot_be_stored_says_what_to_set_instead(
    command: Command, tmp_path: Path
) -> None:
    home = tmp_path / "a-file"
    home.write_text("")
    result = command("telemetry", "disable", HOME=str(home))
    assert result.returncode == 1
    assert result.stdout == ""
    assert "could not be stored" in result.stderr
    assert "DO_NOT_TRACK=1" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["disable", "forget"])
@pytest.mark.parametrize("name", ["install-id", "version", "ledger", "spool/1.json"])
def test_an_opt_out_that_is_stored_though_not_all_is_erased_says_so(
    command: Command, home: Path, name: str, verb: str
) -> None:
    """A directory under the name of a file of ours is not removed."""
    state = home / ".local" / "state" / "getpatter"
    (state / name).mkdir(parents=True)
    for directory in (state, *state.glob("spool")):
        directory.chmod(0o700)
    result = command("telemetry", verb)
    assert (result.returncode, result.stdout) == (1, "")
    assert "the opt-out is stored" in result.stderr
    assert str(state / name) in result.stderr
    assert "could not be stored" not in result.stderr
    assert "opt-out marker" in command("telemetry", "status").stdout


def test_without_a_command_it_shows_its_help(command: Command) -> None:
    result = command()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == command("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("telemtry",), "telemetry"),
        (("call",), "calls"),
        (("telemetry", "preveiw"), "preview"),
        (("telemetry", "explain", "call_complete"), "call_completed"),
        (("calls", "tial"), "tail"),
    ],
)
def test_a_misspelt_command_is_answered_with_the_right_one(
    command: Command, arguments: tuple[str, ...], meant: str
) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert f"Did you mean '{meant}'?" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_disable_and_enable_say_first_what_was_done(command: Command) -> None:
    def first(*arguments: str) -> str:
        return command("telemetry", *arguments).stdout.splitlines()[0]

    assert first("enable") == "No opt-out was stored."
    assert first("disable").startswith("Opted out, for every program of this user: ")
    assert first("disable").startswith("Opted out already")
    assert first("enable") == "The stored opt-out is removed."


@pytest.mark.parametrize("arguments", [("nonsense",), ("telemetry", "nonsense")])
def test_a_wrong_command_line_is_exit_2_and_one_line(
    command: Command, arguments: tuple[str, ...]
) -> None:
    result = command(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("getpatter")
    assert "--help" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("telemetry", "status"), ("telemetry", "--help")])
def test_an_output_that_cannot_be_written_is_exit_1_and_one_line(
    child_environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    with open(os.devnull) as unwritable:
        result = subprocess.run(
            [sys.executable, "-m", "getpatter", *arguments],
            check=False,
            env=child_environment,
            stdout=unwritable,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_help_has_examples(command: Command) -> None:
    assert "getpatter telemetry disable" in command("--help").stdout


def test_the_telemetry_command_never_sends(command: Command, receiver: Receiver) -> None:
    for action in ("status", "disable", "enable"):
        command("telemetry", action)
    assert receiver.requests == []


def test_a_reader_that_has_seen_enough_is_no_error(child_environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "getpatter", "telemetry"],
            check=False,
            env=child_environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert "Traceback" not in result.stderr
