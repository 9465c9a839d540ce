"""A file of calls as a table: a row for each call, and the percentiles of each stage. Pure."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.event_types import (
    CALL_ENDED,
    CALL_TURN,
    CALL_TURN_ANSWERED,
    STAGE_COMPLETED,
)
from getpatter.calls.view.timeline import (
    clipped,
    distinct_chars,
    duration,
    moment,
    printable,
    rounded,
)
from getpatter.calls.view.turns import FAILED, Mark, answers, first_audio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from getpatter.calls.events.event import Event
    from getpatter.calls.view.timeline import Read
    from getpatter.calls.view.turns import Audio

__all__ = ["Summary", "SummingUp", "as_json", "has_stage", "percentiles", "table"]

#: Beside the stages: from the end of the caller's speech to the first audio of the answer.
ANSWER = "answer"
_CODE_CHARS, _ID_CHARS = 24, 40
# Up to this length of a call tenths of a second say nothing.
_SECONDS_FROM_MS = 100
_HEADINGS = ("call", "began", "length", "outcome", "layer", "code", "turns", "slowest stage")
_MEASURES = ("stage", "runs", "p50", "p95", "max")
_NUMBERS = frozenset({"length", "turns", *_MEASURES[1:]})
# What goes where there is no room, in this order: why a call failed is the last to go.
_DISPENSABLE = ("turns", "began", "slowest stage", "length", "layer", "outcome")
# No call has more: what says so is no count.
_MOST_TURNS = 1_000_000


class Took(NamedTuple):
    """The longest run of a stage, in ms."""

    stage: str
    ms: float


class Summary(NamedTuple):
    """One call. `outcome` is `open` if its end is not in the file; `ms` is its length.

    `took` is stage → how long each of its runs took, in ms.
    """

    session: str
    begin_us: int
    ms: float
    outcome: str
    layer: str
    code: str
    turns: int
    took: Mapping[str, Sequence[float]]

    @property
    def is_failed(self) -> bool:
        """Whether it ended with an error."""
        return self.outcome in FAILED

    @property
    def slowest(self) -> Took | None:
        """The run of a stage that took longest."""
        runs = [Took(stage, max(ms)) for stage, ms in self.took.items() if stage != ANSWER]
        return max(runs, key=lambda took: took.ms, default=None)

    def is_slower(self, stage: str, ms: float) -> bool:
        """Whether a run of that stage took longer."""
        return any(took > ms for took in self.took.get(stage, ()))


class SummingUp:
    """Takes the events of one call as they come, and keeps no more than its line needs."""

    __slots__ = ("_audio", "_begin_us", "_end", "_end_us", "_given", "_marks", "_session", "_took")

    def __init__(self) -> None:
        self._session = ""
        self._begin_us = self._end_us = -1
        self._end: Mapping[str, object] = {}
        self._took: dict[str, list[float]] = {}
        # The turns, in the order of their numbers, and the audio that answered them.
        self._marks: list[tuple[int, Mark, str]] = []
        self._given: dict[str, float | None] = {}
        self._audio: list[Audio] = []

    def append(self, event: Event | Read) -> None:
        """Take an event."""
        begin = end = event.timestamp_us
        if event.type == STAGE_COMPLETED:
            stage = event.data.get("stage")
            ms = duration(event.data.get("elapsed_ms"))
            if ms is not None:
                # A stage ends with its event, and began before.
                begin -= round(ms * 1e3)
                name = stage if type(stage) is str else printable(stage)
                self._took.setdefault(name, []).append(ms)
            if stage == "tts" and (audio := first_audio(end, event.data)) is not None:
                self._audio.append(audio)
        elif event.type == CALL_TURN:
            mark = Mark(end, event.data.get("late") is True)
            self._marks.append((event.sequence, mark, printable(event.data.get("turn"))))
        elif event.type == CALL_TURN_ANSWERED:
            turn = printable(event.data.get("turn"))
            self._given.setdefault(turn, duration(event.data.get("latency_ms")))
        elif event.type == CALL_ENDED:
            self._end = event.data
        if self._begin_us < 0 or begin < self._begin_us:
            self._begin_us = begin
        self._end_us = max(self._end_us, end)
        self._session = event.session

    def summary(self) -> Summary:
        """Return what the events amount to; there is one at least."""
        took: dict[str, list[float]] = {}
        for stage, runs in self._took.items():
            took.setdefault(printable(stage), []).extend(runs)
        ordered = sorted(self._marks, key=lambda mark: mark[0])
        marks = [mark._replace(answer=self._given.get(turn)) for _, mark, turn in ordered]
        if heard := [answer for answer, _ in answers(marks, self._audio) if answer is not None]:
            took[ANSWER] = heard
        end = self._end
        layer = printable(end.get("error_layer", ""))
        said = end.get("turns")
        return Summary(
            session=self._session,
            begin_us=self._begin_us,
            ms=(self._end_us - self._begin_us) / 1e3,
            outcome=printable(end.get("outcome", "open")),
            layer="" if layer == "none" else layer,
            code=printable(end.get("error_code") or end.get("failure_code") or ""),
            turns=said if isinstance(said, int) and 0 <= said <= _MOST_TURNS else len(marks),
            took=took,
        )


def has_stage(calls: Iterable[Summary], stage: str) -> bool:
    """Whether any of the calls has a run of that stage."""
    return any(stage in call.took for call in calls)


def percentiles(calls: Iterable[Summary]) -> dict[str, dict[str, float]]:
    """Return of each stage how often it ran in these calls, and its p50, p95 and maximum in ms."""
    runs: dict[str, list[float]] = {}
    for call in calls:
        for stage, took in call.took.items():
            runs.setdefault(stage, []).extend(took)
    found: dict[str, dict[str, float]] = {}
    for stage in sorted(runs, key=lambda name: (name == ANSWER, name)):
        values = sorted(runs[stage])
        # The nearest rank: a value that was measured.
        p50, p95 = (values[(p * len(values) + 99) // 100 - 1] for p in (50, 95))
        found[stage] = {"runs": len(values), "p50_ms": p50, "p95_ms": p95, "max_ms": values[-1]}
    return found


def table(calls: Sequence[Summary], columns: int | None = None) -> list[str]:
    """Return the calls as lines of text, with the percentiles below.

    Where `columns` are too few, the least important column goes first.
    """
    chars = min(_ID_CHARS, distinct_chars([call.session for call in calls]))
    rows = [_HEADINGS, *(_cells(call, chars) for call in calls)]
    lines = _fitting(rows, _DISPENSABLE, columns)
    if stages := percentiles(calls):
        measured = [_MEASURES]
        for stage, row in stages.items():
            times = [rounded(row[name]) for name in ("p50_ms", "p95_ms", "max_ms")]
            name = clipped(stage, _CODE_CHARS)
            measured.append((name, f"{row['runs']:,.0f}", times[0], times[1], times[2]))
        lines += ["", *_fitting(measured, ("max", "runs"), columns)]
    if ANSWER in stages:
        lines += wrap(
            f"{ANSWER}: from the end of the caller's speech to the first audio", columns or 1_000
        )
    return lines


def _cells(call: Summary, chars: int) -> tuple[str, ...]:
    slowest = call.slowest
    return (
        printable(call.session)[:chars],
        moment(call.begin_us, "%Y-%m-%d %H:%M:%S"),
        rounded(call.ms) if call.ms < _SECONDS_FROM_MS else f"{call.ms / 1e3:,.1f} s",
        clipped(call.outcome, _CODE_CHARS),
        clipped(call.layer, _CODE_CHARS) or "-",
        clipped(call.code, _CODE_CHARS) or "-",
        str(call.turns),
        f"{clipped(slowest.stage, _CODE_CHARS)} {rounded(slowest.ms)}" if slowest else "-",
    )


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


def _fitting(
    rows: Sequence[tuple[str, ...]], dispensable: Sequence[str], columns: int | None
) -> list[str]:
    """Return the rows as lines, without as many columns as there is no room for."""
    shown = list(rows[0])
    lines = _aligned(rows, shown)
    for name in dispensable:
        if columns is None or max(map(len, lines)) <= columns:
            break
        shown.remove(name)
        lines = _aligned(rows, shown)
    return lines


def _aligned(rows: Sequence[tuple[str, ...]], shown: Sequence[str]) -> list[str]:
    """Return the columns of these headings, which are the first row; numbers to the right."""
    places = [rows[0].index(name) for name in shown]
    widths = {place: max(len(row[place]) for row in rows) for place in places}
    return [
        "  ".join(
            row[place].rjust(widths[place])
            if rows[0][place] in _NUMBERS
            else row[place].ljust(widths[place])
            for place in places
        ).rstrip()
        for row in rows
    ]
