"""Reading a diagnostics file: its rotated parts, and what comes while one looks."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

__all__ = ["follow", "lines", "parts"]

# Soon enough to look live, seldom enough to cost nothing.
_POLL_SECONDS = 0.2
_READ_BYTES = 1 << 16
# As many parts as anybody keeps.
_PARTS = 1_000
# So often what comes next is looked for at once, while others rotate.
_LOOKS = 20


def parts(path: str) -> list[str]:
    """Return the files that belong to `path`, the oldest first: `path.2`, `path.1`, `path`."""
    numbers = range(1, _PARTS)
    older = [f"{path}.{n}" for n in numbers if os.path.isfile(f"{path}.{n}")]
    return [*reversed(older), path]


def lines(path: str) -> Iterator[str]:
    """Yield the lines that there are, those of the rotated parts first; `-` is standard input.

    Raises OSError if the file cannot be opened.
    """
    if path == "-":
        if sys.stdin is not None:
            yield from map(_text, sys.stdin.buffer)
        return
    for part in parts(path):
        if part != path and not os.path.exists(part):
            continue  # rotated away meanwhile
        with open(part, "rb") as file:
            yield from map(_text, file)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def follow(path: str) -> Iterator[str | None]:
    """Yield the lines of a file, then those that are added; None each time there is no more yet.

    Goes on in the parts that came after it when it is rotated, however often meanwhile, and begins
    anew when it is cut short. A last line without its end is waited for. Raises OSError if the file
    cannot be opened at first.
    """
    file = open(path, "rb")  # noqa: SIM115 - another one takes its place
    pending = b""
    try:
        while True:
            if piece := file.read(_READ_BYTES):
                *lines, pending = (pending + piece).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
                continue
            successor = _successor(path, file)
            if successor is not None:
                # What was written between the last look and the rotation comes first.
                pending += file.read()
                yield from (x.decode("utf-8", "replace") for x in pending.split(b"\n") if x)
                file.close()
                file, pending = successor, b""
                continue
            yield None
            time.sleep(_POLL_SECONDS)
    finally:
        file.close()


def _successor(path: str, file: BufferedReader) -> BufferedReader | None:
    """Return, opened, what comes after a file that is read to its end; None if nothing yet.

    That is the next newer part, the oldest part if the file is there no longer, and the file itself
    if it was cut short.
    """
    mine = os.fstat(file.fileno())
    me = (mine.st_dev, mine.st_ino)
    for _ in range(_LOOKS):
        try:
            if _identity(path) == me:
                return open(path, "rb") if mine.st_size < file.tell() else None
            names = parts(path)
            place = next((n for n, name in enumerate(names) if _identity(name) == me), -1)
            successor = open(names[place + 1], "rb")  # noqa: SIM115 - the caller closes it
            # A part must not be left out: what was renamed meanwhile is looked for again.
            if parts(path) == names and (place < 0 or _identity(names[place]) == me):
                return successor
            successor.close()
        except OSError:
            continue  # between two steps of a rotation
    return None


def _identity(path: str) -> tuple[int, int]:
    there = os.stat(path)
    return there.st_dev, there.st_ino
