"""The JSON lines sink: one event a line, in a file that is rotated and so never grows for ever.

Several processes may write the same file. A process that writes or rotates holds a lock of the file
itself, and looks afterwards whether it is still the one at the path. A line is in exactly one
file, also when a process is killed anywhere.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from getpatter.calls.events.sink import EventsLost
from getpatter.calls.mistakes import mistake
from getpatter.calls.private_file import PrivateFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from getpatter.calls.events.event import Event

__all__ = ["JsonLinesSink"]

# Some 40,000 events: days of a busy phone, and still opened by any editor.
_FILE_BYTES = 10 * 1024 * 1024
_FILES = 5
# So often a file is looked for that no other process has rotated away meanwhile.
_LOOKS = 100
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
# Soon enough that little waits, seldom enough to cost nothing.
_PAUSE_SECONDS = 0.2


class JsonLinesSink:
    """Writes events to `path`; at `max_bytes` it becomes `path.1`, that `path.2`, and so on.

    Together they hold at most `files` times `max_bytes`; the oldest goes. Raises at once if `path`
    is none, cannot be opened (its directory must be there), or is not this user's alone: a link, a
    FIFO, a device, a file of another user. An existing file is made readable by this user only.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int = _FILE_BYTES, files: int = _FILES
    ) -> None:
        given = os.fsdecode(path)
        if not given:
            message = "a JSON lines sink needs a path"
            raise ValueError(message)
        for name, number in (("max_bytes", max_bytes), ("files", files)):
            if number < 1:
                raise ValueError(mistake(name, ("at least 1",), number))
        #: Absolute: the program may change its directory.
        self.path = os.path.abspath(given)
        self._max_bytes = max_bytes
        self._files = files
        with self._open():
            pass

    def write(self, events: Sequence[Event]) -> float | None:
        """Append a line for each event; one that cannot be written does not hold up the others.

        Asks for another try as long as the process has no descriptor left.
        """
        lines = list(map(_line, events))
        fitting = [line for line in lines if len(line) <= self._max_bytes]
        lost = len(lines) - len(fitting)
        problem = "an event is larger than the file may be"
        for number, chunk in enumerate(_chunks(fitting, self._max_bytes)):
            missed, why = 0, "the disk is full"
            try:
                missed = len(chunk) - self._append(b"".join(chunk))
            except OSError as error:
                if number == 0 and error.errno in _NO_DESCRIPTOR:
                    return _PAUSE_SECONDS
                missed, why = len(chunk), f"{type(error).__name__}: {error.strerror or error}"
            if missed:
                lost, problem = lost + missed, why
        if lost:
            raise EventsLost(lost, problem)
        return None

    def close(self) -> None:
        """Nothing is held."""

    def _append(self, text: bytes) -> int:
        """Write lines at the end of the file; return for how many there was room."""
        for _ in range(_LOOKS):
            with self._open() as file:
                is_alone = file.lock()
                if not file.is_at_path():
                    continue  # another process has rotated it
                # One that was killed, or had no more room, may have left a part of a line.
                rest = b"" if file.last_byte() in (b"", b"\n") else b"\n"
                size = len(rest) + len(text)
                has_room = not file.size or file.size + size <= self._max_bytes
                # Who holds the lock for too long may be rotating: then the file may grow a little
                # too large, but no line is lost.
                if has_room or not is_alone:
                    written = file.write(rest + text)
                    return text[: max(0, written - len(rest))].count(b"\n")
                if file.is_locked:
                    self._rotate()
                    continue
            self._rotate()  # where there are no locks, an open file may not be renamed either
        message = "other processes rotate the file all the time"
        raise OSError(message)

    def _open(self) -> PrivateFile:
        return PrivateFile(self.path, os.O_APPEND)

    def _rotate(self) -> None:
        if self._files == 1:
            os.unlink(self.path)
            return
        # Up to the first gap, which one that was killed may have left: nothing goes before its
        # time. The last step makes the way free for others.
        numbers = range(1, self._files - 1)
        last = next(
            (n for n in numbers if not os.path.lexists(f"{self.path}.{n}")), self._files - 1
        )
        for number in range(last, 1, -1):
            with suppress(FileNotFoundError):
                os.replace(f"{self.path}.{number - 1}", f"{self.path}.{number}")
        os.replace(self.path, f"{self.path}.1")


def _chunks(lines: list[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield lines that fit into one file together."""
    chunk: list[bytes] = []
    left = size
    for line in lines:
        if len(line) > left:
            yield chunk
            chunk, left = [], size
        chunk.append(line)
        left -= len(line)
    if chunk:
        yield chunk


def _line(event: Event) -> bytes:
    text = json.dumps(event.as_dict(), ensure_ascii=False, separators=(",", ":"))
    # A surrogate without its pair, as a broken decoder leaves it, is no UTF-8.
    return text.encode("utf-8", "backslashreplace") + b"\n"
