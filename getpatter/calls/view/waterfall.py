"""One call as a waterfall: what ran when, and for how long. Pure: events in, rows and text out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.calls.event_types import (
    ARRIVALS,
    CALL_ANSWERED,
    CALL_DESCRIBED,
    CALL_ENDED,
    CALL_JOINING,
    CALL_STARTED,
    CALL_TURN,
    CONNECTION_CHANGED,
    DEPARTURES,
    STAGE_COMPLETED,
    STAGE_INITIATED,
)
from getpatter.calls.events.redaction import REDACTED
from getpatter.calls.view.timeline import duration, milliseconds, printable
from getpatter.calls.view.turns import FAILED, Turn, begin_us, turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from getpatter.calls.events.event import Event

__all__ = ["Row", "Waterfall", "waterfall"]

# Facts of a call that its heading says, in this order.
_FACTS = (
    *("direction", "engine", "provider", "carrier", "outcome", "error_code", "error_layer"),
    *("disconnect_reason", "leave_reason", "leave_cause", "message", "turns", "cost_usd"),
)
# What is left to show of the end of a call that has no error code.
_ENDS = ("disconnect_reason", "leave_reason", "leave_cause")
# States of a connection that no stage shows.
_BREAKS = ("disconnected", "failed")
# What the bar does not show.
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
        return milliseconds(self.end - self.begin)

    @property
    def is_failure(self) -> bool:
        """Whether it failed, or has not ended."""
        return self.state in ("failure", "open")


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A call to draw. `length` is in ms and above 0; `reason` is empty if it did not fail."""

    session: str
    started_us: int
    length: float
    reason: str
    facts: dict[str, str]
    rows: list[Row]
    turns: list[Turn]

    @property
    def is_failed(self) -> bool:
        """Whether it ended with an error."""
        return self.facts.get("outcome") in FAILED


def waterfall(events: Iterable[Event]) -> Waterfall:
    """Put the events of one call together. Raises ValueError if there is none."""
    ordered = sorted(events, key=lambda event: event.sequence)
    if not ordered:
        message = "no event of this call"
        raise ValueError(message)
    origin = min(begin_us(event) for event in ordered)
    rows: list[Row] = []
    open_stages: dict[str, Event] = {}
    facts: dict[str, object] = {}
    for event in ordered:
        if event.type == STAGE_INITIATED:
            open_stages[printable(event.data.get("stage_id"))] = event
        elif event.type == STAGE_COMPLETED:
            open_stages.pop(printable(event.data.get("stage_id")), None)
            rows.append(_stage(event, origin))
        elif event.type in (CALL_STARTED, CALL_DESCRIBED, CALL_ENDED):
            facts |= event.data
        elif event.type in (CALL_ANSWERED, CALL_TURN, CALL_JOINING) or (
            event.type == CONNECTION_CHANGED and event.data.get("state") in _BREAKS
        ):
            rows.append(_mark(event, origin))
        elif event.type.endswith(".end") and duration(event.data.get("latency_ms")) is not None:
            rows.append(_span(event, origin))
    last = max(event.timestamp_us for event in ordered)
    rows += [
        Row(_stage_name(event), (event.timestamp_us - origin) / 1e3,
            (last - origin) / 1e3, "open", turn=event.turn_id, note="still open when the file ends")
        for event in open_stages.values()
    ]  # fmt: skip
    rows += _presences(ordered, origin, last)
    rows.sort(key=lambda row: (row.begin, row.end))
    return Waterfall(
        session=ordered[0].session,
        started_us=origin,
        # A microsecond: a call of no length can be drawn too.
        length=max(0.001, (last - origin) / 1e3),
        reason=_reason(ordered, facts),
        facts={name: printable(facts[name]) for name in _FACTS if name in facts},
        rows=rows,
        turns=turns(ordered),
    )


def _reason(events: Iterable[Event], facts: dict[str, object]) -> str:
    """Return why the call failed: the first failure in the layer that is to blame, or the first."""
    if facts.get("outcome") not in FAILED:
        return ""
    stages = [event for event in events if event.type == STAGE_COMPLETED]
    failures = [event for event in stages if event.data.get("outcome") == "failure"]
    layer = facts.get("error_layer")
    blamed = [event for event in failures if event.data.get("stage") == layer] or failures
    said = [printable(facts[name]) for name in ("error_code", "message") if facts.get(name)]
    text = ", ".join(said) or "the call ended without an error code"
    if layer not in (None, "none", "other"):
        text += f", in the layer {printable(layer)}"
    if not blamed:
        ends = [f"{name}={printable(facts[name])}" for name in _ENDS if facts.get(name)]
        return text if said or not ends else f"{text} ({' '.join(ends)})"
    first = blamed[0]
    said_of_it = [
        printable(first.data[name]) for name in ("failure_code", "reason") if name in first.data
    ]
    return f"{text}: {_stage_name(first)} failed, {' - '.join(said_of_it) or 'without a reason'}"


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
            continue  # who came and who went cannot be distinguished
        if event.type in ARRIVALS:
            came.setdefault(name, event)
        elif event.type in DEPARTURES:
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
    if event.type == CALL_TURN:
        name = f"turn {printable(event.data.get('turn'))}"
    elif event.type == CONNECTION_CHANGED:
        name = " ".join(printable(event.data.get(part)) for part in ("role", "state"))
    return Row(name, at, at, "mark", None, event.turn_id, _note(event.data))


def _note(data: dict[str, object]) -> str:
    """Return what the bar does not show: why it failed, how often it was tried again."""
    is_failure = data.get("outcome") == "failure"
    names = _NOTES if is_failure or "outcome" not in data else ("retry_count",)
    said = [f"{name}={printable(data[name])}" for name in names if data.get(name)]
    return " ".join(text for text in said if text != "join_reason=first_attempt")
