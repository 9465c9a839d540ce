"""What the host object says once it stands."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Run, tree

from getpatter.telemetry.testing import Receiver

CODE = """
from getpatter.telemetry import TelemetryClient, env
from getpatter.telemetry.startup import record_startup
environ = env.process_environment()
client = TelemetryClient(sdk_version=VERSION, flag=FLAG)
record_startup(client, environ, carrier="twilio", tunnel="none")
client.flush(60)
"""


def start(
    run: Run, receiver: Receiver, version: str = "0.8.0", *, flag: bool = True, **variables: str
) -> list[dict[str, Any]]:
    """Return the events of one start."""
    before = len(receiver.events)
    code = CODE.replace("FLAG", str(flag)).replace("VERSION", repr(version))
    assert run(code, **variables).returncode == 0
    return receiver.events[before:]


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_first_run_comes_once_and_before_sdk_initialized(run: Run, receiver: Receiver) -> None:
    first = start(run, receiver)
    assert names(first) == ["first_run", "sdk_initialized"]
    assert first[0] == {**first[1], "event": "first_run"}
    assert first[0]["carrier"] == "twilio"
    assert first[0]["tunnel"] == "none"
    assert first[0]["days_since_install_bucket"] == "0"
    assert "previous_sdk_version" not in first[0]
    assert names(start(run, receiver)) == ["sdk_initialized"]


def test_upgrade_names_the_version_before(run: Run, receiver: Receiver) -> None:
    start(run, receiver, "0.8.0")
    assert "previous_sdk_version" not in start(run, receiver, "0.8.0")[0]
    assert start(run, receiver, "0.9.0")[0]["previous_sdk_version"] == "0.8.0"
    assert "previous_sdk_version" not in start(run, receiver, "0.9.0")[0]


def test_earlier_install_is_no_first_run(run: Run, receiver: Receiver, home: Path) -> None:
    place = home / ".getpatter"
    place.mkdir()
    for name, content in (("install-id", "a" * 32), ("first-run", ""), ("version", "0.7.1")):
        (place / name).write_text(content)
    (event,) = start(run, receiver)
    assert event["event"] == "sdk_initialized"
    assert event["previous_sdk_version"] == "0.7.1"


def test_what_a_program_records_by_itself_stays_as_it_is(run: Run, receiver: Receiver) -> None:
    code = """
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="0.8.0")
for name in ("first_run", "sdk_initialized", "first_run"):
    client.record(name, days_since_install_bucket="8_30")
client.flush(60)
"""
    assert run(code).returncode == 0
    assert names(receiver.events) == ["first_run", "sdk_initialized", "first_run"]
    assert {event["days_since_install_bucket"] for event in receiver.events} == {"8_30"}


def test_debug_says_first_run_and_keeps_it(run: Run, receiver: Receiver, home: Path) -> None:
    before = tree(home)
    code = CODE.replace("FLAG", "None").replace("VERSION", "'0.8.0'")
    for _ in range(2):
        printed = run(code, PATTER_TELEMETRY_DEBUG="1").stderr.splitlines()
        assert len(printed) == 2
        assert '"event":"first_run"' in printed[0]
        assert '"event":"sdk_initialized"' in printed[1]
    assert tree(home) == before
    assert names(start(run, receiver)) == ["first_run", "sdk_initialized"]


def test_client_that_is_off_records_and_writes_nothing(
    run: Run, receiver: Receiver, home: Path
) -> None:
    before = tree(home)
    assert start(run, receiver, flag=False) == []
    assert tree(home) == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_state_that_cannot_be_stored_still_starts(
    run: Run, receiver: Receiver, tmp_path: Path, kind: str
) -> None:
    """Without a first run: who cannot know must not say so."""
    path = tmp_path / "named"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path / "work")
    found = start(run, receiver, PATTER_TELEMETRY_STATE_DIR=str(path))
    assert names(found) == ["sdk_initialized"]
    assert "days_since_install_bucket" not in found[0]
