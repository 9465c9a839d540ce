"""Stderr: how a few lines of ours get there, within a bound and whatever the host has put there.

Never waits for a reader that does not read (a full pipe, a stopped terminal), never holds a lock of
the host's stream while it waits, and never stops a host that runs in the background.
"""

import io
import os
import select
import signal
import stat
import sys
import threading

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry._descriptors import close, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["SECONDS", "write", "write_once"]

#: How long a write waits for a reader, in seconds: less than an ending program waits for us, so
#: that what could not be shown is still counted.
SECONDS = 0.2
# What a pipe that is ready takes without blocking.
_PIECE = select.PIPE_BUF if hasattr(select, "poll") else 512
# In how many turns another thread is waited for.
_TURNS = 20


# What was written once in this process. A text that two threads write at once may come twice.
_written: set[str] = set()


def write_once(text: str) -> None:
    """Write `text` unless this process has tried to before. Waits for nobody; never raises."""
    if text not in _written:
        _written.add(text)
        write(text, 0.0)


def write(text: str, seconds: float = SECONDS) -> bool:
    """Write `text` and return whether that succeeded within `seconds`. Never raises.

    False: stderr is None, closed, broken, the null device, or takes nothing in time. A buffer in
    memory takes the text and shows nobody anything: False, too.
    """
    stream = sys.stderr
    if stream is None:
        return False
    until = monotonic() + seconds
    if _is_plain(stream):
        return _write_file(stream.fileno(), text, until)
    if type(stream) is io.StringIO:
        _write_object(stream, text)  # nothing of the host's runs
        return False
    return _write_elsewhere(stream, text, until)


def _is_plain(stream: object) -> bool:
    """Return whether `stream` is an open file as the interpreter makes it, so that asking it runs
    no code of the host's.
    """
    if type(stream) is not io.TextIOWrapper:
        return False
    try:
        buffer: object = stream.buffer
        raw: object = buffer.raw if type(buffer) is io.BufferedWriter else buffer
    except ValueError:
        return False  # detached
    return type(raw) is io.FileIO and not raw.closed


def _write_file(descriptor: int, text: str, until: float) -> bool:
    """Write to an open file, past the host's stream and its lock."""
    try:
        own = _duplicate(descriptor)
    except OSError:
        return False
    rest, known = text.encode("ascii", "replace"), identity(own)
    try:
        if _is_null(own):
            return False
        with _InBackground():
            while rest:
                if not _is_ready(own, until) or identity(own) != known:
                    return False
                # Whole lines, as far as they fit: what others write stands between them.
                piece = rest[: rest.rfind(b"\n", 0, _PIECE) + 1 or _PIECE]
                rest = rest[os.write(own, piece) :]
    except OSError:
        return False
    finally:
        close(own, known)
    return True


def _duplicate(descriptor: int) -> int:
    """Return a descriptor of our own above the standard streams: the host may close its."""
    try:
        import fcntl
    except ImportError:  # Windows
        return os.dup(descriptor)
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def _is_null(descriptor: int) -> bool:
    """Return whether this is the null device, which shows nobody anything."""
    found = os.fstat(descriptor)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev


def _is_ready(descriptor: int, until: float) -> bool:
    """Wait until the file takes a piece, and return whether it does."""
    if not hasattr(select, "poll"):
        return True  # Windows
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # The system's wait, not the clock, bounds it: the host's tests may have stopped that.
    ready = poll.poll(min(SECONDS, max(0.0, until - monotonic())) * 1_000)
    # Without a reader a write would raise a signal.
    return bool(ready) and ready[0][1] & ~select.POLLOUT == 0


class _InBackground:
    """While it lasts, this thread may write to a terminal whose foreground is another job: the
    signal for that would stop the whole program.
    """

    def __enter__(self) -> None:
        self._before = None
        if hasattr(signal, "pthread_sigmask"):  # not on Windows
            self._before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


def _write_elsewhere(stream: "TextIO", text: str, until: float) -> bool:
    """Write to an object of the host's, which may hang or raise anything, on a thread of its own.

    Where none can be started any more, to the file behind it, if there is one.
    """
    done = threading.Event()
    succeeded = []
    turn = max(0.0, until - monotonic()) / _TURNS

    def work() -> None:
        with _InBackground():
            if _takes(_file_behind(stream), until) and _write_object(stream, text):
                succeeded.append(True)
        done.set()

    try:
        threading.Thread(target=work, name="getpatter-stderr", daemon=True).start()
    except RuntimeError:
        behind = _file_behind(stream)
        return behind is not None and _write_file(behind, text, until)
    # Each turn is one for that thread too: a host that holds up all threads while it loads
    # something is no stream that hangs.
    any(done.wait(turn) for _ in range(_TURNS))
    return bool(succeeded)


def _file_behind(stream: "TextIO") -> int | None:
    try:
        descriptor = stream.fileno()
    except BaseException:
        return None
    return descriptor if type(descriptor) is int and descriptor >= 0 else None


def _takes(behind: int | None, until: float) -> bool:
    """Return whether the file behind an object takes a piece. One that names none most likely
    writes to stderr itself, and would wait there with the host's lock.
    """
    try:
        if behind is not None and _is_null(behind):
            return False
        os.fstat(descriptor := 2 if behind is None else behind)
    except (OSError, OverflowError):
        return behind is None  # there is no file, so nothing to wait for
    return _is_ready(descriptor, until)


def _write_object(stream: "TextIO", text: str) -> bool:
    try:
        stream.write(text)
        stream.flush()
    except BaseException:
        return False
    return True
