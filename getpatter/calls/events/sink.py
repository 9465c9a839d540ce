"""A sink: where events go. One that is attached has a consumer of its own.

Whatever it raises, answers or does to what it is given is counted, logged once, and harms no other.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from getpatter.calls.background.consumer import Consumer
from getpatter.calls.background.thread import must_pass
from getpatter.calls.background.warning import warn
from getpatter.calls.events.losses import EventLosses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from getpatter.calls.events.event import Event
    from getpatter.calls.events.session import Record

__all__ = ["SINK_EVENTS", "Attached", "EventsLost", "Sink", "described"]

#: What waits for a sink that is slow; the oldest gives way. As much as waits for all of them: the
#: thread of a sink that is well may get its turn after a burst, not within it.
SINK_EVENTS = 10_000
# What a sink is given at once: a request or a write of some 50 KiB.
_WRITE_EVENTS = 100
# The longest pause that a sink may ask for: what would then wait is too old to be of use.
_PAUSE_SECONDS = 3_600.0

# How much of what a sink raised is shown, in characters.
_SHOWN = 300


class EventsLost(Exception):  # noqa: N818 - what a sink reports, no defect
    """Raised by a sink that lost some of the events that it was given, and took the others."""

    def __init__(self, lost: int, message: str) -> None:
        super().__init__(message)
        self.lost = lost


@runtime_checkable
class Sink(Protocol):
    """What events go to. Used by one thread at a time."""

    def write(self, events: Sequence[Event]) -> float | None:
        """Take all of these events: None. Or none of them yet: the seconds until the next try.

        Raise to lose them: all of them, or with `EventsLost` that many; they are counted.
        """

    def close(self) -> None:
        """Take no more; let go of what is held."""


class Attached:
    """A sink that is attached, what waits for it, and what it lost.

    `on_failure(name, message)` hears of a failing sink once until it works again.
    """

    def __init__(self, sink: Sink, name: str, on_failure: Callable[[str, str], object]) -> None:
        self.name = name
        self.losses = EventLosses()
        #: The records that it got when it was attached, by identity: those not again. Owned, like
        #: the next two, by the hub's thread.
        self.replayed: dict[int, Record] = {}
        self.settled_at: float | None = None
        self.is_open = False
        self._sink = sink
        self._on_failure = on_failure
        self._delivered = 0
        self._is_failing = False
        self.consumer = Consumer(
            f"getpatter-sink-{name:.40}", self, bound=SINK_EVENTS, batch=_WRITE_EVENTS
        )

    def reset(self) -> None:
        """Begin with nothing, in a `fork` child: its parent delivers what waits."""
        self.losses = EventLosses()
        self.replayed, self.settled_at, self.is_open = {}, None, True
        self.consumer.reset()

    def put(self, pairs: list[tuple[Record, Event]]) -> None:
        """Let the events of these records wait."""
        if self.replayed:
            pairs = [pair for pair in pairs if self.replayed.pop(id(pair[0]), None) is None]
        self.consumer.put([event for _, event in pairs])

    def activate(
        self, session: str, began_us: int, *, is_outbound: bool
    ) -> AbstractContextManager[object]:
        """Return the block in which the sink's span of a call is current, if it has spans."""
        activate = getattr(self._sink, "activate", None)
        if activate is None:
            return nullcontext()
        block: AbstractContextManager[object] = activate(session, began_us, is_outbound=is_outbound)
        return block

    def stats(self) -> dict[str, object]:
        """Return how many events it got, how many wait, and what was lost by reason."""
        return {
            "delivered": self._delivered,
            "waiting": len(self.consumer),
            "lost": self.losses.totals().get(self.name, {}),
        }

    def end_exit(self, queued: int) -> None:
        """The program ends: count and log what the sink does not get, `queued` events among it."""
        left = len(self.consumer) + queued
        if left:
            self.losses.count(self.name, "exit", left)
            self._warn(f"{left} events were not delivered before the program ended")

    # the consumer's side

    def consume(self, items: list[Event]) -> float | None:
        """Give the sink its next events."""
        count = len(items)
        try:
            # A list of its own: what it does to it is its affair.
            pause = _seconds(self._sink.write(list(items)))
        except BaseException as error:  # a sink is the developer's, and may raise anything
            lost = _lost(error, count)
            self.losses.count(self.name, "sink_failed", lost)
            self._delivered += count - lost
            self._fail(error)
            if must_pass(error):
                raise
            return None
        if pause is None:
            self._delivered += count
            self._is_failing = False
        return pause

    def lose(self, reason: str, times: int) -> None:
        """Count events that did not get to it."""
        self.losses.count(self.name, "sink_full" if reason == "full" else reason, times)

    def close(self) -> None:
        """Close the sink."""
        try:
            self._sink.close()
        except BaseException as error:  # as in its writes
            self._fail(error)
            if must_pass(error):
                raise

    def _fail(self, error: BaseException) -> None:
        if self._is_failing:
            return
        self._is_failing = True
        message = str(error) if _is_count(error) else described(error)
        self._on_failure(self.name, message)
        # What follows from it stands behind what others wrote, which may be of any length.
        self._warn(f"{message:.{_SHOWN}}; its events are dropped until it works again")

    def _warn(self, message: str) -> None:
        try:
            warn(f"{self.name} sink: {message}")
        except BaseException as error:  # a handler of the host's, or its stderr
            if must_pass(error):
                raise


def described(error: BaseException) -> str:
    """Return the kind and the text of an exception, which may itself raise anything."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException as other:
        if must_pass(other):
            raise
        return type(error).__name__


def _seconds(answer: object) -> float | None:
    """Return for how long a sink wants to wait; raises for an answer that is neither."""
    if answer is None:
        return None
    is_number = isinstance(answer, (int, float)) and not isinstance(answer, bool)
    if not is_number or not math.isfinite(answer) or answer < 0:  # type: ignore[arg-type, operator] # just looked at
        message = "write() must return None or the seconds until the next try"
        raise TypeError(message)
    return min(float(answer), _PAUSE_SECONDS)  # type: ignore[arg-type] # a number


def _is_count(error: BaseException) -> bool:
    return issubclass(type(error), EventsLost)  # not `isinstance`, which asks it for its class


def _lost(error: BaseException, count: int) -> int:
    lost = getattr(error, "lost", None) if _is_count(error) else None
    return max(0, min(lost, count)) if type(lost) is int else count
