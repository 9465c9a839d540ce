"""The notice on stderr: shown or not, within a bound, whatever the host has put there."""

import asyncio
import contextlib
import io
import os
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from getpatter.telemetry import notice

#: What reads, what writes.
Pipe = tuple[int, int]
TEXT = "one line\nand another\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that nobody reads."""
    reads, writes = os.pipe()
    yield reads, writes
    for descriptor in (reads, writes):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def fill(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 4_096)
    os.set_blocking(descriptor, True)


def as_stderr(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    """What the interpreter makes of a descriptor."""
    stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", stream)


def test_a_pipe_that_is_read_gets_it_whole(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    as_stderr(monkeypatch, pipe[1])
    assert notice.show(TEXT) is True
    assert os.read(pipe[0], 1_000) == TEXT.encode()


def test_more_than_a_pipe_holds_arrives_whole_where_somebody_reads(
    monkeypatch: pytest.MonkeyPatch, pipe: Pipe
) -> None:
    as_stderr(monkeypatch, pipe[1])
    text = "".join(f"line {number}\n" for number in range(50_000))
    got: list[bytes] = []

    def read() -> None:
        while sum(map(len, got)) < len(text):
            got.append(os.read(pipe[0], 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    assert notice.show(text) is True
    reader.join(10)
    assert b"".join(got).decode() == text


def test_a_file_gets_it_behind_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        file.write("before\n")
        file.flush()
        as_stderr(monkeypatch, file.fileno())
        assert notice.show(TEXT) is True
    assert path.read_text() == "before\n" + TEXT


def full_pipe(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    fill(pipe[1])
    as_stderr(monkeypatch, pipe[1])


def pipe_without_a_reader(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    os.close(pipe[0])
    as_stderr(monkeypatch, pipe[1])


def read_only(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    stream = open(pipe[1], "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.dup2(pipe[0], pipe[1])
    monkeypatch.setattr(sys, "stderr", stream)


def closed_descriptor(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    as_stderr(monkeypatch, pipe[1])
    os.close(pipe[1])


def closed_stream(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    as_stderr(monkeypatch, pipe[1])
    sys.stderr.close()


def detached_stream(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    as_stderr(monkeypatch, pipe[1])
    sys.stderr.detach()  # type: ignore[union-attr] # a TextIOWrapper


def none(monkeypatch: pytest.MonkeyPatch, _: Pipe) -> None:
    monkeypatch.setattr(sys, "stderr", None)


def null_device(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    """Whoever discards stderr pipe[0] nothing."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, pipe[1])
    os.close(null)
    as_stderr(monkeypatch, pipe[1])


def full_device(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, pipe[1])
    os.close(full)
    as_stderr(monkeypatch, pipe[1])


def wrapped_full_pipe(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    """An object of the host's that hands on what it is given."""
    full_pipe(monkeypatch, pipe)
    monkeypatch.setattr(sys, "stderr", HandsOn(sys.stderr))


class HandsOn:
    """What programs put in the place of stderr: colours, a copy in a file."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@pytest.mark.parametrize(
    "make",
    [
        full_pipe,
        pipe_without_a_reader,
        read_only,
        closed_descriptor,
        closed_stream,
        detached_stream,
        none,
        null_device,
        full_device,
        wrapped_full_pipe,
    ],
)
def test_it_is_not_shown_where_nobody_can_read_it(
    monkeypatch: pytest.MonkeyPatch,
    pipe: Pipe,
    make: Callable[[pytest.MonkeyPatch, Pipe], None],
) -> None:
    make(monkeypatch, pipe)
    assert notice.show(TEXT) is False


def test_the_lock_of_a_stream_that_takes_nothing_is_not_held(
    monkeypatch: pytest.MonkeyPatch, pipe: Pipe
) -> None:
    full_pipe(monkeypatch, pipe)
    assert notice.show(TEXT) is False
    for _ in range(32):
        os.read(pipe[0], 65_536)
        if not fills(pipe[1]):
            break
    print("of the host", file=sys.stderr, flush=True)
    assert os.read(pipe[0], 65_536).endswith(b"of the host\n")


def fills(descriptor: int) -> bool:
    os.set_blocking(descriptor, False)
    try:
        os.write(descriptor, b"x")
    except BlockingIOError:
        return True
    finally:
        os.set_blocking(descriptor, True)
    return False


def test_a_buffer_in_memory_takes_it_and_shows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert notice.show(TEXT) is False
    assert sys.stderr.getvalue() == TEXT  # type: ignore[union-attr]


class Raises:
    """A stream of the host's that raises, whatever it is asked."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattribute__(self, name: str) -> object:
        raise object.__getattribute__(self, "_error")


@pytest.mark.parametrize(
    "error",
    [
        OSError(),
        RuntimeError(),
        SystemExit(3),
        GeneratorExit(),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        RecursionError(),
    ],
)
def test_whatever_a_stream_of_the_host_raises_it_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(sys, "stderr", Raises(error))
    assert notice.show(TEXT) is False


def test_a_stream_of_the_host_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go = threading.Event()

    class Hangs(io.StringIO):
        def write(self, text: str) -> int:
            let_go.wait(30)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Hangs())
    assert notice.show(TEXT) is False
    let_go.set()


@pytest.mark.parametrize("method", ["fileno", "write"])
def test_a_host_that_holds_up_all_threads_is_no_stream_that_hangs(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """As loading a large extension does."""

    class Busy(io.StringIO):
        def fileno(self) -> int:
            hold("fileno")
            return super().fileno()

        def write(self, text: str) -> int:
            hold("write")
            return super().write(text)

    def hold(name: str) -> None:
        if name == method:
            sum(range(40_000_000))  # one call, in which no other thread runs

    monkeypatch.setattr(sys, "stderr", Busy())
    assert notice.show(TEXT) is True
    assert sys.stderr.getvalue() == TEXT  # type: ignore[union-attr]


def test_a_terminal_that_is_stopped_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-S."""
    master, terminal = os.openpty()
    try:
        as_stderr(monkeypatch, terminal)
        termios.tcflow(terminal, termios.TCOOFF)
        assert notice.show(TEXT) is False
        termios.tcflow(terminal, termios.TCOON)
        assert notice.show(TEXT) is True
        assert os.read(master, 1_000).replace(b"\r", b"") == TEXT.encode()
    finally:
        os.close(master)
        os.close(terminal)
