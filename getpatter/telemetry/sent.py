"""Sent: under which install IDs something was sent from here, and to which endpoints.

Only a collector that an ID was sent to is asked to erase it. While telemetry is on, the log knows
this. `disable` erases the log, and retains the IDs apart with their endpoints for 30 days, for that
request alone.
"""

import json
import os
import re

from getpatter.telemetry import _clock, _files
from getpatter.telemetry._locks import Lock
from getpatter.telemetry.places import LEDGER, LEDGER_BYTES, RETAINED, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ANYWHERE", "condensed", "logged", "merged", "noted", "retain", "retained", "settle"]

#: Stands for endpoints that are not known: a version without a log, or a log that cannot be read.
ANYWHERE = "?"
# How long an ID is retained, in seconds.
_RETAINED_SECONDS = 30 * 86_400
# The bounds of what is retained, and of what stays in the log of entries that went.
_RETAINED_BYTES = 65_536
_MOST_IDS = 5
_MOST_ENDPOINTS = 8
_ENDPOINT_CHARACTERS = 1_000

_ID = re.compile("[0-9a-f]{32}")
_ID_IN_BODY = re.compile('"install_id":"([0-9a-f]{32})"')


def noted(lines: "Iterable[bytes]") -> dict[str, list[str]]:
    """Return what lines of the log say: install ID → endpoints, the oldest first."""
    found: dict[str, list[str]] = {}
    for entry in map(_entry, lines):
        for install in _ids(entry):
            endpoints = found.setdefault(install, [])
            if entry["endpoint"] not in endpoints:
                endpoints.append(entry["endpoint"])
    return found


def condensed(lines: "Iterable[bytes]") -> bytes:
    """Return what stays in the log of lines that go: a line for each endpoint, with the newest
    time, the install IDs, and how many requests there were.
    """
    kept: dict[str, dict[str, object]] = {}
    for entry in map(_entry, lines):
        ids, endpoint = _ids(entry), entry.get("endpoint")
        if not ids or not isinstance(endpoint, str) or len(endpoint) > _ENDPOINT_CHARACTERS:
            continue
        last = kept.pop(endpoint, {})
        known = list(dict.fromkeys([*_ids(last), *ids]))[-_MOST_IDS:]
        times = _times(last) + (_times(entry) if "installs" in entry else 1)
        kept[endpoint] = {
            "at": entry.get("at"),
            "endpoint": endpoint,
            "installs": known,
            "removed": times,
        }
    rows = list(kept.values())[-_MOST_ENDPOINTS:]
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)


def _entry(line: bytes) -> "dict[str, str]":
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    is_one = isinstance(entry, dict) and isinstance(entry.get("endpoint"), str)
    return entry if is_one else {}


def _ids(entry: "dict[str, object] | dict[str, str]") -> list[str]:
    """Return the install IDs under which the request of an entry, or those of one that stands for
    several, were sent.
    """
    installs, body = entry.get("installs"), entry.get("body")
    if isinstance(installs, list):
        return [one for one in installs if isinstance(one, str) and _ID.fullmatch(one)]
    return list(dict.fromkeys(_ID_IN_BODY.findall(body))) if isinstance(body, str) else []


def _times(entry: "dict[str, object] | dict[str, str]") -> int:
    times = entry.get("removed")
    return times if isinstance(times, int) else 0


def logged(directory: str) -> "dict[str, list[str]] | None":
    """Return what the log of a state directory says; None if it cannot be read."""
    try:
        content = _files.read_regular(os.path.join(directory, LEDGER), LEDGER_BYTES, whole=False)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError):
        return None
    return None if content is None else noted(content.split(b"\n"))


def merged(*parts: "dict[str, list[str]]") -> dict[str, list[str]]:
    """Return all of them in one, what comes first first."""
    whole: dict[str, list[str]] = {}
    for part in parts:
        for install, endpoints in part.items():
            whole[install] = list(dict.fromkeys([*whole.get(install, ()), *endpoints]))
    return whole


# what is retained


def retained(directory: str) -> dict[str, list[str]]:
    """Return what is retained in a state directory. What is older than 30 days is removed."""
    return _retained(directory)[1]


def retain(directory: str, sent: "dict[str, list[str]]") -> None:
    """Retain IDs beside those that are. Where that is impossible they are lost."""
    if not sent:
        return
    with Lock(os.path.join(directory, "lock")):
        try:
            _write(directory, int(_clock.wall()), merged(sent, retained(directory)))
        except OSError:
            return


def settle(directory: str, ids: "Iterable[str]", endpoints: "Iterable[str]") -> None:
    """Retain those IDs for those endpoints no longer: they have erased what was sent. Raises
    OSError if that cannot be written.
    """
    done, where = frozenset(ids), frozenset(endpoints)
    with Lock(os.path.join(directory, "lock")):
        since, kept = _retained(directory)
        left = {
            install: [one for one in known if install not in done or one not in where]
            for install, known in kept.items()
        }
        if left != kept:
            _write(directory, since, {install: known for install, known in left.items() if known})


def _retained(directory: str) -> "tuple[int, dict[str, list[str]]]":
    path = os.path.join(directory, RETAINED)
    try:
        content = _files.read_regular(path, _RETAINED_BYTES)
    except (OSError, ValueError):
        return 0, {}  # none, or not known now
    if content is None:
        return 0, {}
    since, *words = content.decode("utf-8", "replace").split() or [""]
    date = number(since.encode())
    # A clock that was set back is no reason to lose it.
    if date is None or abs(_clock.wall() - date) >= _RETAINED_SECONDS:
        _files.remove(path)
        return 0, {}
    kept: dict[str, list[str]] = {}
    for word in words:
        if _ID.fullmatch(word):
            kept[word] = []
        elif kept:
            kept[list(kept)[-1]].append(word)
    return date, {install: known or [ANYWHERE] for install, known in kept.items()}


def _write(directory: str, since: int, sent: "dict[str, list[str]]") -> None:
    path = os.path.join(directory, RETAINED)
    if not sent:
        problem = _files.remove(path)
        if problem is not None:
            raise problem
        return
    rows = [f"{since}"]
    for install, known in list(sent.items())[:_MOST_IDS]:
        fit = [one for one in known if len(one) <= _ENDPOINT_CHARACTERS][-_MOST_ENDPOINTS:]
        rest = [] if len(fit) == len(known) or ANYWHERE in fit else [ANYWHERE]
        rows.append(" ".join([install, *fit, *rest]))
    _files.replace(path, "\n".join(rows).encode())
