"""The worker: one daemon thread that takes what was recorded to the collector.

There is a thread only while there is something to do: the first record starts it, ten idle
seconds end it. Everything that does I/O happens on the thread; where none can run, in a `flush` or
at the end of the program, on the thread of whoever asked for that.
"""

import os
import sys
import threading
import time

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.delivery import process_hooks as _hooks
from getpatter.telemetry.delivery.limits import (
    EXIT_SECONDS,
    FIRST_LOOK,
    FORK_SECONDS,
    IDLE,
    LOOK,
    NOTICE,
    STEP,
)
from getpatter.telemetry.delivery.rate_limit import BURST, PER_SECOND
from getpatter.telemetry.delivery.recorder import CLOSED, ENDING, RUNNING, Recorder
from getpatter.telemetry.delivery.waiters import Waiters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.telemetry.delivery.errors import Errors
    from getpatter.telemetry.delivery.observer import Observer
    from getpatter.telemetry.delivery.outbox import Outbox
    from getpatter.telemetry.delivery.uploader import Transport, Uploader
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.run import Run

__all__ = ["Worker"]

# What an ending program waits for the thread to notice where the rest is left to others.
_NOTICE_SECONDS = 0.05
# From then on the interpreter warns of a fork in a process with threads.
_WARNS_OF_THREADS = sys.version_info >= (3, 12)
# How long a fork waits for our threads to end, and how often it looks.
_PART_SECONDS = 0.05
_PART_LOOK = 0.0005
# How often a waiting caller looks whether the thread still lives.
_LOOK_SECONDS = 0.1


class _ExitTime:
    """What is left of `EXIT_SECONDS`, for the collector and for the disk: one for all clients of
    the process, which ends only once; and the directories whose sender has been started.
    """

    __slots__ = ("disk", "left", "senders")

    def __init__(self) -> None:
        self.begin()
        self.senders: set[str] = set()

    def begin(self) -> None:
        self.left = self.disk = EXIT_SECONDS

    def spend(self, begun: float) -> None:
        self.left = max(0.0, begun + self.left - monotonic())

    def spend_on_disk(self, begun: float) -> None:
        self.disk = max(0.0, begun + self.disk - monotonic())


_EXIT_TIME = _ExitTime()


class Worker(Recorder):
    """Owns the outbox and the thread of one client.

    `open_run` is called on the worker, before the first send. `_io` is held by whoever does a step:
    the thread, or a `flush` where no thread can run. `environ` says how to exit; `burst` and
    `per_second` are the rate limit; `observer` is told how it fares, see `observer.py`.
    """

    def __init__(
        self,
        open_run: "Callable[[Losses], Run]",
        environ: "Mapping[str, str]",
        burst: int = BURST,
        per_second: float = PER_SECOND,
        *,
        observer: "Observer | None" = None,
    ) -> None:
        super().__init__(burst, per_second)
        self._observer = observer
        self._open_run = open_run
        self._environ = environ
        self._errors: Errors | None = None
        self._begin()
        _hooks.install(self)

    def _begin(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, whose parent sends what
        was recorded before, and whose inherited locks may be held by threads it does not have.
        """
        super()._begin()
        self._outbox: Outbox | None = None
        self._io = threading.Lock()
        self._waiters = Waiters()
        self._running = threading.Lock()
        # The thread, and what is held by whoever says that it has ended.
        self._thread: threading.Thread | None = None
        self._ended = threading.Lock()
        # Held while modules are loaded; see `before_fork`.
        self._loading = threading.Lock()
        self._has_loaded = False
        self._forking: int | None = None
        # A fork is about to happen, for which the thread ends if it can.
        self._is_parting = False
        # A binary semaphore: releasing it wakes the thread, and needs no lock of its own.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._is_flushing = False
        self._is_persisting = False
        self._is_busy = False
        self._is_hooked = False
        self._mode = ""
        self._phase = RUNNING if self._refuses is None else CLOSED

    # asked for by the host

    def wake(self) -> None:
        """Ring for the thread; start it if there is none. Never waits for it."""
        _hooks.notice_fork()
        is_there = self._phase == ENDING or self._has_thread()
        if not is_there and self._running.acquire(blocking=False):
            try:
                self._start_thread()
            except (RuntimeError, MemoryError):
                # No thread can be had (any more): a flush does its work, at the latest at exit.
                self._running.release()
                return
        self._ring()

    def _start_thread(self) -> None:
        if not self._is_hooked:
            self._is_hooked = True
            _hooks.install_in_child()
        self._thread, self._ended = None, (ended := threading.Lock())
        self._waiters.of_thread()
        thread = threading.Thread(
            target=self._run, args=(ended,), name="getpatter-telemetry", daemon=True
        )
        thread.start()
        self._thread = thread

    def _has_thread(self) -> bool:
        """Return whether there is a thread. One may have been killed at any line: by what a tracer
        or another object of the host's has raised.
        """
        ended, thread = self._ended, self._thread
        if thread is not None and not thread.is_alive() and ended.acquire(blocking=False):
            self._running.release()
        return self._running.locked()

    def _ring(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:
            return  # it rings already

    def flush_pending(self) -> None:
        """Ask for what waits to be sent now; does not wait for it."""
        _hooks.notice_fork()
        if not self._is_done():
            self._is_flushing = True
            self.wake()

    def flush(self, timeout: float) -> bool:
        """Deliver what was recorded; answer whether nothing is left. Waits `timeout` s at most,
        and not at all for a collector that must not be asked for longer.
        """
        _hooks.notice_fork()
        until = monotonic() + min(max(0.0, timeout), threading.TIMEOUT_MAX)
        starts = 0
        while not self._is_done():
            starts += not self._has_thread()
            if starts > 1:
                break  # it was killed: its work is done here
            if not self._is_flushing or not self._has_thread():
                self._is_flushing = True
                self.wake()
            now = monotonic()
            if now >= until:
                return False
            if not self._is_busy and self._waits_until(now) > until:
                return self._is_done()  # asked again: a step may just have ended
            if not self._has_thread():
                break
            self._waiters.wait(min(until - now, _LOOK_SECONDS), self._is_done)
        else:
            return True
        self._work_here(until)
        return self._is_done()

    def _waits_until(self, now: float) -> float:
        """Return until when the collector must not be asked; `now` if it may be."""
        outbox = self._outbox
        if outbox is None or outbox.backlog.is_in_flight:
            return now
        return now + outbox.wait(now)

    def close(self, timeout: float) -> bool:
        """`flush`, put the rest on disk (or give it up as `shutdown`), and take no more."""
        delivered = self.flush(timeout)
        if self._let_go_of_what_cannot_wait(lambda: self._persist_soon(STEP)):
            delivered = self.flush(timeout)
        if self._refuses is None:
            self._enter(CLOSED, "shutdown")
            self._persist_soon(STEP)
        return delivered

    def stats(self) -> "dict[str, object]":
        """Return what was delivered, what waits in memory and on disk, and what was lost by event
        and reason.
        """
        _hooks.notice_fork()
        lost: dict[str, dict[str, int]] = {}
        for (event, reason), times in self.losses.own_totals().items():
            lost.setdefault(event, {})[reason] = times
        backlog = None if self._outbox is None else self._outbox.backlog
        return {
            "delivered": 0 if backlog is None else backlog.delivered,
            "waiting": len(self.buffer) + (0 if backlog is None else backlog.waiting),
            "spooled": 0 if backlog is None else backlog.spooled,
            "lost": lost,
        }

    def _run_rate(self) -> float:
        run = None if self._outbox is None else self._outbox.run
        return 1.0 if run is None else run.rate

    def _is_in_flight(self) -> bool:
        return self._outbox is not None and self._outbox.backlog.is_in_flight

    def _is_done(self) -> bool:
        outbox = self._outbox
        return not (len(self.buffer) or self._is_busy or (outbox and not outbox.backlog.is_empty))

    def _is_debug(self) -> bool:
        from getpatter.telemetry import env

        return env.is_truthy(self._environ.get("PATTER_TELEMETRY_DEBUG", ""))

    # the thread

    def _run(self, ended: threading.Lock) -> None:
        # Whoever started the thread rings next, if nothing comes in between, and goes on with the
        # host's work first.
        self._bell.acquire(timeout=FIRST_LOOK)
        while not (self._is_parting and not self._is_in_flight()):
            with self._io:
                pause = self._step(monotonic())
            self._waiters.wake()
            is_over = self._phase == ENDING or (self._phase and not self._is_in_flight())
            if is_over and not self._is_persisting:
                break  # what comes now is sent by its caller, or by nobody
            if pause is None or pause > LOOK:
                # A record rings from now on; one that came just before did not.
                self._is_asleep = True
                if len(self.buffer) and pause is None:
                    pause = 0.0
                elif len(self.buffer):
                    self._is_asleep, pause = False, LOOK  # it is looked at so soon anyway
            if pause == 0:
                continue
            rang = self._bell.acquire(timeout=IDLE if pause is None else pause)
            if pause is None and not rang:
                break
            self._is_asleep = False
        self._retire(ended)

    def _retire(self, ended: threading.Lock) -> None:
        """End the thread: the connection is closed, and a later record starts another thread."""
        with self._io:
            try:
                if self._outbox is not None:
                    self._outbox.disconnect(_NOTICE_SECONDS)
                    if self._refuses is not None:
                        self._outbox.backlog.release()
            except BaseException as error:  # the thread ends in any case, and says so below
                self._note_error(error)
        if ended.acquire(blocking=False):
            self._running.release()
        self._waiters.wake()  # who waits goes on without the thread
        # Whoever recorded just before that release took us for alive.
        if len(self.buffer) and self._phase != ENDING and not self._is_parting:
            self.wake()

    def _work_here(self, until: float) -> None:
        """Do the thread's work on the caller's thread, where none can be started."""
        while not self._is_done():
            now = monotonic()
            if now >= until or not self._io.acquire(timeout=until - now):
                return
            self._is_flushing = True
            try:
                pause = self._step(now, until - now)
            finally:
                self._io.release()
            # An uploader that is under way since before rings when it is back.
            if pause is None or (now + pause >= until and not self._is_in_flight()):
                break
            self._bell.acquire(timeout=max(0.0, min(pause, until - monotonic())))
        self._is_asleep = True  # the next record tries again to start a thread

    def _step(self, now: float, here: float | None = None) -> float | None:
        """Do the next thing; answer how long to wait for the one after it, None for no end.

        Whatever is raised is kept from the host, and does not end the thread: an object of the
        host's may raise what is no `Exception`. Nothing is given up for it: what an error is about
        has been settled where it could be known.
        """
        self._is_busy = True
        try:
            if self._is_persisting:
                self._finish()
            if self._outbox is None and not len(self.buffer):
                return None
            return self._step_of(self._opened(), now, here)
        except OSError:
            return LOOK  # what is stored cannot be read now (no descriptor is left): not lost
        except BaseException as error:
            self._note_error(error)
            if self._outbox is None:
                self.buffer.lose("internal_error")  # there is nothing that could send it
                return None
            return NOTICE
        finally:
            self._is_busy = False

    def _step_of(self, outbox: "Outbox", now: float, here: float | None) -> float | None:
        if self._refuses == "opted_out" and outbox.stopped is None:
            outbox.stop("opted_out")
        # Cleared before the records are taken: who asks meanwhile, asks for the next batch.
        urgent, self._is_urgent = self._is_urgent, False
        flushing, self._is_flushing = self._is_flushing, False
        before = len(self.buffer)
        try:
            return outbox.step(now, urgent=urgent, flushing=flushing, here=here)
        finally:
            after = len(self.buffer)
            if urgent and after and after >= before:
                self._is_urgent = True  # they have not been taken yet
            if flushing and (after or not outbox.backlog.is_empty):
                self._is_flushing = True
            if outbox.stopped is not None:
                self._enter(CLOSED, outbox.stopped)

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
        run = self._outbox.run
        if run is not None and self._lower_rate is not None and self._lower_rate < run.rate:
            with self._loading:  # the first to be below 1 loads a hash
                run.lower_rate(self._lower_rate)
        return self._outbox

    def _load_outbox(self) -> "Outbox":
        from getpatter.telemetry.delivery.observer import Observed
        from getpatter.telemetry.delivery.outbox import Outbox

        run = self._open_run(self.losses)
        return Outbox(
            run.destination,
            run,
            self.buffer,
            self.losses,
            open_uploader=lambda: self._load_uploader(run),
            observed=Observed(self._observer),
            on_error=self._note_error,
        )

    def _load_uploader(self, run: "Run") -> "Uploader":
        with self._loading:
            from getpatter.telemetry.delivery.uploader import Uploader
        open_transport = lambda: self._load_transport(run)  # noqa: E731
        return Uploader(open_transport, run.has_consent, self._ring, self._note_error)

    def _load_transport(self, run: "Run") -> "Transport":
        with self._loading:
            transport = run.destination.open_transport()
            self._has_loaded = True
        return transport

    # the end

    def end(self) -> None:
        """See to what is left before the interpreter ends, in the way that `exits` chooses.

        From then on no thread is started, and the one there is ends: in the interpreter's last
        moments it could be stopped anywhere, and what it holds would be held for ever. Whoever
        presses Ctrl-C meanwhile is not made to wait, and what is left is put on disk all the same.
        """
        begun = monotonic()
        for part in (self._deliver_last, self._finish_last, self._finish_last):
            try:
                part()
            except BaseException as error:
                self._note_error(error)
            else:
                if part == self._finish_last:
                    break
        _EXIT_TIME.spend(begun)

    def _deliver_last(self) -> None:
        """Choose how to end; deliver what is left, where that is the way."""
        _hooks.notice_fork()
        self._mode = "none"
        if self._is_done() and not (self._outbox and self._outbox.backlog.spooled):
            return
        from getpatter.telemetry.delivery import (
            exits,  # only a program that ends with something left
        )

        begun = monotonic()
        self._mode = "spool"  # if anything comes in between
        mode = exits.choose(self._environ).mode
        if mode in ("detach", "spool") and not self._persist_at_exit():
            mode = "wait"  # nothing that is left to others would be there
        self._mode = mode
        if mode == "wait":
            self._let_go_of_what_cannot_wait(self._persist_at_exit)
            self.flush(max(0.0, begun + _EXIT_TIME.left - monotonic()))

    def _let_go_of_what_cannot_wait(self, persist: "Callable[[], bool]") -> bool:
        """Hold nothing back after the notice that would be lost with this process; return whether
        there was anything.
        """
        outbox = self._outbox
        if outbox is None or not outbox.held(monotonic()) or persist():
            return False
        outbox.let_go(monotonic())
        self.wake()  # it waits for the end of that while
        return True

    def _finish_last(self) -> None:
        self._enter(ENDING)
        self._persist_at_exit()
        if self._has_thread():
            self._ring()
            if self._running.acquire(timeout=min(_NOTICE_SECONDS, _EXIT_TIME.disk)):
                self._running.release()

    def _take_along(self) -> None:
        """Handle a record made during or after shutdown."""
        if self._refuses is not None:
            self.buffer.lose(self._refuses)
            return
        begun = monotonic()
        self._deliver_last()
        self._persist_at_exit()
        if self._io.acquire(blocking=False):
            try:
                if self._outbox is not None and self._mode != "detach":
                    self._outbox.disconnect()  # the next one may never come
            finally:
                self._io.release()
        _EXIT_TIME.spend(begun)

    def _persist_at_exit(self) -> bool:
        begun = monotonic()
        try:
            return self._persist_soon(_EXIT_TIME.disk)
        finally:
            _EXIT_TIME.spend_on_disk(begun)

    def _persist_soon(self, seconds: float) -> bool:
        """Have what is left put on disk, within so many seconds; answer whether all of it is.

        On the thread, if there is one: a disk or a lock that hangs then holds up nobody.
        """
        self._is_persisting = True
        until = monotonic() + seconds
        while self._is_persisting and self._has_thread():
            self._ring()
            left = until - monotonic()
            if left <= 0:
                break
            self._waiters.wait(min(left, _LOOK_SECONDS), lambda: not self._is_persisting)
        if self._is_persisting and not self._has_thread() and self._io.acquire(timeout=seconds):
            try:
                self._finish()
            finally:
                self._io.release()
        outbox = self._outbox
        waiting = 0 if outbox is None else outbox.backlog.waiting
        return not self._is_persisting and waiting + len(self.buffer) == 0

    def _finish(self) -> None:
        """Put on disk what is left. Once the client ends: give up what cannot be there, and leave
        the rest to a sender, or to whoever adopts it.
        """
        try:
            if self._mode != "none" and (len(self.buffer) or self._outbox is not None):
                self._opened().persist(monotonic())
        except BaseException as error:
            self._note_error(error)
            if self._phase:
                is_late = isinstance(error, OSError)
                self.buffer.lose("shutdown" if is_late else "internal_error")
        finally:
            self._is_persisting = False
        outbox = self._outbox
        if self._phase == RUNNING or outbox is None:
            return
        if self._mode != "none":
            outbox.lose_unkept("shutdown" if outbox.stopped is None else outbox.stopped)
        if self._phase == ENDING and self._mode == "detach":
            self._hand_over(outbox)
        elif self._phase == ENDING or not outbox.backlog.is_in_flight:
            outbox.backlog.release()

    def _hand_over(self, outbox: "Outbox") -> None:
        """Start a sender for what is on disk, once a process and directory."""
        from getpatter.telemetry.delivery import exits

        directory = outbox.hand_over()
        if directory is not None and directory not in _EXIT_TIME.senders:
            _EXIT_TIME.senders.add(directory)
            dotenv = None if outbox.run is None else outbox.run.dotenv
            held = outbox.held(monotonic())
            exits.start_sender(directory, self._environ, dotenv=dotenv, seconds=held)

    def _note_error(self, error: BaseException) -> None:
        if self._errors is None:
            from getpatter.telemetry.delivery.errors import Errors  # who makes none does without

            self._errors = Errors(self._is_debug)
        self._errors.note(error)

    # fork

    def before_fork(self) -> None:
        """Wait until no module is being loaded: the child, which lacks the thread that loads it,
        would wait for that module for ever, and so would the host's own import of it.
        """
        if not self._has_loaded and self._loading.acquire(timeout=FORK_SECONDS):
            self._forking = threading.get_ident()
        if _WARNS_OF_THREADS and self._has_thread() and not self._is_in_flight():
            self._part()

    def _part(self) -> None:
        """Have the threads end, if they can at once: the interpreter warns the host of threads at
        a fork, and would not without us.
        """
        uploader = None if self._outbox is None else self._outbox.thread
        ours = [thread for thread in (self._thread, uploader) if thread is not None]
        self._is_parting = True
        self._ring()
        until = monotonic() + _PART_SECONDS
        while monotonic() < until and any(
            os.path.exists(f"/proc/self/task/{thread.native_id}") for thread in ours
        ):
            time.sleep(_PART_LOOK)

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._forking == threading.get_ident():
            self._forking = None
            self._loading.release()
        if self._is_parting:
            self._is_parting = False
            if not self._is_done():
                self.wake()

    def after_fork_in_child(self) -> None:
        """Begin anew."""
        _EXIT_TIME.begin()
        _EXIT_TIME.senders.clear()
        if self._outbox is not None:
            self._outbox.backlog.drop_inherited()
        self._begin()
