"""The loop: the one queue and the one thread between the emitters of a hub and its sinks.

`put` runs in the caller's thread and takes no lock. The thread makes events of records, redacted,
and lets them wait for each sink, whose own thread writes them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from getpatter.calls.background.process_hooks import HOOKS, SINKS
from getpatter.calls.background.thread import Background
from getpatter.calls.clock import monotonic

if TYPE_CHECKING:
    from getpatter.calls.events.event import Event
    from getpatter.calls.events.session import Record, Session
    from getpatter.calls.events.sessions import Sessions
    from getpatter.calls.events.sink import Attached

__all__ = ["QUEUE_EVENTS", "Loop"]

#: Some seconds of a thousand busy calls; at a few hundred bytes an event a few megabytes.
QUEUE_EVENTS = 10_000
# How many records are made into events before the sinks get them.
_STEP_RECORDS = 500
# So long records gather: a thousand calls then wake the threads a hundred times a second, and not
# with each record. But not so many that the queue would fill.
_LINGER_SECONDS = 0.01
_LINGER_SHARE = 4
# An emitter that was interrupted between its ring and the queue has gone on by then.
_SETTLE_SECONDS = 5.0


class Loop:
    """Owns the queue, the attached sinks and the thread of one hub; it knows its sessions."""

    def __init__(self, sessions: Sessions, capacity: int = QUEUE_EVENTS) -> None:
        self._sessions = sessions
        self._capacity = capacity
        self._sinks: dict[str, Attached] = {}
        self._is_live = False
        self._is_finishing = False
        self._is_discarding = False
        self._is_finished = False
        self._background = Background("getpatter-calls", self, linger_seconds=_LINGER_SECONDS)
        self._clear()
        HOOKS.add(self, SINKS)

    def _clear(self) -> None:
        # A sink stands in it behind what its rings hold: first to be opened, then to settle.
        self._queue: deque[Record | tuple[Attached, list[Session]]] = deque()
        # Set by `flush`, so that one more step is made: there may be losses to report.
        self._is_asked = False

    # the caller's side

    def put(self, records: list[Record]) -> bool:
        """Take records for the sinks, all or none; return whether they were taken.

        The bound is exceeded at most by what arrives in the very same moment from other threads.
        """
        if not self._is_live:
            return not self._is_finishing  # nobody listens: the ring is all there is
        queue, background = self._queue, self._background
        waiting = len(queue) + len(records)
        is_taken = waiting <= self._capacity
        if is_taken:
            queue.extend(records)
        if waiting * _LINGER_SHARE > self._capacity and not background.is_hurried:
            background.wake()
        else:
            background.ring()
        return is_taken

    def attach(self, sink: Attached) -> bool:
        """Let a sink have what the rings hold, and everything from now on; return False if another
        has its name.
        """
        if self._sinks.setdefault(sink.name, sink) is not sink:
            return False
        self._is_live = not self._is_finishing
        self._queue.append((sink, self._sessions.open_sessions()))
        self._background.wake()
        # Not left to the loop's thread: from Python 3.12 on an ending program starts no thread.
        sink.consumer.start()
        return True

    def wake(self) -> None:
        """Have losses reported when that is due."""
        if self._is_live:
            self._background.wake()

    def flush(self, timeout: float, *, may_work: bool = True) -> bool:
        """Wait at most `timeout` seconds until every sink has everything; return whether so."""
        until = monotonic() + timeout
        self._is_asked = self._is_live
        is_done = self._background.wait(timeout, may_work=may_work)
        for sink in self.sinks():
            is_done &= sink.consumer.wait(max(0.0, until - monotonic()), may_work=may_work)
        return is_done

    def finish(self, *, is_discarding: bool = False) -> None:
        """Take no more, deliver what there is or lose it, close the sinks, end the threads."""
        self._is_discarding = is_discarding
        self._is_finishing = True
        if self._is_live:
            self._background.wake()

    def sinks(self) -> list[Attached]:
        """Return the sinks that are attached."""
        return list(self._sinks.values())

    def waiting(self) -> int:
        """Return how many records are on their way to the sinks."""
        return len(self._queue)

    # hooks of the process

    def begin_exit(self) -> None:
        """Nothing has to be begun."""

    def wait_at_exit(self, timeout: float) -> None:
        """Let the threads deliver; a sink that hangs must not hang on the caller's thread."""
        self.flush(timeout, may_work=False)

    def end_exit(self) -> None:
        """Have each sink count and log what it does not get any more."""
        left = sum(len(record) != 2 for record in list(self._queue))
        for sink in self.sinks():
            sink.end_exit(left)

    def after_fork_in_child(self) -> None:
        """Begin anew, with the sinks that there are."""
        self._sessions.after_fork_in_child()
        self._clear()
        self._background.reset()
        for sink in self.sinks():
            sink.reset()

    # the thread's side

    def step(self) -> float | None:
        """Make events of what waits; return the seconds until losses are to be reported."""
        self._is_asked = False
        self._settle()
        self._distribute()
        if self._queue:
            return 0
        if self._is_finishing:
            self._sessions.report_now()
        events, due = self._sessions.health(monotonic(), self.sinks())
        for sink in self.sinks():
            sink.consumer.put(events)
        if self._is_finishing:
            for sink in self.sinks():
                sink.consumer.finish(is_discarding=self._is_discarding)
            self._is_live = False
            self._is_finished = self._background.is_over = True
        return None if due is None else max(0.001, due - monotonic())

    def is_empty(self) -> bool:
        """Return whether the sinks have everything, and are closed if they are to be."""
        is_owed = self._is_live and self._is_finishing and not self._is_finished
        return not (self._queue or self._is_asked or is_owed)

    def recover(self) -> None:
        """Count an error of ours: what it was about is lost."""
        self._sessions.broken()

    def _distribute(self) -> None:
        pairs: list[tuple[Record, Event]] = []
        try:
            for _ in range(min(len(self._queue), _STEP_RECORDS)):
                record = self._queue.popleft()
                if len(record) == 2:
                    self._hand_on(pairs)
                    pairs = []
                    self._open(*record)
                elif (event := self._sessions.event(record)) is not None:
                    pairs.append((record, event))
        finally:
            self._hand_on(pairs)

    def _hand_on(self, pairs: list[tuple[Record, Event]]) -> None:
        for sink in self.sinks():
            if sink.is_open and pairs:
                sink.put(pairs)

    def _open(self, sink: Attached, sessions: list[Session]) -> None:
        """Give a sink what the rings hold, or, the second time it comes along, let it settle."""
        if sink.is_open:
            sink.settled_at = monotonic() + _SETTLE_SECONDS
            return
        records = self._sessions.replay(sessions)
        made = [(record, self._sessions.event(record)) for record in records]
        sink.put([(record, event) for record, event in made if event is not None])
        sink.replayed = {id(record): record for record in records}
        sink.is_open = True
        self._queue.append((sink, []))

    def _settle(self) -> None:
        for sink in self.sinks():
            if sink.settled_at is not None and monotonic() > sink.settled_at:
                sink.replayed, sink.settled_at = {}, None
