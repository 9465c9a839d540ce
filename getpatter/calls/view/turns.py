"""The turns of a call: how long each took, and how long the caller waited for the answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.event_types import CALL_TURN, CALL_TURN_ANSWERED, STAGE_COMPLETED
from getpatter.calls.view.timeline import duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from getpatter.calls.events.event import Event

    # When a `tts` began, its first audio, and whether its end stands for that.
    Audio = tuple[int, int, bool]

__all__ = ["FAILED", "Mark", "Turn", "answers", "begin_us", "first_audio", "turns"]

#: How a call ended that did not work; `busy` and `no_answer` are what the other side did.
FAILED = ("error", "failed")


class Mark(NamedTuple):
    """When a turn began, or was reported if it `is_late`; and its answer in ms, if it was given."""

    begin_us: int
    is_late: bool = False
    answer: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn: from the end of the caller's speech to that of the next turn, or of the call.

    `answer` is the time from that begin to the first audio of the answer, in ms; None if there was
    none. Where a `tts` stage has no first byte, its end stands for it, and `is_exact` is False.
    """

    number: str
    begin_us: int
    end_us: int
    answer: float | None = None
    is_exact: bool = True

    @property
    def length(self) -> float:
        """Milliseconds; a clock may have been set back meanwhile."""
        return max(0.0, (self.end_us - self.begin_us) / 1e3)


def begin_us(event: Event) -> int:
    """Return when what an event is about began: a stage ends with its event, and began before."""
    for name in ("elapsed_ms", "latency_ms"):
        took = duration(event.data.get(name))
        if took is not None:
            return event.timestamp_us - round(took * 1e3)
    return event.timestamp_us


def first_audio(at_us: int, data: Mapping[str, object]) -> Audio | None:
    """Return what the end of a stage at that time says of audio: if it is a `tts` that had any."""
    if data.get("stage") != "tts":
        return None
    took, first = duration(data.get("elapsed_ms")), duration(data.get("first_ms"))
    began = at_us if took is None else at_us - round(took * 1e3)
    if first is not None:
        return began, began + round(first * 1e3), True
    return (began, at_us, False) if data.get("outcome") == "success" else None


def answers(marks: Sequence[Mark], audio: Iterable[Audio]) -> list[tuple[float | None, bool]]:
    """Return of each turn its answer, and whether that is exact: what was given goes before.

    Of a turn that was reported late only what was given is known.
    """
    ordered = sorted(audio)
    found, place = [], 0
    for number, (begin, is_late, given) in enumerate(marks, 1):
        # An answer belongs to the turn in which its `tts` began.
        while place < len(ordered) and ordered[place][0] < begin:
            place += 1
        answer, is_exact = None, True
        if place < len(ordered) and (number == len(marks) or ordered[place][0] < marks[number][0]):
            _, at, is_exact = ordered[place]
            answer = (at - begin) / 1e3
        if is_late or given is not None:
            answer, is_exact = given, True
        found.append((answer, is_exact))
    return found


def turns(events: Sequence[Event]) -> list[Turn]:
    """Return the turns of one call's events, which are in order."""
    marks = [event for event in events if event.type == CALL_TURN]
    ends = [event for event in events if event.type == STAGE_COMPLETED]
    given: dict[str, float | None] = {}
    for event in events:
        if event.type == CALL_TURN_ANSWERED:
            given.setdefault(printable(event.turn_id), duration(event.data.get("latency_ms")))
    begins = [mark.timestamp_us for mark in marks]
    said = [
        Mark(mark.timestamp_us, mark.data.get("late") is True, given.get(printable(mark.turn_id)))
        for mark in marks
    ]
    heard = [first_audio(end.timestamp_us, end.data) for end in ends]
    answered = answers(said, [audio for audio in heard if audio is not None])
    until = [*begins[1:], max((event.timestamp_us for event in events), default=0)]
    return [
        Turn(printable(mark.data.get("turn")), mark.timestamp_us, end, *answer)
        for mark, end, answer in zip(marks, until, answered, strict=False)
    ]
