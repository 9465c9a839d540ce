"""The file `erasures`: every erasure once more, beside the database, so that it outlives a backup.

A line is the digest of an install ID, a receipt, and when it was asked for, in seconds since 1970.
Lines are only appended. Of two lines with one digest the later one counts.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE", "TombstoneError", "Tombstones", "append", "read", "write"]

FILE = "erasures"

#: Digest of an install ID → receipt, when it was asked for.
Tombstones = dict[str, tuple[str, int]]

_LINE = re.compile("([0-9a-f]{64}) ([0-9a-f]{32}) ([0-9]{1,12})")


class TombstoneError(ValueError):
    """The file is no list of erasures; says so in one line."""


def read(path: str) -> Tombstones:
    """Return what the file says. A last line without an end was never finished."""
    with open(path, encoding="ascii", errors="replace") as file:
        lines = file.read().split("\n")[:-1]
    found: Tombstones = {}
    for number, line in enumerate(lines, 1):
        parts = _LINE.fullmatch(line)
        if parts is None:
            message = f"{path}: line {number} is no erasure"
            raise TombstoneError(message)
        found[parts[1]] = parts[2], int(parts[3])
    return found


def _text(tombstones: Mapping[str, tuple[str, int]]) -> bytes:
    lines = (f"{mark} {receipt} {asked}\n" for mark, (receipt, asked) in tombstones.items())
    return "".join(lines).encode()


def append(directory: str, mark: str, receipt: str, asked: int) -> None:
    """Add a line, durably, or nothing."""
    descriptor = os.open(
        os.path.join(directory, FILE), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
    )
    try:
        size = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, _text({mark: (receipt, asked)}))
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def write(directory: str, tombstones: Mapping[str, tuple[str, int]]) -> None:
    """Make the file say this and no more; a kill leaves the old one or the new one."""
    path, text = os.path.join(directory, FILE), _text(tombstones)
    with suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == text:
            return
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(descriptor, text)
    finally:
        os.close(descriptor)
    os.replace(f"{path}.new", path)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
    os.fsync(descriptor)
