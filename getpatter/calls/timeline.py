"""A diagnostics file as a timeline to read: one line an event. Pure but for the reading of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from getpatter.calls.event import TYPE_ID, Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeGuard

__all__ = ["Timeline", "parse", "printable", "said"]

# What an event's line says anyway, or says better elsewhere.
_LEFT_OUT = frozenset({"stage", "stage_id", "attempt_id", "elapsed_ms", "outcome", "call_uid"})
_SESSION_CHARS = 8
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2"}


def parse(line: str) -> Event | None:
    """Return the event of a line; None for one that is none."""
    try:
        said = json.loads(line)
        if said["type_id"] != TYPE_ID or not isinstance(said["data"], dict):
            return None
        return Event(
            type=str(said["type"]),
            session=str(said["session"]),
            node=str(said["node"]),
            timestamp_us=int(said["timestamp_us"]),
            sequence=int(said["sequence"]),
            data=said["data"],
            correlation_id=said.get("correlation_id"),
            turn_id=said.get("turn_id"),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def printable(value: object) -> str:
    """Return a value as one line that does to a terminal nothing but appear on it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Writes events as lines, with colours or without."""

    is_coloured: bool = False

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        """Yield a line for each event."""
        return map(self.line, events)

    def line(self, event: Event) -> str:
        """Return the line of an event: when, which call, who, what, how long, and what it says."""
        colour = _colour(event)
        words = [
            self._in("dim", _clock(event.timestamp_us)),
            printable(event.session)[:_SESSION_CHARS].ljust(_SESSION_CHARS),
            self._in("dim", printable(event.node).ljust(6)),
            self._in(colour, _title(event).ljust(28)),
            _took(event.data).rjust(10),
        ]
        return " ".join([*words, _said_briefly(event)]).rstrip()

    def _in(self, colour: str, text: str) -> str:
        if not self.is_coloured or not colour:
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def said(event: Event) -> str:
    """Return what only this event says, as `name=value`."""
    fields = {k: v for k, v in event.data.items() if k not in _LEFT_OUT}
    if event.turn_id is not None:
        fields = {"turn": event.turn_id, **fields}
    return " ".join(f"{printable(name)}={printable(value)}" for name, value in fields.items())


def _said_briefly(event: Event) -> str:
    """As `said`, but of objects only how many: the streams of a participant fill a page."""
    data = {k: len(v) if _are_objects(v) else v for k, v in event.data.items()}
    return said(replace(event, data=data))


def _are_objects(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _title(event: Event) -> str:
    title = printable(event.type)
    if "stage" in event.data:
        title = f"{title.removeprefix('stage.')} {printable(event.data['stage'])}"
    return f"{title} {printable(event.data['outcome'])}" if "outcome" in event.data else title


def _colour(event: Event) -> str:
    outcome = event.data.get("outcome")
    if outcome in ("failure", "error", "failed"):
        return "red"
    if outcome in ("success", "completed"):
        return "green"
    if event.type == "telemetry.health":
        return "yellow"
    return "blue" if event.type.startswith("call.") else ""


def _took(data: dict[str, object]) -> str:
    for name in ("elapsed_ms", "latency_ms", "duration_ms"):
        value = data.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return f"{value:,.1f} ms"
    return ""


def _clock(timestamp_us: int) -> str:
    try:
        moment = datetime.fromtimestamp(timestamp_us / 1e6, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "--:--:--.---"
    return moment.astimezone().strftime("%H:%M:%S.") + f"{moment.microsecond // 1_000:03d}"
