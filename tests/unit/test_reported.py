"""Of all processes of an install one reports a call, and what remembers it stays small."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from getpatter.telemetry import opt_out
from getpatter.telemetry.reported import ReportedCalls, is_reported
from getpatter.telemetry.state_files import StateFiles

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = "0" * 32


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


def reported(directory: Path, install: str = INSTALL, *, writable: bool = True) -> ReportedCalls:
    files = StateFiles(str(directory), None, is_ours=True, writable=writable)
    return ReportedCalls(files, install)


def test_each_call_is_claimed_once(state: Path) -> None:
    assert reported(state).claim(("twilio:CA1",))
    assert not reported(state).claim(("twilio:CA1",))
    assert reported(state).claim(("plivo:CA1",))
    assert reported(state).claim(("twilio:CA2",))


def test_a_call_of_several_ids_is_claimed_by_any_of_them(state: Path) -> None:
    assert reported(state).claim(("plivo:u1", "plivo:r1"))
    assert not reported(state).claim(("plivo:r1",))
    assert not reported(state).claim(("plivo:r1", "plivo:x"))
    assert reported(state).claim(("plivo:y", "plivo:z"))
    assert not reported(state).claim(("plivo:z",))


def test_a_file_says_nothing_but_that_there_was_a_call(state: Path) -> None:
    reported(state).claim(("twilio:CA1",))
    reported(state, "1" * 32).claim(("twilio:CA1",))
    files = list((state / "calls").iterdir())
    assert len(files) == 2, "of two installs the same call has two names"
    for file in files:
        assert is_reported(file.name)
        assert file.read_bytes() == b""
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "calls").stat().st_mode) == 0o700


def test_where_nothing_may_be_written_every_call_is_new(state: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert reported(state, writable=False).claim(("twilio:CA1",))
    assert list(state.iterdir()) == []
    (state / "calls").symlink_to(tmp_path)
    assert reported(state).claim(("twilio:CA1",))
    assert reported(state).claim(("twilio:CA1",))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_what_is_older_than_a_day_goes_and_what_is_not_ours_stays(state: Path) -> None:
    calls = state / "calls"
    calls.mkdir(mode=0o700)
    other = calls / "notes"
    other.write_text("of somebody else")
    old = [calls / f"{number:032x}" for number in range(20)]
    for path in (other, *old):
        path.touch()
        os.utime(path, (time.time() - 90_000,) * 2)
    for number in range(500):
        reported(state).claim((f"twilio:{number}",))
    left = set(calls.iterdir())
    assert not left & set(old)
    assert other in left
    assert len(left) == 501


def test_disable_erases_it(state: Path) -> None:
    reported(state).claim(("twilio:CA1",))
    (state / "calls" / "notes").write_text("of somebody else")
    environ = {"PATTER_TELEMETRY_STATE_DIR": str(state), "HOME": str(state)}
    opt_out.set_opt_out(environ, disabled=True)
    assert [path.name for path in (state / "calls").iterdir()] == ["notes"]
