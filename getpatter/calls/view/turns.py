"""The turns of a call: how long each took, and how long the caller waited for the answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.calls.event_types import CALL_TURN, STAGE_COMPLETED
from getpatter.calls.view.timeline import duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from getpatter.calls.events.event import Event

__all__ = ["FAILED", "Turn", "begin_us", "turns"]

#: How a call ended that did not work; `busy` and `no_answer` are what the other side did.
FAILED = ("error", "failed")


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn: from the end of the caller's speech to that of the next turn, or of the call.

    `answer` is the time from that begin to the first audio of the answer, in ms; None if there was
    none. Where a `tts` stage told no first byte, its end stands for it, and `is_exact` is False.
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


def turns(events: Iterable[Event]) -> list[Turn]:
    """Return the turns of one call's events, which are in order."""
    marks: list[Event] = []
    audio: list[tuple[int, int, bool]] = []
    last = 0
    for event in events:
        last = max(last, event.timestamp_us)
        if event.type == CALL_TURN:
            marks.append(event)
        elif event.type == STAGE_COMPLETED and event.data.get("stage") == "tts":
            began, first = begin_us(event), duration(event.data.get("first_ms"))
            if first is not None:
                audio.append((began, began + round(first * 1e3), True))
            elif event.data.get("outcome") == "success":
                audio.append((began, event.timestamp_us, False))
    if not marks:
        return []
    audio.sort()
    ends = [mark.timestamp_us for mark in marks[1:]] + [last]
    found, place = [], 0
    for mark, end in zip(marks, ends, strict=True):
        begin = mark.timestamp_us
        # An answer belongs to the turn in which its `tts` began.
        while place < len(audio) and audio[place][0] < begin:
            place += 1
        answer, is_exact = None, True
        if place < len(audio) and (audio[place][0] < end or mark is marks[-1]):
            _, at, is_exact = audio[place]
            answer = (at - begin) / 1e3
        number = printable(mark.data.get("turn"))
        found.append(Turn(number, begin, end, answer, is_exact))
    return found
