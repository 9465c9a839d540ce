"""A file of calls as a table: a row for each call, and the percentiles of each stage. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.event_types import CALL_ENDED, CALL_STARTED, CALL_TURN, STAGE_COMPLETED
from getpatter.calls.view.timeline import clipped, distinct_chars, duration, moment, printable
from getpatter.calls.view.turns import FAILED, begin_us, turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from getpatter.calls.events.event import Event

__all__ = ["Summary", "as_json", "by_call", "has_stage", "percentiles", "summary", "table"]

#: Beside the stages: from the end of the caller's speech to the first audio of the answer.
ANSWER = "answer"
# By so many events threads of one call may overtake each other.
_OVERTAKEN = 16
_CODE_CHARS, _ID_CHARS = 24, 40


class Took(NamedTuple):
    """One run of a stage, in ms."""

    stage: str
    ms: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One call. `outcome` is `open` if its end is not in the file; `ms` is its length."""

    session: str
    begin_us: int
    ms: float
    outcome: str
    layer: str
    code: str
    turns: int
    took: tuple[Took, ...]

    @property
    def is_failed(self) -> bool:
        """Whether it ended with an error."""
        return self.outcome in FAILED

    @property
    def slowest(self) -> Took | None:
        """The run of a stage that took longest."""
        runs = [took for took in self.took if took.stage != ANSWER]
        return max(runs, key=lambda took: took.ms, default=None)

    def is_slower(self, stage: str, ms: float) -> bool:
        """Whether a run of that stage took longer."""
        return any(took.stage == stage and took.ms > ms for took in self.took)


def by_call(events: Iterable[Event]) -> list[list[Event]]:
    """Return the events of each call, the calls in the order of their first events.

    Several calls may have had the same id, one after the other: each numbers its events anew.
    """
    found: list[list[Event]] = []
    current: dict[str, tuple[list[Event], set[int]]] = {}
    for event in events:
        mine, seen = current.get(event.session, ([], set()))
        number = event.sequence
        is_first = number == 0 or event.type == CALL_STARTED
        # It was there already, or comes long after its place: it is that of another call.
        if is_first and (number in seen or max(seen, default=0) > number + _OVERTAKEN):
            mine, seen = [], set()
        if not mine:
            found.append(mine)
            current[event.session] = mine, seen
        mine.append(event)
        seen.add(number)
    return found


def summary(events: Sequence[Event]) -> Summary:
    """Sum up the events of one call; there is one at least."""
    begin = min(map(begin_us, events))
    end = max(event.timestamp_us for event in events)
    facts: dict[str, object] = {"outcome": "open"}
    took = []
    marks = 0
    for event in events:
        if event.type == CALL_ENDED:
            facts |= event.data
        elif event.type == CALL_TURN:
            marks += 1
        elif event.type == STAGE_COMPLETED:
            ms = duration(event.data.get("elapsed_ms"))
            if ms is not None:
                took.append(Took(printable(event.data.get("stage")), ms))
    if marks:
        ordered = sorted(events, key=lambda event: event.sequence)
        answers = (turn.answer for turn in turns(ordered))
        took += [Took(ANSWER, ms) for ms in answers if ms is not None]
    layer = printable(facts.get("error_layer", ""))
    code = facts.get("error_code") or facts.get("failure_code") or ""
    said = facts.get("turns")
    return Summary(
        session=events[0].session,
        begin_us=begin,
        ms=(end - begin) / 1e3,
        outcome=printable(facts["outcome"]),
        layer="" if layer == "none" else layer,
        code=printable(code),
        turns=said if isinstance(said, int) else marks,
        took=tuple(took),
    )


def has_stage(calls: Iterable[Summary], stage: str) -> bool:
    """Whether any of the calls has a run of that stage."""
    return any(took.stage == stage for call in calls for took in call.took)


def percentiles(calls: Iterable[Summary]) -> dict[str, dict[str, float]]:
    """Return of each stage how often it ran in these calls, and its p50, p95 and maximum in ms."""
    runs: dict[str, list[float]] = {}
    for call in calls:
        for took in call.took:
            runs.setdefault(took.stage, []).append(took.ms)
    found: dict[str, dict[str, float]] = {}
    for stage in sorted(runs, key=lambda name: (name == ANSWER, name)):
        values = sorted(runs[stage])
        # The nearest rank: a value that was measured.
        p50, p95 = (values[(p * len(values) + 99) // 100 - 1] for p in (50, 95))
        found[stage] = {"runs": len(values), "p50_ms": p50, "p95_ms": p95, "max_ms": values[-1]}
    return found


def table(calls: Sequence[Summary]) -> list[str]:
    """Return the calls as lines of text, with the percentiles below."""
    chars = min(_ID_CHARS, distinct_chars([call.session for call in calls]))
    rows = [("call", "began", "length", "outcome", "layer", "code", "turns", "slowest stage")]
    for call in calls:
        slowest = call.slowest
        rows.append(
            (
                printable(call.session)[:chars],
                moment(call.begin_us, "%Y-%m-%d %H:%M:%S"),
                f"{call.ms / 1e3:,.1f} s",
                clipped(call.outcome, _CODE_CHARS),
                clipped(call.layer, _CODE_CHARS) or "-",
                clipped(call.code, _CODE_CHARS) or "-",
                str(call.turns),
                f"{clipped(slowest.stage, _CODE_CHARS)} {slowest.ms:,.0f} ms" if slowest else "-",
            )
        )
    lines = _aligned(rows, right={2, 6})
    if stages := percentiles(calls):
        measured = [("stage", "runs", "p50", "p95", "max")]
        for stage, row in stages.items():
            times = [f"{row[name]:,.0f} ms" for name in ("p50_ms", "p95_ms", "max_ms")]
            name = clipped(stage, _CODE_CHARS)
            measured.append((name, f"{row['runs']:,.0f}", times[0], times[1], times[2]))
        lines += ["", *_aligned(measured, right={1, 2, 3, 4})]
    if ANSWER in stages:
        lines.append(f"{ANSWER}: from the end of the caller's speech to the first audio")
    return lines


def as_json(calls: Sequence[Summary]) -> dict[str, object]:
    """Return the calls and the percentiles as one object."""
    return {
        "calls": [
            {
                "session": call.session,
                "begin_us": call.begin_us,
                "length_ms": call.ms,
                "outcome": call.outcome,
                "error_layer": call.layer or None,
                "error_code": call.code or None,
                "turns": call.turns,
                "slowest_stage": call.slowest.stage if call.slowest else None,
                "slowest_ms": call.slowest.ms if call.slowest else None,
            }
            for call in calls
        ],
        "stages": percentiles(calls),
    }


def _aligned(rows: Sequence[tuple[str, ...]], right: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
