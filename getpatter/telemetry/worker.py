"""The worker: one daemon thread that takes what was recorded to the collector.

There is a thread only while there is something to do: the first record starts it, ten idle
seconds end it. `record` and `wake` may run anywhere, also within themselves; everything that
waits or does I/O happens on the thread or in a `flush` that somebody asked for.
"""

import threading
import time

from getpatter.telemetry import _hooks
from getpatter.telemetry._tables import EVENT_NAMES
from getpatter.telemetry.buffer import Buffer
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.rate_limit import BURST, PER_SECOND, RateLimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from getpatter.telemetry._observer import Observer
    from getpatter.telemetry.courier import Courier, Transport
    from getpatter.telemetry.outbox import Outbox, Route

__all__ = ["EXIT_SECONDS", "Worker"]

# A full batch does not wait: the collector refuses more.
_BATCH_EVENTS = 64
# A script that fails for want of configuration ends soon: what it says leaves first.
_URGENT = frozenset({"first_run", "config_incomplete"})
_IDLE_SECONDS = 10.0
_FIRST_SECONDS = 0.1
# A record is seen so soon, whatever else is waited for: so soon it is on disk, if not delivered.
_LOOK_SECONDS = 1.0
# No thread waits for a lock for longer than a step of the worker can take, loading included.
_STEP_SECONDS = 3.0
# Loading `requests` takes 0.1 s, many times that on a busy machine; no fork is held up for longer.
_FORK_SECONDS = 5.0
#: What an ending program waits for at most, in seconds: half a second, less what it takes to put
#: the rest on disk.
EXIT_SECONDS = 0.45
# What it waits for the thread to notice where the rest is left to others.
_NOTICE_SECONDS = 0.05


class _ExitTime:
    """What is left of `EXIT_SECONDS`: one for all clients of the process, which ends only once;
    and the directories whose sender has been started.
    """

    __slots__ = ("left", "senders")

    def __init__(self) -> None:
        self.left = EXIT_SECONDS
        self.senders: set[str] = set()


_EXIT_TIME = _ExitTime()


class Worker:
    """Owns the buffer, the outbox and the thread of one client.

    `open_route` is called once, on the worker, before the first send. `_io` is held by whoever
    does a step: the thread, or a `flush` where no thread can run. `environ` says how to exit;
    `burst` and `per_second` are the rate limit; `observer` is told how it fares, see `_observer`.
    """

    def __init__(
        self,
        open_route: "Callable[[Losses], Route]",
        environ: "Mapping[str, str]",
        burst: int = BURST,
        per_second: float = PER_SECOND,
        *,
        observer: "Observer | None" = None,
    ) -> None:
        self._observer = observer
        # What was asked for not to be collected any more, also by the children of a fork.
        self._without: frozenset[str] = frozenset()
        self._lower_rate: float | None = None
        self._open_route = open_route
        self._environ = environ
        self._limits = (burst, per_second)
        self._stopped: str | None = None
        self._reset()
        _hooks.install(self)

    def _reset(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, whose parent sends what
        was recorded before, and whose inherited locks may be held by threads it does not have.
        """
        self.losses = Losses()
        self.buffer = Buffer(self.losses)
        self._limit = RateLimit(EVENT_NAMES, *self._limits)
        self._outbox: Outbox | None = None
        self._io = threading.Lock()
        self._idle = threading.Condition()
        self._running = threading.Lock()
        # Held while modules are loaded; see `before_fork`.
        self._loading = threading.Lock()
        self._has_loaded = False
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
        self._is_hooked = False

    # the host's side

    def record(self, name: str, dimensions: "Mapping[str, object]") -> None:
        """Keep what was recorded and see to it that the thread will have a look."""
        if self._stopped is not None:
            self.losses.count(name, self._stopped)
            return
        if self._without and type(name) is str and name in self._without:
            self.losses.count(name, "opted_out")
            return
        now = time.monotonic()
        if not self._limit.take(name, now):
            self.losses.count(name, "rate_limit")
            return
        waiting = self.buffer.put((name, dimensions, now))
        if type(name) is str and name in _URGENT:
            self._is_urgent = True
            self.wake()
        elif self._is_asleep or waiting % _BATCH_EVENTS == 0:
            self._is_asleep = False
            self.wake()
        if self._is_ending:
            self._take_along()

    def reduce(self, sample_rate: float | None, without: "Collection[str]", *, off: bool) -> None:
        """Collect less from now on, never more."""
        self._without |= frozenset(without)
        if sample_rate is not None:
            rates = (sample_rate, self._lower_rate)
            self._lower_rate = min(rate for rate in rates if rate is not None)
        if off and self._stopped is None:
            self._stopped = "opted_out"
            self.wake()  # what waits is given up, by whoever owns it

    def collects(self) -> "tuple[float, frozenset[str]]":
        """Return the rate in force, and the events that are recorded."""
        outbox = self._outbox
        rate = 1.0 if outbox is None else outbox.rate
        if self._lower_rate is not None:
            rate = min(rate, self._lower_rate)
        return rate, frozenset() if self._stopped else frozenset(EVENT_NAMES) - self._without

    def wake(self) -> None:
        """Ring for the thread; start it if there is none. Never waits for it."""
        if not self._is_exiting and self._running.acquire(blocking=False):
            try:
                self._start_thread()
            except RuntimeError:
                # No thread can be had (any more): a flush does its work, at the latest at exit.
                self._running.release()
                return
        self._ring()

    def _start_thread(self) -> None:
        if not self._is_hooked:
            self._is_hooked = True
            _hooks.install_in_child(self)
        threading.Thread(target=self._run, name="getpatter-telemetry", daemon=True).start()

    def _ring(self) -> None:
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
                if not self._is_flushing or not self._running.locked():
                    self._is_flushing = True
                    self.wake()
                now = time.monotonic()
                if now >= until:
                    return False
                if not self._is_busy and self._rests_until(now) > until:
                    return self._is_done()  # asked again: a step may just have ended
                if not self._running.locked():
                    break
                self._idle.wait(until - now)
            else:
                return True
        self._work_here(until)
        return self._is_done()

    def _rests_until(self, now: float) -> float:
        """Return until when the collector is to be left alone; `now` if it is not."""
        outbox = self._outbox
        if outbox is None or outbox.delivery.is_in_flight:
            return now
        return now + outbox.delivery.wait(now)

    def close(self, timeout: float) -> bool:
        """`flush`, put the rest on disk (or give it up as `shutdown`), and take no more."""
        delivered = self.flush(timeout)
        if self._stopped is None:
            self._stopped = "shutdown"
            self._is_ending = True
            self._seal(_STEP_SECONDS, is_last=not self._running.locked())
        if self._running.locked():
            self.wake()  # it ends; a request that is under way is answered before
        return delivered

    def stats(self) -> "dict[str, object]":
        """Return what was delivered, what waits in memory and on disk, and what was lost by event
        and reason.
        """
        lost: dict[str, dict[str, int]] = {}
        for (event, reason), times in self.losses.totals().items():
            lost.setdefault(event, {})[reason] = times
        outbox = self._outbox
        waiting = len(self.buffer) + (0 if outbox is None else outbox.delivery.waiting())
        return {
            "delivered": 0 if outbox is None else outbox.delivered,
            "waiting": waiting,
            "spooled": 0 if outbox is None else outbox.spooled,
            "lost": lost,
        }

    def _is_in_flight(self) -> bool:
        return self._outbox is not None and self._outbox.delivery.is_in_flight

    def _is_done(self) -> bool:
        outbox = self._outbox
        return not (len(self.buffer) or self._is_busy or (outbox and not outbox.is_empty))

    # the worker's side

    def _run(self) -> None:
        # Whoever started the thread rings next, if nothing comes in between, and goes on with the
        # host's work first.
        self._bell.acquire(timeout=_FIRST_SECONDS)
        while True:
            with self._io:
                pause = self._step(time.monotonic())
            with self._idle:
                self._idle.notify_all()
            if self._is_exiting or (self._is_ending and not self._is_in_flight()):
                break  # what comes now is sent by its caller, or by nobody
            if pause is None or pause > _LOOK_SECONDS:
                # A record rings from now on; one that came just before did not.
                self._is_asleep = True
                if len(self.buffer) and pause is None:
                    pause = 0.0
                elif len(self.buffer):
                    self._is_asleep, pause = False, _LOOK_SECONDS  # it is looked at so soon anyway
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
            if self._outbox is not None:
                self._outbox.disconnect(_NOTICE_SECONDS)
                if self._stopped is not None:
                    self._outbox.release()
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
            self._is_flushing = True
            try:
                pause = self._step(now, until - now)
            finally:
                self._io.release()
            # A courier that is under way since before rings when it is back.
            if pause is None or (now + pause >= until and not self._is_in_flight()):
                break
            self._bell.acquire(timeout=max(0.0, min(pause, until - time.monotonic())))
        self._is_asleep = True  # the next record tries again to start a thread

    def _step(self, now: float, here: float | None = None) -> float | None:
        """Do the next thing; answer how long to wait for the one after it, None for no end."""
        self._is_busy = True
        try:
            if self._outbox is None and not len(self.buffer):
                return None
            outbox = self._opened()
            if self._stopped == "opted_out" and outbox.stopped is None:
                outbox.stop("opted_out")
            # Cleared before the records are taken: who asks meanwhile, asks for the next batch.
            urgent, self._is_urgent = self._is_urgent, False
            flushing, self._is_flushing = self._is_flushing, False
            before = len(self.buffer)
            pause = outbox.step(now, urgent=urgent, flushing=flushing, here=here)
            after = len(self.buffer)
            if urgent and after and after >= before:
                self._is_urgent = True  # they have not been taken yet
            if flushing and (after or not outbox.is_empty):
                self._is_flushing = True
            if outbox.stopped is not None:
                self._stopped, self._is_ending = outbox.stopped, True
        except OSError:
            # What is stored cannot be read now (no descriptor is left): tried again, not lost.
            return _LOOK_SECONDS
        except Exception:
            # The worker's one catch-all: an error of ours must not end it, nor reach the host.
            # Whatever it was about goes, or it would come again.
            self._lose_what_fails()
            if len(self.buffer):
                return 0.0
            return _LOOK_SECONDS if self._is_in_flight() else None
        else:
            return pause
        finally:
            self._is_busy = False

    def _opened(self) -> "Outbox":
        """Return the outbox, at the rate that is asked for; make it if there is none, which loads
        what only sending needs.
        """
        if self._outbox is None:
            with self._loading:
                from getpatter.telemetry._turns import short_turns

                with short_turns():
                    self._outbox = self._load_outbox()
            self._outbox.say_standing()
        if self._lower_rate is not None and self._lower_rate < self._outbox.rate:
            with self._loading:  # the first to be below 1 loads a hash
                self._outbox.lower_rate(self._lower_rate)
        return self._outbox

    def _load_outbox(self) -> "Outbox":
        from getpatter.telemetry._observer import Observed
        from getpatter.telemetry.outbox import Outbox

        route = self._open_route(self.losses)
        return Outbox(
            route,
            self.buffer,
            self.losses,
            open_courier=lambda: self._load_courier(route),
            observed=Observed(self._observer),
        )

    def _load_courier(self, route: "Route") -> "Courier":
        with self._loading:
            from getpatter.telemetry.courier import Courier
        return Courier(lambda: self._load_transport(route), self._ring)

    def _load_transport(self, route: "Route") -> "Transport":
        with self._loading:
            transport = route.open_transport()
            self._has_loaded = True
        return transport

    def _lose_what_fails(self) -> None:
        if self._outbox is None or not self._outbox.give_up("internal_error"):
            self.buffer.lose("internal_error", _BATCH_EVENTS)

    # the end, and fork

    def end(self) -> None:
        """See to what is left before the interpreter ends, in the way that `exit` chooses.

        From then on no thread is started, and the one there is ends: in the interpreter's last
        moments it could be stopped anywhere, and what it holds would be held for ever.
        """
        begun = time.monotonic()
        mode = "none" if self._is_done() else self._exit_mode()
        if mode == "wait":
            self.flush(_EXIT_TIME.left)
        self._is_exiting = self._is_ending = True
        if mode == "detach":
            self._seal(EXIT_SECONDS, is_last=False)
            self._hand_over()
        else:
            self._seal(EXIT_SECONDS, is_last=True, is_kept=mode != "none")
        if self._running.locked():
            self._ring()
            left = begun + _EXIT_TIME.left - time.monotonic()
            if self._running.acquire(timeout=max(_NOTICE_SECONDS, left if mode == "wait" else 0)):
                self._running.release()
        _EXIT_TIME.left = max(0.0, begun + _EXIT_TIME.left - time.monotonic())

    def _exit_mode(self) -> str:
        from getpatter.telemetry import exits  # only a program that ends with something left

        return exits.choose(self._environ).mode

    def _take_along(self) -> None:
        """See to a record that came when the thread had ended, or was about to."""
        if self._stopped is not None:
            self.buffer.lose(self._stopped)
            return
        until = time.monotonic() + _EXIT_TIME.left
        mode = self._exit_mode()
        if mode == "wait":
            self.flush(_EXIT_TIME.left)
        self._seal(EXIT_SECONDS, is_last=mode != "detach", is_kept=mode != "none")
        if mode == "detach":
            self._hand_over()
        elif self._io.acquire(blocking=False):
            try:
                if self._outbox is not None:
                    self._outbox.disconnect()  # the next one may never come
            finally:
                self._io.release()
        _EXIT_TIME.left = max(0.0, until - time.monotonic())

    def _seal(self, seconds: float, *, is_last: bool, is_kept: bool = True) -> None:
        """Put on disk what is not delivered, if whoever is at work there lets us in time.

        `is_last`: nobody sends it from here, so that another process may have it at once.
        """
        if not self._io.acquire(timeout=seconds):
            return
        try:
            if is_kept and (len(self.buffer) or self._outbox is not None):
                self._opened().seal(time.monotonic())
            if is_last and self._outbox is not None:
                self._outbox.release()
        except Exception:  # as in `_step`
            self._lose_what_fails()
        finally:
            self._io.release()

    def _hand_over(self) -> None:
        """Start a sender for what is on disk, once a process and directory."""
        from getpatter.telemetry import exits

        directory = None if self._outbox is None else self._outbox.hand_over()
        if directory is not None and directory not in _EXIT_TIME.senders:
            _EXIT_TIME.senders.add(directory)
            exits.start_sender(directory, self._environ)

    def before_fork(self) -> None:
        """Wait until no module is being loaded: the child, which lacks the thread that loads it,
        would wait for that module for ever, and so would the host's own import of it.
        """
        if not self._has_loaded and self._loading.acquire(timeout=_FORK_SECONDS):
            self._forking = threading.get_ident()

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._forking == threading.get_ident():
            self._forking = None
            self._loading.release()

    def after_fork_in_child(self) -> None:
        """Begin anew."""
        _EXIT_TIME.left = EXIT_SECONDS
        _EXIT_TIME.senders.clear()
        if self._outbox is not None:
            self._outbox.drop_inherited()
        self._reset()
