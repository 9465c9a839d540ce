"""Files of ours that are open while we wait: a host may close what it did not open meanwhile, and
open something else under the same number. That is neither written to nor closed.
"""

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import pytest
from descriptors import closed_behind_its_back

from getpatter.calls import Event, JsonLinesSink
from getpatter.calls.private_file import PrivateFile
from getpatter.telemetry import _stderr
from getpatter.telemetry._locks import Lock

PATIENCE = 30.0


def locked(path: Path) -> AbstractContextManager[object]:
    return Lock(str(path))


def private(path: Path) -> AbstractContextManager[object]:
    return PrivateFile(str(path))


def private_and_locked(path: Path) -> AbstractContextManager[object]:
    stack = ExitStack()
    assert stack.enter_context(PrivateFile(str(path))).lock()
    return stack


@pytest.mark.parametrize("opened", [locked, private, private_and_locked])
def test_what_the_host_opens_while_a_file_is_held_is_not_closed(
    tmp_path: Path, opened: Callable[[Path], AbstractContextManager[object]]
) -> None:
    with ExitStack() as held:
        held.enter_context(opened(tmp_path / "file"))
        with closed_behind_its_back(tmp_path):  # looks in the end whether all is there
            held.close()


@pytest.mark.parametrize("opened", [locked, private, private_and_locked])
def test_a_file_that_the_host_has_closed_is_no_error(
    tmp_path: Path, opened: Callable[[Path], AbstractContextManager[object]]
) -> None:
    with opened(tmp_path / "file"):
        for number in open_as(tmp_path / "file"):
            os.close(number)


def open_as(what: "Path | int") -> set[int]:
    """The numbers under which a file is open in this process."""
    wanted = os.stat(what)
    found = set()
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            if os.path.samestat(os.fstat(int(name)), wanted):
                found.add(int(name))
    return found


def waits_for_lock(thread: threading.Thread) -> bool:
    """Whether it is past opening its file: in the method `lock` of that."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != "lock":
        frame = frame.f_back
    return frame is not None


@pytest.mark.parametrize("opens", [True, False])
def test_a_sink_that_waits_for_a_lock_opens_its_file_again(tmp_path: Path, *, opens: bool) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path)
    lines = 0
    with path.open("ab") as held, (tmp_path / "the host's").open("wb") as mine:
        others = {held.fileno()}
        ours: set[int] = set()
        while not ours:  # it waits for a quarter of a second at most
            fcntl.flock(held, fcntl.LOCK_EX)
            event = Event("event", "mine", "node", 1, lines, {})
            thread = threading.Thread(target=sink.write, args=([event],))
            begin = time.monotonic()
            thread.start()
            while thread.is_alive() and not ours:
                ours = open_as(path) - others if waits_for_lock(thread) else set()
            for number in ours:
                os.dup2(mine.fileno(), number) if opens else os.close(number)
            was_waiting = time.monotonic() - begin < 0.1
            fcntl.flock(held, fcntl.LOCK_UN)
            thread.join(PATIENCE)
            lines += 1
            if not was_waiting:  # it may have been about to close its file: once more
                for number in ours if opens else ():
                    with suppress(OSError):
                        os.close(number)
                ours = set()
        assert len(path.read_bytes().splitlines()) == lines
        for number in ours if opens else ():
            assert os.path.samestat(os.fstat(number), os.fstat(mine.fileno()))
            os.close(number)
        with (tmp_path / "the host's").open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert (tmp_path / "the host's").read_bytes() == b""


@pytest.mark.parametrize("opens", [True, False])
def test_what_the_host_opens_while_its_stderr_is_waited_for_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, opens: bool
) -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writes, b"x" * 4_096)
    monkeypatch.setattr(_stderr, "SECONDS", PATIENCE)
    monkeypatch.setattr(sys, "stderr", open(writes, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_stderr.write("text\n", PATIENCE)))
    thread.start()
    while not (ours := open_as(writes) - {reads, writes}):
        os.sched_yield()
    (number,) = ours
    with (tmp_path / "the host's").open("wb") as mine:
        if opens:
            os.dup2(mine.fileno(), number)
        else:
            os.close(number)
        os.read(reads, 65_536)  # now it could be written
        thread.join(PATIENCE)
        assert answers == [False]
        if opens:
            assert os.path.samestat(os.fstat(number), os.fstat(mine.fileno()))
            os.close(number)
    assert (tmp_path / "the host's").read_bytes() == b""
    for descriptor in (reads, writes):
        os.close(descriptor)
