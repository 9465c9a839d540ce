"""A diagnostics file as a timeline to read: one line an event. Pure but for the reading of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.event_types import HEALTH
from getpatter.calls.events.event import TYPE_ID, Event
from getpatter.telemetry._terminal import coloured
from getpatter.telemetry._terminal import one_line as printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeGuard

__all__ = [
    "TYPE_ID",
    "Read",
    "Timeline",
    "clipped",
    "distinct_chars",
    "duration",
    "milliseconds",
    "moment",
    "parse",
    "printable",
    "read_quickly",
    "rounded",
    "said",
]

# What an event's line says anyway, or says better elsewhere.
_LEFT_OUT = frozenset({"stage", "stage_id", "attempt_id", "elapsed_ms", "outcome", "call_uid"})
_SESSION_CHARS = 8
_CALL_COLOURS = (
    *("cyan", "magenta", "yellow", "bright blue"),
    *("bright cyan", "bright magenta", "bright yellow", "blue"),
)
# The ids of so many calls are distinguished: more than go on at a time.
_KNOWN_SESSIONS = 200
# Of whole numbers a file has no longer ones: times are in microseconds, and fit into 63 bits.
_DIGITS = 19
# From 1970 to before 9999: every zone of the world can show it.
_LAST_US = 253_339_228_800_000_000
# 30 years: what took longer is no duration.
_LONGEST_MS = 1e12
# From here on tenths of a millisecond are noise; up to there they are not.
_SECONDS_FROM_MS = 100_000
_TENTHS_TO_MS = 10


class Read(NamedTuple):
    """What of an event sums its call up; `Event` has it, too, and takes longer to make."""

    type: str
    session: str
    timestamp_us: int
    sequence: int
    data: dict[str, object]


def parse(line: str) -> Event | None:
    """Return the event of a line; None for one that is none.

    Numbers that no clock or counter says (400 digits, infinity) become text.
    """
    try:
        said = _DECODER.decode(line)
        return Event(*_read(said), said.get("correlation_id"), said.get("turn_id"))
    except _NO_EVENT:
        return None


def read_quickly(line: str) -> Read | None:
    """Return what sums a call up, of the event of a line; None for one that is none.

    Numbers stay as they are.
    """
    try:
        said, end = _scan(line, 0)
        if line[end:] in ("\n", ""):
            kind, session, _, timestamp_us, sequence, data = _read(said)
            return Read(kind, session, timestamp_us, sequence, data)
    except (StopIteration, *_NO_EVENT):
        pass
    event = parse(line)
    if event is None:
        return None
    return Read(event.type, event.session, event.timestamp_us, event.sequence, event.data)


def _read(said: dict[str, Any]) -> tuple[str, str, str, int, int, dict[str, object]]:
    """Return the fields of an event, in its order; raises one of `_NO_EVENT` if there is none."""
    data, at = said["data"], said["timestamp_us"]
    if said["type_id"] != TYPE_ID or not isinstance(data, dict) or not 0 <= at <= _LAST_US:
        raise ValueError
    return (
        str(said["type"]),
        str(said["session"]),
        str(said["node"]),
        int(at),
        int(said["sequence"]),
        data,
    )


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _DIGITS else _shortened(digits)


def _real(digits: str) -> float | str:
    number = float(digits)
    return number if abs(number) < float("inf") else _shortened(digits)


def _shortened(digits: str) -> str:
    return f"{digits[:_DIGITS]}… ({len(digits)} digits)"


_NO_EVENT = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
# Made once: they take as long to make as a line takes to read.
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=str)
_scan = json.JSONDecoder(parse_constant=str).scan_once  # type: ignore[attr-defined] # documented, not typed


def duration(value: object) -> float | None:
    """Return milliseconds that something took; None for what is no such number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return max(0.0, float(value)) if value <= _LONGEST_MS else None
    return None


def milliseconds(ms: float) -> str:
    """Return a duration in at most 11 characters for a week."""
    if 0 < ms < 1:
        return f"{round(ms, 3):g} ms"
    return f"{ms:,.1f} ms" if ms < _SECONDS_FROM_MS else f"{ms / 1e3:,.0f} s"


def rounded(ms: float) -> str:
    """Return a duration in whole milliseconds, and a short one as `milliseconds` does."""
    return f"{ms:,.0f} ms" if ms >= _TENTHS_TO_MS or not ms else milliseconds(ms)


class Timeline:
    """Writes events as lines. With colours each call has one, as far as there are."""

    def __init__(self, *, is_coloured: bool = False) -> None:
        self._is_coloured = is_coloured
        # The calls shown last, the oldest first, and the colour of each.
        self._colours: dict[str, str] = {}
        self._count = 0
        self._chars = _SESSION_CHARS

    def know(self, sessions: Iterable[str]) -> None:
        """Take notice of calls: their ids are shown with as many characters as differ."""
        for session in sessions:
            if session in self._colours:
                continue
            self._colours[session] = _CALL_COLOURS[self._count % len(_CALL_COLOURS)]
            self._count += 1
            if len(self._colours) > _KNOWN_SESSIONS:
                del self._colours[next(iter(self._colours))]
            self._chars = max(self._chars, distinct_chars(self._colours))

    def line(self, event: Event) -> str:
        """Return the line of an event: when, which call, who, what, how long, and what it says."""
        self.know([event.session])
        colour = _colour(event)
        session = printable(event.session)[: self._chars].ljust(self._chars)
        words = [
            self._in("dim", _clock(event.timestamp_us)),
            self._in(self._colours[event.session], session),
            self._in("dim", printable(event.node).ljust(6)),
            self._in(colour, _title(event).ljust(28)),
            _took(event.data).rjust(10),
        ]
        return " ".join([*words, _said_briefly(event)]).rstrip()

    def _in(self, colour: str, text: str) -> str:
        if not self._is_coloured or not colour:
            return text
        return coloured(colour, text)


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
    if event.type == HEALTH:
        return "yellow"
    return "blue" if event.type.startswith("call.") else ""


def _took(data: dict[str, object]) -> str:
    for name in ("elapsed_ms", "latency_ms", "duration_ms"):
        took = duration(data.get(name))
        if took is not None:
            return milliseconds(took)
    return ""


def moment(timestamp_us: int, form: str) -> str:
    """Return a time in the zone of this machine; `unknown` for one that no clock has."""
    try:
        at = datetime.fromtimestamp(timestamp_us / 1e6, tz=timezone.utc).astimezone()
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return at.strftime(form)


def clipped(text: str, chars: int) -> str:
    """Return text of at most so many characters."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def distinct_chars(ids: Iterable[str]) -> int:
    """Return how many characters of these ids distinguish them: 8 at least."""
    ordered = sorted(set(map(printable, ids)))
    chars = _SESSION_CHARS
    for one, other in pairwise(ordered):
        while one[:chars] == other[:chars]:
            chars += 1
    return chars


def _clock(timestamp_us: int) -> str:
    clock = moment(timestamp_us, "%H:%M:%S.%f")
    return "--:--:--.---" if clock == "unknown" else clock[:-3]
