"""A lane: one sink, what waits for it, and what it lost. Its failures are its own.

`add` belongs to the hub's thread; `serve` to whoever holds `busy`, which is that thread or, for a
sink that hangs, the thread that hangs in it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from getpatter.calls.losses import Losses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from getpatter.calls.event import Event

__all__ = ["LANE_EVENTS", "EventsLost", "Lane", "Sink"]

#: What waits for a sink that is slow; the oldest gives way. A few minutes of one call.
LANE_EVENTS = 1_000
# What a sink is given at once: a request or a write of some 50 KiB.
_WRITE_EVENTS = 100

_log = logging.getLogger("getpatter.calls")


class EventsLost(Exception):  # noqa: N818 - what a sink tells, no defect
    """Raised by a sink that lost some of the events that it was given, and took the others."""

    def __init__(self, lost: int, message: str) -> None:
        super().__init__(message)
        self.lost = lost


@runtime_checkable
class Sink(Protocol):
    """What events go to. Used by one thread at a time."""

    def write(self, events: Sequence[Event]) -> float | None:
        """Take all of these events: None. Or none of them yet: the seconds until the next try.

        Raise to give them up: all of them, or with `EventsLost` that many; they are counted.
        """

    def close(self) -> None:
        """Take no more; let go of what is held."""


class Lane:
    """One sink's way. `on_failure(name, message)` hears of a failing sink once until it works."""

    def __init__(self, sink: Sink, name: str, on_failure: Callable[[str, str], None]) -> None:
        self.sink = sink
        self.name = name
        self.delivered = 0
        self.retry_at = 0.0
        #: What its last write took, in seconds: who was slow is served after the others.
        self.seconds = 0.0
        #: (session, sequence) of what it got when it was attached, and until when that counts.
        self.replayed: frozenset[tuple[str, int]] = frozenset()
        self.settled_at: float | None = None
        self._on_failure = on_failure
        self._is_failing = False
        self.reset()

    def reset(self) -> None:
        """Begin with nothing waiting: at first, and in a `fork` child, whose parent delivers it."""
        self.busy = threading.Lock()
        self.losses = Losses()
        self._waiting: deque[Event] = deque()
        self._batch: list[Event] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._batch)

    def add(self, event: Event) -> None:
        """Let an event wait; over `LANE_EVENTS` the oldest is lost."""
        if (event.session, event.sequence) in self.replayed:
            return
        if len(self._waiting) >= LANE_EVENTS:
            try:
                self._waiting.popleft()
            except IndexError:
                pass  # the sink has just come back and took it
            else:
                self.losses.count(self.name, "sink_full")
        self._waiting.append(event)

    def serve(self, clock: Callable[[], float]) -> bool:
        """Give the sink its next events; return whether there may be more at once."""
        if not self._batch:
            while self._waiting and len(self._batch) < _WRITE_EVENTS:
                self._batch.append(self._waiting.popleft())
        begun = clock()
        if not self._batch or begun < self.retry_at:
            return False
        try:
            pause = self.sink.write(self._batch)
        except Exception as error:  # a sink is the developer's; what fails in it stays in it
            self._fail(error)
            pause = None
            lost = error.lost if isinstance(error, EventsLost) else len(self._batch)
            self.losses.count(self.name, "sink_failed", lost)
            self.delivered += len(self._batch) - lost
        else:
            if pause is None:
                self.delivered += len(self._batch)
                self._is_failing = False
        now = clock()
        self.seconds = now - begun
        if pause is not None:
            self.retry_at = now + max(0.0, pause)
            return False
        self._batch = []
        return bool(self._waiting)

    def stats(self) -> dict[str, object]:
        """Return how many events it got, how many wait, and what was lost by reason."""
        return {
            "delivered": self.delivered,
            "waiting": len(self),
            "lost": self.losses.totals().get(self.name, {}),
        }

    def close(self) -> None:
        """Count what still waits as lost, and close the sink unless it hangs."""
        self.losses.count(self.name, "closed", len(self))
        self._waiting.clear()
        self._batch = []
        if self.busy.acquire(blocking=False):
            try:
                self.sink.close()
            except Exception as error:  # as in its writes: a sink's failure is its own
                self._fail(error)
            finally:
                self.busy.release()

    def _fail(self, error: Exception) -> None:
        if self._is_failing:
            return
        self._is_failing = True
        kind = "" if isinstance(error, EventsLost) else f"{type(error).__name__}: "
        message = f"{kind}{error}"
        _log.warning("sink %s failed, its events are lost meanwhile: %s", self.name, message)
        self._on_failure(self.name, message)
