"""The format of a batch on disk: its file's name, and what stands in it. Pure.

Format 1 holds up to 64 events, as every version reads it; format 2 differs in holding more. What
a later version wrote in another format is left to it.
"""

import json
import re

from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.limits import BATCH_EVENTS, MOST_BATCH_EVENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Content", "batch_name", "closed_at", "count", "encoded", "owner_of", "parsed"]

# When it was closed (microseconds since 1970), its key, and its owner.
_NAME = re.compile("([0-9]{16})-([0-9a-f]{32})-([0-9a-f]{16})[.]json")
# How its content begins, so that counting the events of a spool parses none of them.
_HEAD = re.compile(b'{"format":[0-9]{1,9},"count":([0-9]{1,3}),')
#: So much of a file says how many events it holds.
HEAD_BYTES = 48
# What stands in a file beside its format and count.
_KINDS: "dict[str, type]" = {
    "endpoint": str,
    "rate": float,
    "version": str,
    "tries": int,
    "report": list,
    "events": list,
}
_FORMATS = (1, 2)


class Content:
    """What a file holds: a batch and its endpoint, or, of a later format, nothing that is ours."""

    __slots__ = ("_found", "endpoint", "is_ours")

    def __init__(self, found: "dict[str, Any]") -> None:
        self._found = found
        self.is_ours = found["format"] in _FORMATS
        self.endpoint: str | None = found["endpoint"] if self.is_ours else None

    def batch(self, key: str, closed_at: float) -> Batch:
        """Return the batch; its name in the spool says its key and when it was closed."""
        found = self._found
        report = {(str(event), str(reason)): times for event, reason, times in found["report"]}
        batch = Batch(
            found["events"],
            key,
            closed_at,
            report,
            rate=found["rate"],
            version=found["version"],
        )
        batch.tries = found["tries"]
        return batch


def batch_name(batch: Batch, closed: float, owner: str) -> str:
    """Return the name for a batch that was closed at `closed`, in seconds since 1970."""
    return f"{int(closed * 1e6):016d}-{batch.key}-{owner}.json"


def owner_of(name: str) -> str | None:
    """Return whose batch has that name; None if it is not the name of a batch."""
    match = _NAME.fullmatch(name)
    return None if match is None else match[3]


def key_of(name: str) -> str:
    """Return the key of the batch of that name."""
    return name[17:49]


def closed_at(name: str) -> float:
    """Return when the batch of that name was closed, in seconds since 1970."""
    return int(name[:16]) / 1e6


def encoded(batch: Batch, endpoint: str) -> bytes:
    """Return the content of the file of a batch."""
    events = len(batch.events)
    head = json.dumps(
        {
            "format": 1 if events <= BATCH_EVENTS else 2,
            "count": events,
            "endpoint": endpoint,
            "rate": float(batch.rate),
            "version": batch.version,
            "tries": batch.tries,
            "report": [[*loss, times] for loss, times in batch.report.items()],
        },
        separators=(",", ":"),
        allow_nan=False,
    ).encode("ascii")
    return b'%s,"events":%s}' % (head[:-1], batch.encoded())


def count(content: bytes) -> int:
    """Return how many events a file that begins like this says it holds; one, if it does not."""
    head = _HEAD.match(content)
    return int(head[1]) if head else 1


def parsed(content: bytes) -> Content | None:
    """Return what stands in the whole content of a file; None if that is no batch."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return Content(found) if _is_batch(found) else None


def _is_batch(found: object) -> bool:
    """Return whether `encoded` wrote this, in this version or, as far as can be known, a later
    one.
    """
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        return False
    if found["format"] not in _FORMATS:
        return bool(found["format"] > _FORMATS[-1])
    if any(not isinstance(found.get(name), kind) for name, kind in _KINDS.items()):
        return False
    events, rows = found["events"], found["report"]
    return (
        1 <= len(events) <= MOST_BATCH_EVENTS
        and all(isinstance(event, dict) and isinstance(event.get("event"), str) for event in events)
        and all(isinstance(row, list) and len(row) == 3 and type(row[2]) is int for row in rows)
    )
