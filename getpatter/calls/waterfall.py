"""One call as a waterfall: what ran when, and for how long. Pure: events in, rows and text out."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.calls.redaction import REDACTED
from getpatter.calls.stages import COMPLETED, INITIATED
from getpatter.calls.timeline import duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from getpatter.calls.event import Event

__all__ = ["Row", "Waterfall", "render", "waterfall"]

# Facts of a call that its heading says, in this order.
_FACTS = (
    *("direction", "engine", "provider", "carrier", "outcome", "error_code", "error_layer"),
    *("disconnect_reason", "leave_reason", "leave_cause", "message", "turns", "cost_usd"),
)
# A participant is there from the first of these to the first of those.
_COMES = ("participant_joined", "participant_active", "participant_resumed")
_GOES = ("participant_left", "connection_aborted")
# The longest name that is shown whole: `peer_connection subscriber`.
_NAME_CHARS = 26
# What a duration takes with the gaps around it, and what a bar takes at least.
_TOOK_COLUMNS, _BAR_COLUMNS = 17, 20
# From here on tenths of a millisecond tell nothing.
_SECONDS_FROM_MS = 100_000
# States of a connection that no stage shows.
_BREAKS = ("disconnected", "failed")
# What tells nothing new beside the bar.
_NOTES = ("retry_count", "failure_code", "reason", "join_reason")


@dataclass(frozen=True, slots=True)
class Row:
    """A bar: `begin` and `end` in ms from the begin of the call, `first` likewise or None.

    `state` is `success`, `failure`, `open` (its end is not in the file), `mark` (a moment),
    `present` (a participant is there) or `other`.
    """

    name: str
    begin: float
    end: float
    state: str
    first: float | None = None
    turn: str | None = None
    note: str = ""

    @property
    def took(self) -> str:
        """How long it took, in at most 11 characters for a week."""
        ms = self.end - self.begin
        return f"{ms:,.1f} ms" if ms < _SECONDS_FROM_MS else f"{ms / 1e3:,.0f} s"


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A call to draw. `length` is in ms and above 0."""

    session: str
    started_us: int
    length: float
    facts: dict[str, str]
    rows: list[Row]


def waterfall(events: Iterable[Event]) -> Waterfall:
    """Put the events of one call together. Raises ValueError if there is none."""
    ordered = sorted(events, key=lambda event: event.sequence)
    if not ordered:
        message = "no event of this call"
        raise ValueError(message)
    origin = min(_begin_us(event) for event in ordered)
    rows: list[Row] = []
    open_stages: dict[str, Event] = {}
    facts: dict[str, object] = {}
    for event in ordered:
        if event.type == INITIATED:
            open_stages[printable(event.data.get("stage_id"))] = event
        elif event.type == COMPLETED:
            open_stages.pop(printable(event.data.get("stage_id")), None)
            rows.append(_stage(event, origin))
        elif event.type in ("call.started", "call.ended"):
            facts |= event.data
        elif event.type in ("call.answered", "call.turn", "call.joining") or (
            event.type == "connection.changed" and event.data.get("state") in _BREAKS
        ):
            rows.append(_mark(event, origin))
        elif event.type.endswith(".end") and duration(event.data.get("latency_ms")) is not None:
            rows.append(_span(event, origin))
    last = max(event.timestamp_us for event in ordered)
    rows += [
        Row(_stage_name(event), (event.timestamp_us - origin) / 1e3,
            (last - origin) / 1e3, "open", turn=event.turn_id, note="no end in this file")
        for event in open_stages.values()
    ]  # fmt: skip
    rows += _presences(ordered, origin, last)
    rows.sort(key=lambda row: (row.begin, row.end))
    return Waterfall(
        session=ordered[0].session,
        started_us=origin,
        # A microsecond: a call of no length can be drawn too.
        length=max(0.001, (last - origin) / 1e3),
        facts={name: printable(facts[name]) for name in _FACTS if name in facts},
        rows=rows,
    )


def render(drawn: Waterfall, columns: int) -> list[str]:
    """Return the waterfall as lines of at most `columns` characters, at least 60."""
    columns = max(60, columns)
    names = max([len(row.name) for row in drawn.rows] + [8])
    names = min(names, _NAME_CHARS, columns - _TOOK_COLUMNS - _BAR_COLUMNS)
    width = columns - _TOOK_COLUMNS - names
    lines = [f"call {printable(drawn.session)}  {drawn.length:,.0f} ms"]
    facts = "  ".join(f"{name}={value}" for name, value in drawn.facts.items())
    lines += textwrap.wrap(facts, columns)
    lines.append(f"{'':{names}}  {'0':<{width - 9}}{drawn.length:>7,.0f} ms")
    for row in drawn.rows:
        bar = _bar(row, drawn.length, width)
        took = "" if row.state == "mark" else row.took
        lines.append(f"{row.name[:names]:{names}}  {bar}  {took:>11}".rstrip())
        if row.note and row.state in ("failure", "open"):
            lines.append(f"{'':{names}}  ! {row.note}"[:columns])
    return lines


def _bar(row: Row, length: float, width: int) -> str:
    begin = min(width - 1, int(row.begin / length * width))
    end = max(begin + 1, min(width, round(row.end / length * width)))
    fill = {"success": "█", "failure": "▓", "open": "░", "mark": "│", "present": "─"}.get(
        row.state, "▒"
    )
    cells = [" "] * begin + [fill] * (1 if row.state == "mark" else end - begin)
    if row.first is not None and end - begin > 1:
        # Up to the first byte the latency, after it what streams.
        split = max(begin + 1, min(end, round(row.first / length * width)))
        cells[split:] = ["▒"] * len(cells[split:])
    return "".join(cells).ljust(width)


def _stage(event: Event, origin: int) -> Row:
    end = (event.timestamp_us - origin) / 1e3
    begin = end - (duration(event.data.get("elapsed_ms")) or 0.0)
    first = duration(event.data.get("first_ms"))
    is_success = event.data.get("outcome") == "success"
    return Row(
        _stage_name(event),
        begin,
        end,
        "success" if is_success else "failure",
        None if first is None else begin + first,
        event.turn_id,
        _note(event.data),
    )


def _stage_name(event: Event) -> str:
    """Return the stage, and of a connection whose it is: there may be two at a time."""
    named = [event.data.get("stage"), event.data.get("role")]
    return " ".join(printable(name) for name in named if name is not None)


def _presences(events: Iterable[Event], origin: int, last: int) -> Iterator[Row]:
    """Yield a row for each time that a participant was there."""
    came: dict[str, Event] = {}
    for event in events:
        name = printable(event.data.get("participant"))
        if name == REDACTED:
            continue  # who came and who went cannot be told apart
        if event.type in _COMES:
            came.setdefault(name, event)
        elif event.type in _GOES:
            yield _presence(name, came.pop(name, event), event.timestamp_us, origin)
    for name, event in came.items():
        yield _presence(name, event, last, origin)


def _presence(name: str, came: Event, until_us: int, origin: int) -> Row:
    begin = (came.timestamp_us - origin) / 1e3
    # A clock may have been set back meanwhile.
    return Row(name, begin, max(begin, (until_us - origin) / 1e3), "present")


def _span(event: Event, origin: int) -> Row:
    end = (event.timestamp_us - origin) / 1e3
    begin = end - (duration(event.data.get("latency_ms")) or 0.0)
    state = "failure" if "error" in event.data else "other"
    note = printable(event.data["error"]) if "error" in event.data else ""
    return Row(
        printable(event.type.removesuffix(".end")), begin, end, state, None, event.turn_id, note
    )


def _mark(event: Event, origin: int) -> Row:
    at = (event.timestamp_us - origin) / 1e3
    name = event.type.removeprefix("call.")
    if event.type == "call.turn":
        name = f"turn {printable(event.data.get('turn'))}"
    elif event.type == "connection.changed":
        name = " ".join(printable(event.data.get(part)) for part in ("role", "state"))
    return Row(name, at, at, "mark", None, event.turn_id, _note(event.data))


def _note(data: dict[str, object]) -> str:
    said = [f"{name}={printable(data[name])}" for name in _NOTES if data.get(name)]
    return " ".join(text for text in said if text != "join_reason=first_attempt")


def _begin_us(event: Event) -> int:
    """When what an event tells began: a stage ends with it, and began before."""
    for name in ("elapsed_ms", "latency_ms"):
        took = duration(event.data.get(name))
        if took is not None:
            return event.timestamp_us - round(took * 1e3)
    return event.timestamp_us


def sessions(events: Sequence[Event]) -> list[str]:
    """Return the ids of the calls in the order of their first event."""
    return list(dict.fromkeys(event.session for event in events))
