"""The JSON lines sink: one event a line, in a file that is rotated and so never grows for ever.

Several processes may write the same file: a line is one write at its end, and who finds that
another has rotated it opens the new one.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from getpatter.calls.sink import EventsLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.calls.event import Event

__all__ = ["JsonLinesSink"]

# Some 40,000 events: days of a busy phone, and still opened by any editor.
_FILE_BYTES = 10 * 1024 * 1024
_FILES = 5
# What calls say is nobody else's on this machine.
_MODE = 0o600


class JsonLinesSink:
    """Writes events to `path`; at `max_bytes` it becomes `path.1`, that `path.2`, and so on.

    Together they hold at most `files` times `max_bytes`; the oldest goes. Raises at once if `path`
    is none or cannot be opened (its directory must be there). A `fork` child goes on with the file.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int = _FILE_BYTES, files: int = _FILES
    ) -> None:
        self.path = os.fspath(path)
        if not self.path:
            message = "a JSON lines sink needs a path"
            raise ValueError(message)
        if max_bytes < 1 or files < 1:
            message = "max_bytes and files are at least 1"
            raise ValueError(message)
        self._max_bytes = max_bytes
        self._files = files
        self._file = self._open()

    def write(self, events: Sequence[Event]) -> None:
        """Append a line for each event; one that cannot be written does not hold up the others."""
        lost, problem = 0, ""
        waiting: list[bytes] = []
        size = 0
        for line in map(_line, events):
            if len(line) > self._max_bytes:
                lost, problem = lost + 1, "an event is larger than the file may be"
                continue
            if size + len(line) > self._max_bytes:
                missed, error = self._append(waiting)
                lost, problem = lost + missed, error or problem
                waiting, size = [], 0
            waiting.append(line)
            size += len(line)
        missed, error = self._append(waiting)
        if lost + missed:
            raise EventsLost(lost + missed, error or problem)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, lines: list[bytes]) -> tuple[int, str]:
        """Write lines in one go; return how many are lost, and why."""
        text = b"".join(lines)
        if not text:
            return 0, ""
        try:
            self._make_room(len(text))
            written = os.write(self._file, text)
            if written == len(text):
                return 0, ""
            os.write(self._file, b"\n")  # what comes next is a line of its own
        except OSError as error:
            return len(lines), f"{type(error).__name__}: {error.strerror or error}"
        return len(lines) - text[:written].count(b"\n"), "the disk is full"

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        return os.open(self.path, flags, _MODE)

    def _make_room(self, size: int) -> None:
        """See to it that the file at `path` is open and has room."""
        mine = os.fstat(self._file)
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            there = None
        is_mine = there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
        if is_mine and mine.st_size + size <= self._max_bytes:
            return
        if is_mine:
            self._rotate()
        self.close()
        self._file = self._open()

    def _rotate(self) -> None:
        if self._files == 1:
            os.unlink(self.path)
            return
        for number in range(self._files - 1, 1, -1):
            older, newer = f"{self.path}.{number}", f"{self.path}.{number - 1}"
            with suppress(FileNotFoundError):
                os.replace(newer, older)
        with suppress(FileNotFoundError):  # another process has just rotated it
            os.replace(self.path, f"{self.path}.1")


def _line(event: Event) -> bytes:
    text = json.dumps(event.as_dict(), ensure_ascii=False, separators=(",", ":"))
    # A surrogate without its pair, as a broken decoder leaves it, is no UTF-8.
    return text.encode("utf-8", "backslashreplace") + b"\n"
