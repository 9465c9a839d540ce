"""`getpatter calls tail` with several calls at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.calls import Event
from getpatter.cli import main

if TYPE_CHECKING:
    from pathlib import Path

LONG = 60.0


def line(session: str, number: int) -> str:
    return json.dumps(Event(f"event-{number}", session, "x", 1, number, {}).as_dict()) + "\n"


def write(path: Path, *sessions: str) -> Path:
    path.write_text("".join(line(session, number) for number, session in enumerate(sessions)))
    return path


def tail(capsys: Any, path: Path, *arguments: object) -> tuple[int, list[str], str]:
    code = main(["calls", "tail", str(path), "--no-follow", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (["call-2026-a", "call-2026-b"], ["call-2026-a", "call-2026-b"]),
        (["call-2026-a1", "call-2026-b1"], ["call-2026-a", "call-2026-b"]),
        (["call", "call-2026", "other"], ["call", "call-202", "other"]),
        (["0123456789", "abcdefghij"], ["01234567", "abcdefgh"]),
        (["0123456789", "0123456789"], ["01234567", "01234567"]),
        (["\x07call-aaa-1", "\x07call-aaa-2"], ["\\x07call-aaa-1", "\\x07call-aaa-2"]),
    ],
)
def test_calls_at_a_time_look_different(
    tmp_path: Path, capsys: Any, ids: list[str], shown: list[str]
) -> None:
    code, lines, _ = tail(capsys, write(tmp_path / "calls", *ids))
    assert code == 0
    assert [text.split()[1] for text in lines] == shown


def test_each_call_has_a_colour_of_its_own(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    names = [f"{letter * 8}" for letter in "abcdefgh"]
    _, lines, _ = tail(capsys, write(tmp_path / "calls", *names, *names))
    colours: dict[str, str] = {}
    for text, name in zip(lines, names * 2, strict=True):
        colour = text.partition(name)[0].rpartition("\x1b")[2]
        assert colours.setdefault(name, colour) == colour
    assert len(set(colours.values())) == len(names)
    assert "\\x1b" not in "".join(lines)
    assert not {"[31m", "[32m"} & set(colours.values()), "those tell how it ended"


def test_the_lines_of_a_call_are_counted_and_not_those_between(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "calls", "mine", "mine", "mine", *["other"] * 200)
    _, lines, _ = tail(capsys, path, "--call", "mine", "--lines", 2)
    assert [text.split()[3] for text in lines] == ["event-1", "event-2"]
    _, lines, _ = tail(capsys, path, "--call", "mine")
    assert len(lines) == 3
    assert tail(capsys, path, "--call", "mine", "--lines", 0) == (0, [], "")


@pytest.mark.parametrize("asked", ["third", "mine-", "ine", "mine\x1b[31m"])
@pytest.mark.parametrize("form", [(), ("--json",), ("--lines", "0")])
def test_a_call_that_does_not_exist(
    tmp_path: Path, capsys: Any, asked: str, form: tuple[str, ...]
) -> None:
    path = write(tmp_path / "calls", "mine", "other")
    code, lines, err = tail(capsys, path, "--call", asked, *form)
    assert (code, lines, err.count("\n")) == (2, [], 1)
    assert err.startswith("getpatter: no call begins with ")
    assert "\x1b" not in err


def test_a_call_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path / "calls", "other")
    with subprocess.Popen(
        [sys.executable, "-m", "getpatter", "calls", "tail", str(path), "--call", "mine"],
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        watchdog = threading.Timer(LONG, process.kill)
        watchdog.start()
        try:
            assert process.stderr.readline() == "getpatter: no call begins with mine yet\n"
            with path.open("a") as out:
                out.write(line("other", 1) + line("mine", 2))
            assert "event-2" in process.stdout.readline()
        finally:
            process.kill()
            watchdog.cancel()
