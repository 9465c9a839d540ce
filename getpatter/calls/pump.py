"""The pump: the one queue and the one thread between emitters and sinks.

`put` runs in the caller's thread and takes no lock. Everything else runs on the pump's thread. A
sink that hangs keeps that thread for itself; another one then goes on with the others.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic

if TYPE_CHECKING:
    from getpatter.calls.core import Core
    from getpatter.calls.lane import Lane
    from getpatter.calls.session import Record


__all__ = ["QUEUE_EVENTS", "Pump"]

#: Some seconds of a thousand busy calls; at a few hundred bytes an event a few megabytes.
QUEUE_EVENTS = 10_000
# A sink that takes longer than this for one write keeps the thread for itself.
_STUCK_SECONDS = 0.5
# How long a lane with more to write keeps the others waiting.
_TURN_SECONDS = 0.1
# How many records are made into events before the sinks have their turn.
_STEP_RECORDS = 500
# After an error of ours the thread rests, so that one that repeats is no busy loop.
_REST_SECONDS = 0.2
# An emitter that was interrupted between its ring and the queue has gone on by then.
_SETTLE_SECONDS = 5.0
# What an ending program waits for at most.
_EXIT_SECONDS = 0.5
_NEVER = float("inf")


class Pump:
    """Owns the queue, the lanes and the thread of one hub, and knows of it only the core."""

    def __init__(self, core: Core, capacity: int = QUEUE_EVENTS) -> None:
        self._core = core
        self._capacity = capacity
        self.lanes: list[Lane] = []
        self.is_live = False
        self.is_retiring = False
        # The thread holds this list, and with what is in it a pump that nobody else holds.
        self._held: list[Pump] = []
        self._is_exiting = False
        self._reset()

    def _reset(self) -> None:
        """Begin with nothing: at first, and in a `fork` child, which has no thread."""
        self._queue: deque[Record | Lane] = deque()
        # A binary semaphore: releasing it wakes the thread, and needs no lock of its own.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._relieving = threading.Lock()
        self._idle = threading.Condition()
        # Whoever holds the office works; None: there is no thread.
        self._office: object | None = None
        self._starting = threading.Lock()
        self._ident = 0
        self._is_asleep = True
        self._is_busy = False
        # Set by `flush`, so that one more step is made: there may be losses to report.
        self._is_asked = False
        self._stuck_at = _NEVER
        for lane in self.lanes:
            lane.reset()

    # the caller's side

    def put(self, records: list[Record]) -> bool:
        """Take records for the sinks, all or none; return whether they were taken.

        The bound is exceeded at most by what arrives in the very same moment from other threads.
        """
        if not self.is_live:
            return True  # nobody listens: the ring is all there is
        queue = self._queue
        is_taken = len(queue) + len(records) <= self._capacity
        if is_taken:
            queue.extend(records)
        if self._is_asleep:
            self._is_asleep = False
            self.wake()
        elif monotonic() > self._stuck_at:
            self._relieve()
        return is_taken

    def attach(self, lane: Lane) -> None:
        """Let a lane have what the rings hold, and everything from now on."""
        self.is_live = True
        self._queue.append(lane)
        self.wake()

    def wake(self) -> None:
        """Ring for the thread; start it if there is none."""
        if self._office is None and self.is_live:
            self._start()
        try:
            self._bell.release()
        except RuntimeError:
            return  # it rings already

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until every sink has everything; return whether so."""
        if threading.get_ident() == self._ident:
            return False  # a sink that asks would wait for itself
        self._is_asked = self.is_live
        until = monotonic() + min(max(0.0, timeout), threading.TIMEOUT_MAX)
        with self._idle:
            while not self._is_done():
                now = monotonic()
                if now >= until:
                    return False
                if now > self._stuck_at:
                    self._relieve()
                self.wake()
                # Asked again when a sink would count as hanging: nobody else may look.
                self._idle.wait(min(until, now + _STUCK_SECONDS) - now)
        return True

    def stop(self) -> None:
        """Take no more, end the thread, and close the sinks; what still waits is lost."""
        self.is_live = False
        self._office = None
        self.wake()
        for lane in self.lanes:
            lane.close()
        self._held.clear()

    def retire(self) -> None:
        """Nobody holds the hub any more: deliver what there is, then end."""
        if self.is_live:
            self._held.append(self)
            self.is_retiring = True
            self.wake()

    def end(self) -> None:
        """Deliver what there is before the interpreter ends; then start no thread any more."""
        self.flush(_EXIT_SECONDS)
        self._is_exiting = True

    def after_fork_in_child(self) -> None:
        """Begin anew, with the sinks that there are."""
        self._core.after_fork_in_child()
        self._reset()

    def waiting(self) -> int:
        """Return how many records are on their way to the lanes."""
        return len(self._queue)

    def _is_done(self) -> bool:
        if self._queue or self._is_busy or self._is_asked:
            return False
        return not any(len(lane) or lane.busy.locked() for lane in self.lanes)

    def _start(self) -> None:
        if self._is_exiting or sys.is_finalizing() or not self._starting.acquire(blocking=False):
            return
        try:
            if self._office is None:
                self._hire()
        finally:
            self._starting.release()

    def _hire(self) -> None:
        office = self._office = object()
        thread = threading.Thread(
            target=_run,
            args=(weakref.ref(self), self._bell, office, self._held),
            name="getpatter-calls",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:
            self._office = None  # no thread can be had (any more); what waits is counted at close

    def _relieve(self) -> None:
        """Put a new thread in the place of one that hangs in a sink."""
        if self._is_exiting or not self._relieving.acquire(blocking=False):
            return
        try:
            if monotonic() > self._stuck_at:
                self._stuck_at = _NEVER
                self._is_busy = False
                self._hire()
        finally:
            self._relieving.release()

    # the thread's side

    def step(self, office: object) -> float | None:
        """Do what there is to do; return the seconds until the next step, None to end."""
        if self._office is not office:
            return None
        self._is_asleep = False
        self._is_busy = True  # before what was asked for is taken back: never neither
        self._is_asked = False
        self._ident = threading.get_ident()
        self._distribute()
        if self.is_retiring:
            self._core.report_now()
        events, health_due = self._core.health(monotonic(), self.lanes)
        for event in events:
            for lane in self.lanes:
                lane.add(event)
        for lane in sorted(self.lanes, key=lambda lane: lane.seconds):
            if lane.busy.acquire(blocking=False) and not self._serve(lane, office):
                return None
        if self._office is not office:
            return None
        self._is_busy = False
        with self._idle:
            self._idle.notify_all()
        if self.is_retiring and self._is_done():
            self.stop()
            return None
        pause = self._pause(health_due)
        if pause > 0:
            self._is_asleep = True  # set before the last look: who puts after it, rings
        return 0.0 if self._queue else pause

    def recover(self) -> None:
        """Go on after an error of ours: what it was about is lost, and counted."""
        self._is_busy = False
        self._core.broken()

    def _serve(self, lane: Lane, office: object) -> bool:
        """Give a lane its turn; return whether this thread still holds the office."""
        until = monotonic() + _TURN_SECONDS
        try:
            has_more = True
            while has_more:
                self._stuck_at = monotonic() + _STUCK_SECONDS
                has_more = lane.serve(monotonic)
                if self._office is not office:
                    break
                self._stuck_at = _NEVER
                has_more = has_more and monotonic() < until
            else:
                return True
            # It hung, and another thread has gone on: this one stays with the lane till it is well.
            while has_more:
                has_more = lane.serve(monotonic)
        finally:
            lane.busy.release()
        self.wake()
        return False

    def _distribute(self) -> None:
        now = monotonic()
        for lane in self.lanes:
            if lane.settled_at is not None and now > lane.settled_at:
                lane.replayed, lane.settled_at = frozenset(), None
        for _ in range(min(len(self._queue), _STEP_RECORDS)):
            try:
                record = self._queue.popleft()
            except IndexError:  # the thread that held the office before took it
                return
            if not isinstance(record, tuple):
                self._open(record)
            elif (event := self._core.event(record)) is not None:
                for lane in self.lanes:
                    lane.add(event)

    def _open(self, lane: Lane) -> None:
        """Give a lane what the rings hold, or, the second time it comes along, let it settle."""
        if lane in self.lanes:
            lane.settled_at = monotonic() + _SETTLE_SECONDS
            return
        records = self._core.replay()
        for record in records:
            event = self._core.event(record)
            if event is not None:
                lane.add(event)
        lane.replayed = frozenset((record[1], record[4]) for record in records)
        self.lanes = [*self.lanes, lane]
        self._queue.append(lane)

    def _pause(self, health_due: float | None) -> float:
        now = monotonic()
        waiting = [lane for lane in self.lanes if len(lane) and not lane.busy.locked()]
        due = [_NEVER if health_due is None else health_due, *(x.retry_at for x in waiting)]
        return max(0.0, min(due) - now)


def _run(
    pump: weakref.ref[Pump],
    bell: threading.Lock,
    office: object,
    held: list[Pump],  # noqa: ARG001 - to hold it is all
) -> None:
    """Be the thread of a pump as long as there is one and this holds its office."""
    while (alive := pump()) is not None:
        pause = _stepped(alive, office)
        del alive
        if pause is None:
            return
        if pause > 0:
            bell.acquire(timeout=-1 if pause == _NEVER else min(pause, threading.TIMEOUT_MAX))


def _stepped(pump: Pump, office: object) -> float | None:
    try:
        return pump.step(office)
    except Exception:  # the thread's one catch-all: an error of ours must not end it
        pump.recover()
        return _REST_SECONDS
