"""The worker: one daemon thread that takes what was recorded to the collector.

There is a thread only while there is something to do: the first record starts it, ten idle
seconds end it. `record` and `wake` may run anywhere, also within themselves; everything that
waits or does I/O happens on the thread or in a `flush` that somebody asked for.
"""

import atexit
import logging  # noqa: F401 - see `_FORK_SECONDS`
import os
import sys
import threading
import time
import weakref

from getpatter.telemetry.buffer import Buffer
from getpatter.telemetry.delivery import BATCH_EVENTS, Batch, Delivery
from getpatter.telemetry.losses import Losses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from getpatter.telemetry.delivery import Answer, Drop

    class Transport(Protocol):
        """What carries a batch away."""

        def send(self, batch: Batch, now: float, timeout: float = ...) -> Answer: ...
        def close(self) -> None: ...

    class Route(Protocol):
        """What a run needs to send: made on the worker, because making it reads the disk."""

        transport: Transport | None
        problem: str

        def build(
            self, name: object, dimensions: Mapping[str, object], at: float
        ) -> dict[str, object] | None: ...
        def may_send(self) -> bool: ...
        def note(self, batch: Batch | None = None, answer: Answer | None = None) -> None: ...


__all__ = ["EXIT_SECONDS", "Worker"]

# A busy process sends about one request a second; a batch that is full does not wait.
_LINGER = 1.0
# A script that fails for want of configuration ends soon: what it says leaves first.
_URGENT = frozenset({"first_run", "config_incomplete"})
_URGENT_LINGER = 0.1
_IDLE_SECONDS = 10.0
_REQUEST_SECONDS = 3.0
# Loading `requests` takes 0.1 s, many times that on a busy machine; no fork is held up for longer.
# It needs a lock that logging's own fork hook takes: hooks run last in, first out, so logging is
# there before ours is registered.
_FORK_SECONDS = 5.0
#: What an ending program waits for at most, in seconds.
EXIT_SECONDS = 0.5


class _ExitTime:
    """What is left of `EXIT_SECONDS`: one for all clients of the process, which ends only once."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = EXIT_SECONDS


_EXIT_TIME = _ExitTime()


class Worker:
    """Owns the buffer, the delivery and the thread of one client.

    `open_route` is called once, on the worker, before the first send. `_io` is held by whoever
    does I/O: the thread, or a `flush` where no thread can run.
    """

    def __init__(self, open_route: "Callable[[Losses], Route]") -> None:
        self._open_route = open_route
        self._stopped: str | None = None
        self._reset()
        # Hooks cannot be taken back, so they must not keep a forgotten client alive.
        me = weakref.ref(self)
        atexit.register(_at_exit, me)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: _before_fork(me),
                after_in_parent=lambda: _after_fork_in_parent(me),
                after_in_child=lambda: _after_fork_in_child(me),
            )

    def _reset(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, whose parent sends what
        was recorded before, and whose inherited locks may be held by threads it does not have.
        """
        self.losses = Losses()
        self.buffer = Buffer(self.losses)
        self.delivery = Delivery()
        self._route: Route | None = None
        self._io = threading.Lock()
        self._idle = threading.Condition()
        self._running = threading.Lock()
        # Held while modules are loaded; see `before_fork`.
        self._loading = threading.Lock()
        self._forking: int | None = None
        # A binary semaphore: releasing it wakes the thread, and needs no lock of its own.
        self._bell = threading.Lock()
        self._bell.acquire()
        # Set by the thread before it looks at the buffer for the last time, and read by `record`
        # after it has put: whichever comes second sees the other.
        self._is_asleep = True
        self._is_urgent = False
        self._is_flushing = False
        self._is_busy = False
        self._is_exiting = False
        self._is_ending = self._stopped is not None

    # the host's side

    def record(self, name: str, dimensions: "Mapping[str, object]") -> None:
        """Keep what was recorded and see to it that the thread will have a look."""
        if self._stopped is not None:
            self.losses.count(name, self._stopped)
            return
        waiting = self.buffer.put((name, dimensions, time.monotonic()))
        if type(name) is str and name in _URGENT:
            self._is_urgent = True
            self.wake()
        elif self._is_asleep or waiting % BATCH_EVENTS == 0:
            self._is_asleep = False
            self.wake()
        if self._is_ending:
            self._take_along()

    def wake(self) -> None:
        """Ring for the thread; start it if there is none. Never waits for it."""
        # After the exit hook a thread might never get to run, and starting it never end.
        may_start = not self._is_exiting and not sys.is_finalizing()
        if may_start and self._running.acquire(blocking=False):
            try:
                threading.Thread(target=self._run, name="getpatter-telemetry", daemon=True).start()
            except RuntimeError:
                # No thread can be started (any more): `flush` does the work itself.
                self._running.release()
        try:
            self._bell.release()
        except RuntimeError:
            return  # it rings already

    def flush_pending(self) -> None:
        """Ask for what waits to be sent now; does not wait for it."""
        if not self._is_done():
            self._is_flushing = True
            self.wake()

    def flush(self, timeout: float) -> bool:
        """Deliver what was recorded; answer whether nothing is left. Waits `timeout` s at most,
        and not at all for a collector that is to be left alone for longer.
        """
        until = time.monotonic() + min(max(0.0, timeout), threading.TIMEOUT_MAX)
        with self._idle:
            while not self._is_done():
                self._is_flushing = True
                self.wake()
                now = time.monotonic()
                if now >= until:
                    return False
                if not self._is_busy and now + self.delivery.wait(now) > until:
                    return self._is_done()  # asked again: a step may just have ended
                if not self._running.locked():
                    break
                self._idle.wait(until - now)
            else:
                return True
        self._work_here(until)
        return self._is_done()

    def close(self, timeout: float) -> bool:
        """`flush`, give up the rest as `shutdown`, and take no more records."""
        delivered = self.flush(timeout)
        self._stopped = self._stopped or "shutdown"
        self._is_ending = True
        if self._io.acquire(blocking=False):
            try:
                self._give_up(self._stopped)
            finally:
                self._io.release()
        if self._running.locked():
            self.wake()  # it ends; if a request is under way, it gives up the rest after that
        return delivered

    def stats(self) -> "dict[str, object]":
        """Return what was delivered, what waits, and what was lost by event and reason."""
        lost: dict[str, dict[str, int]] = {}
        for (event, reason), times in self.losses.totals().items():
            lost.setdefault(event, {})[reason] = times
        waiting = len(self.buffer) + self.delivery.waiting()
        return {"delivered": self.delivery.delivered, "waiting": waiting, "lost": lost}

    def _is_done(self) -> bool:
        return not (len(self.buffer) or self._is_busy or not self.delivery.is_empty)

    # the worker's side

    def _run(self) -> None:
        while True:
            with self._io:
                pause = self._step(time.monotonic(), _REQUEST_SECONDS)
            with self._idle:
                self._idle.notify_all()
            if self._is_ending:
                break  # what comes now is sent by its caller, or by nobody
            if pause is None:
                self._is_asleep = True
                if len(self.buffer):
                    pause = 0.0
            if pause == 0:
                continue
            rang = self._bell.acquire(timeout=_IDLE_SECONDS if pause is None else pause)
            if pause is None and not rang:
                break
            self._is_asleep = False
        self._retire()

    def _retire(self) -> None:
        """End the thread: the connection is closed, and a later record starts another thread."""
        with self._io:
            if self._stopped is None:
                self._disconnect()
            else:
                self._give_up(self._stopped)
            if self._route is not None and self._stopped != "opted_out":
                self._route.note()  # what was lost without any request
        self._running.release()
        with self._idle:
            self._idle.notify_all()  # who waits goes on without the thread
        # Whoever recorded just before that release took us for alive.
        if len(self.buffer) and not self._is_exiting:
            self.wake()

    def _work_here(self, until: float) -> None:
        """Do the thread's work on the caller's thread, where none can be started."""
        while not self._is_done():
            now = time.monotonic()
            if now >= until or not self._io.acquire(timeout=until - now):
                return
            try:
                pause = self._step(now, until - now)
            finally:
                self._io.release()
            if pause is None or now + pause >= until:
                break
            time.sleep(pause)
        self._is_asleep = True  # the next record tries again to start a thread

    def _step(self, now: float, timeout: float) -> float | None:
        """Do the next thing; answer how long to wait for the one after it, None for no end."""
        self._is_busy = True
        try:
            if self._stopped is not None:
                self._give_up(self._stopped)
                return None
            if not self.delivery.is_empty:
                return self._send(now, timeout)
            linger = self._linger(now)
            if linger is None or linger > 0:
                return linger
            if len(self.buffer) <= BATCH_EVENTS:
                # Cleared before the records are taken: who asks meanwhile, asks for the next batch.
                self._is_urgent = self._is_flushing = False
            self._close_batch(now)
        except Exception:
            # The worker's one catch-all: an error of ours must not end it, nor reach the host.
            # Whatever it was about goes, or it would come again.
            if not self._abandon("internal_error"):
                self.buffer.lose("internal_error", BATCH_EVENTS)
        finally:
            self._is_busy = False
        return 0.0

    def _linger(self, now: float) -> float | None:
        """Return how long the oldest record may still wait for company; None if there is none."""
        since = self.buffer.oldest()
        if since is None:
            return None
        if len(self.buffer) >= BATCH_EVENTS or self._is_flushing:
            return 0.0
        return max(0.0, since + (_URGENT_LINGER if self._is_urgent else _LINGER) - now)

    def _close_batch(self, now: float) -> None:
        """Take up to a batch of records, build their events and hand them to the delivery."""
        route = self._route
        if route is None:
            with self._loading:
                route = self._route = self._open_route(self.losses)
        if route.transport is None:
            self.buffer.lose(route.problem)
            return
        if not route.may_send():
            self._stop("opted_out")
            return
        events = []
        for name, dimensions, at in self.buffer.take(BATCH_EVENTS):
            event = route.build(name, dimensions, at)
            if event is not None:
                events.append(event)
        if events:
            key = os.urandom(16).hex()
            self.delivery.add(Batch(events, key, now, self.losses.take_unreported()))

    def _send(self, now: float, timeout: float) -> float:
        route = self._route
        batch = self.delivery.next(now)
        if batch is None or route is None or route.transport is None:
            return self.delivery.wait(now)
        # Consent is asked again before each send, a retry included.
        if not route.may_send():
            self._stop("opted_out")
            return 0.0
        answer = route.transport.send(batch, now, timeout)
        chance = int.from_bytes(os.urandom(4), "big") / 2**32
        for drop in self.delivery.answered(answer, time.monotonic(), chance):
            self._count(drop)
        route.note(batch, answer)
        return 0.0

    def _stop(self, reason: str) -> None:
        """Take no more, and give up what there is."""
        self._stopped = reason
        self._is_ending = True
        self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self._abandon(reason)
        self.buffer.lose(reason)
        self._disconnect()

    def _abandon(self, reason: str) -> bool:
        """Give up what is under way; answer whether anything was."""
        dropped = self.delivery.abandon(reason)
        for drop in dropped:
            self._count(drop)
        return bool(dropped)

    def _disconnect(self) -> None:
        if self._route is not None and self._route.transport is not None:
            self._route.transport.close()

    def _count(self, drop: "Drop") -> None:
        self.losses.give_back(drop.report)
        for event in drop.events:
            self.losses.count(event["event"], drop.reason)

    # the end, and fork

    def end(self) -> None:
        """Deliver what there is before the interpreter ends, within `EXIT_SECONDS`.

        From then on no thread is started, and the one there is ends: in the interpreter's last
        moments it could be stopped anywhere, and what it holds would be held for ever.
        """
        begun = time.monotonic()
        self.flush(_EXIT_TIME.left)
        self._is_exiting = self._is_ending = True
        if self._running.locked():
            self.wake()
            left = begun + _EXIT_TIME.left - time.monotonic()
            if self._running.acquire(timeout=max(0.0, left)):
                self._running.release()
        _EXIT_TIME.left = max(0.0, begun + _EXIT_TIME.left - time.monotonic())

    def _take_along(self) -> None:
        """See to a record that came when the thread had ended, or was about to."""
        if self._stopped is not None:
            self.buffer.lose(self._stopped)
            return
        until = time.monotonic() + _EXIT_TIME.left
        self.flush(_EXIT_TIME.left)
        if self._io.acquire(blocking=False):
            try:
                self._disconnect()  # the next one may never come
            finally:
                self._io.release()
        _EXIT_TIME.left = max(0.0, until - time.monotonic())

    def before_fork(self) -> None:
        """Wait until no module is being loaded: the child, which lacks the thread that loads it,
        would wait for that module for ever, and so would the host's own import of it.
        """
        if self._route is None and self._loading.acquire(timeout=_FORK_SECONDS):
            self._forking = threading.get_ident()

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._forking == threading.get_ident():
            self._forking = None
            self._loading.release()

    def after_fork_in_child(self) -> None:
        """Begin anew."""
        _EXIT_TIME.left = EXIT_SECONDS
        self._reset()


def _at_exit(worker: "weakref.ref[Worker]") -> None:
    alive = worker()
    if alive is not None:
        alive.end()


def _before_fork(worker: "weakref.ref[Worker]") -> None:
    alive = worker()
    if alive is not None:
        alive.before_fork()


def _after_fork_in_parent(worker: "weakref.ref[Worker]") -> None:
    alive = worker()
    if alive is not None:
        alive.after_fork_in_parent()


def _after_fork_in_child(worker: "weakref.ref[Worker]") -> None:
    alive = worker()
    if alive is not None:
        alive.after_fork_in_child()
