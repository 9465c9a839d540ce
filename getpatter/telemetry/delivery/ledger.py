"""The ledger: what this install sent, when, where, with what answer, and what was dropped and why.

One JSON object a line in the state directory, for `getpatter telemetry log`; it never leaves the
machine. Several processes may append: a line is one write under an advisory lock, and a reader
skips a torn one. Over 256 KiB the oldest lines go, and one line for each endpoint stays for them.
Nothing here ever raises: a ledger that cannot be written is not worth an event. Owned by the
worker.
"""

import json
import os
import stat
import sys

from getpatter.telemetry import _clock, _files
from getpatter.telemetry._descriptors import open_file
from getpatter.telemetry._locks import Lock
from getpatter.telemetry.places import LEDGER, LEDGER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import UnionType

    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.places import Places

__all__ = ["Ledger", "NoLedger", "read"]

# What is kept when the oldest go: half is freed, so that few lines rewrite the file.
_KEPT = LEDGER_BYTES // 2
# The longest line: it and what stays of the others fit beneath the limit.
_LINE = LEDGER_BYTES - 16_384


class NoLedger:
    """The ledger of a run that keeps none: debug, or no state directory that can be used."""

    def note(
        self,
        body: str = "",
        key: str = "",
        status: int | None = None,
        headers: "Mapping[str, str] | None" = None,
    ) -> None:
        """Forget it."""


class Ledger:
    """Notes what one run sends to `endpoint`, which is shown as it is: without credentials."""

    __slots__ = ("_directory", "_endpoint", "_losses", "_noted", "_places")

    def __init__(
        self,
        directory: str,
        endpoint: str | None,
        losses: "Losses",
        places: "Places",
    ) -> None:
        self._directory = directory
        self._endpoint = endpoint
        self._losses = losses
        self._places = places
        self._noted: dict[tuple[str, str], int] = {}

    def note(
        self,
        body: str = "",
        key: str = "",
        status: int | None = None,
        headers: "Mapping[str, str] | None" = None,
    ) -> None:
        """Note a request and its answer (None: none came), and what was lost since the last note.

        Without a body: only what was lost, if anything was.
        """
        dropped = self._fresh_losses()
        if not body and not dropped:
            return
        entry: dict[str, object] = {"at": round(_clock.wall(), 3), "endpoint": self._endpoint}
        if body:
            entry |= {"key": key, "status": status, "headers": dict(headers or {}), "body": body}
        entry["dropped"] = dropped
        line = json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"
        _append(self._directory, line)
        # Asked after: an opt-out that is stored meanwhile erases what is there, and where it came
        # too early for this line, this line goes here.
        if self._places.opt_out() is not None:
            _files.remove(_path(self._directory))
            from getpatter.telemetry import sent  # only where an opt-out comes while it sends

            sent.retain(self._directory, sent.noted([line]))

    def _fresh_losses(self) -> dict[str, dict[str, int]]:
        totals = self._losses.totals()
        dropped: dict[str, dict[str, int]] = {}
        for (event, reason), total in totals.items():
            fresh = total - self._noted.get((event, reason), 0)
            if fresh:
                dropped.setdefault(event, {})[reason] = fresh
        self._noted = totals
        return dropped


def read(directory: str) -> "list[dict[str, object]]":
    """Return the entries, oldest first; a line that is torn or not ours is skipped.

    Raises OSError if there is a ledger that cannot be read.
    """
    try:
        content = _content(_path(directory))
    except FileNotFoundError:
        return []
    entries = []
    for line in content.split(b"\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_entry(entry):
            entries.append(entry)
    return entries


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("at"), int | float):
        return False
    kinds: dict[str, type | UnionType] = {
        "endpoint": str | None,
        "key": str,
        "status": int | None,
        "headers": dict,
        "body": str,
        "dropped": dict,
        "installs": list,
        "removed": int,
    }
    return all(isinstance(entry[name], kind) for name, kind in kinds.items() if name in entry)


def _path(directory: str) -> str:
    return os.path.join(directory, LEDGER)


def _append(directory: str, line: bytes) -> None:
    path = _path(directory)
    if len(line) > _LINE:
        line = _condensed([line])
    # Whether the lock is had or not (there is none on Windows): the bound matters more than a
    # line that another process writes in the same moment.
    with Lock(os.path.join(directory, "lock")):
        try:
            if not _add(path, line):
                _rewrite(path, line)
        except (OSError, ValueError):
            return


def _add(path: str, line: bytes) -> bool:
    """Append `line` unless that made the file too long; answer whether it is there now."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = open_file(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(descriptor)
        _check_ours(found)
        if found.st_size:
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b"\n":
                line = b"\n" + line  # its writer was killed: what follows is a line of its own
        if found.st_size + len(line) > LEDGER_BYTES:
            return False
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    return True


def _rewrite(path: str, line: bytes) -> None:
    """Put `line` behind the newest lines that leave room for it, and what stays of the others
    before them; the file is whole at any time.
    """
    content = _content(path)
    content = content[: content.rfind(b"\n") + 1]  # a torn line goes
    start = max(0, len(content) - max(0, _KEPT - len(line)))
    if start:
        start = content.find(b"\n", start - 1) + 1
    _files.replace(path, _condensed(content[:start].split(b"\n")) + content[start:] + line)


def _condensed(lines: "list[bytes]") -> bytes:
    from getpatter.telemetry import sent  # only when the ledger is full

    return sent.condensed(lines)


def _content(path: str) -> bytes:
    """Return the end of the ledger, at most so much as it may have. Raises OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags), "rb") as file:
        _check_ours(os.fstat(file.fileno()))
        # What is longer was not written by us; its end is the newest part.
        file.seek(max(0, os.fstat(file.fileno()).st_size - LEDGER_BYTES))
        return file.read(LEDGER_BYTES)


def _check_ours(found: os.stat_result) -> None:
    mine = sys.platform == "win32" or found.st_uid == os.geteuid()
    if not (stat.S_ISREG(found.st_mode) and mine):
        message = "the ledger is no file of this user"
        raise PermissionError(message)
