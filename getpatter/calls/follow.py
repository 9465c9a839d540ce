"""Reading a diagnostics file: its rotated parts, and what comes while one looks."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["follow", "parts"]

# Soon enough to look live, seldom enough to cost nothing.
_POLL_SECONDS = 0.2
_READ_BYTES = 1 << 16
# As many parts as anybody keeps.
_PARTS = 1_000


def parts(path: str) -> list[str]:
    """Return the files that belong to `path`, the oldest first: `path.2`, `path.1`, `path`."""
    numbers = range(1, _PARTS)
    older = [f"{path}.{n}" for n in numbers if os.path.isfile(f"{path}.{n}")]
    return [*reversed(older), path]


def follow(path: str) -> Iterator[str | None]:
    """Yield the lines of a file, then those that are added; None each time there is no more yet.

    Goes on in the new file when it is rotated, and begins anew when it is cut short. A last line
    without its end is waited for. Raises OSError if the file cannot be opened at first.
    """
    file = open(path, "rb")  # noqa: SIM115 - another one takes its place
    pending = b""
    try:
        while True:
            if piece := file.read(_READ_BYTES):
                *lines, pending = (pending + piece).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
                continue
            successor = _successor(path, file.fileno(), file.tell())
            if successor is not None:
                # What was written between the last look and the rotation comes first.
                pending += file.read()
                yield from (x.decode("utf-8", "replace") for x in pending.split(b"\n") if x)
                file.close()
                file, pending = open(path, "rb"), b""  # noqa: SIM115
                continue
            yield None
            time.sleep(_POLL_SECONDS)
    finally:
        file.close()


def _successor(path: str, descriptor: int, position: int) -> os.stat_result | None:
    """Return what is at `path` if it is another file, or one that was cut short; else None."""
    try:
        there = os.stat(path)
    except OSError:
        return None  # between the two steps of a rotation
    mine = os.fstat(descriptor)
    is_same = (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
    return None if is_same and there.st_size >= position else there
