"""The worker: one thread that takes what was recorded to the collector, a step at a time.

There is a thread only while there is something to do: the first record starts it, ten idle
seconds end it. Everything that does I/O happens on the thread; where none can run, on the thread of
the caller that waits, see `flusher`.
"""

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.delivery import process_hooks as _hooks
from getpatter.telemetry.delivery.limits import FIRST_LOOK, IDLE, LOOK, NOTICE, TRIES_OF_A_BUG
from getpatter.telemetry.delivery.loader import Loader
from getpatter.telemetry.delivery.phase import CLOSED, RUNNING
from getpatter.telemetry.delivery.rate_limit import BURST, PER_SECOND
from getpatter.telemetry.delivery.recorder import Recorder
from getpatter.telemetry.delivery.threads import Bell, OwnThread, allocate_lock
from getpatter.telemetry.delivery.waiters import Waiters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.telemetry.delivery.errors import Errors
    from getpatter.telemetry.delivery.observer import Observer
    from getpatter.telemetry.delivery.outbox import Outbox
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.run import Run

__all__ = ["NOTICE_SECONDS", "Worker"]

#: How long a thread that ends waits for the other one.
NOTICE_SECONDS = 0.05


class Worker(Recorder):
    """Owns the outbox and the thread of one client.

    `_io` is held during a step: by the thread, or by a caller where no thread can run.
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
        self._environ = environ
        self._errors: Errors | None = None
        self._loader = Loader(open_run, observer)
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, whose parent sends what
        was recorded before, and whose inherited locks may be held by threads it does not have.
        """
        super()._begin()
        self._outbox: Outbox | None = None
        self._io = allocate_lock()
        self._waiters = Waiters()
        self._thread: OwnThread | None = None
        # Held while a thread is started.
        self._starting = allocate_lock()
        self._bell = Bell()
        # A fork is about to happen, for which the thread ends if it can.
        self._is_parting = False
        self._is_flushing = False
        self._is_persisting = False
        self._is_busy = False
        # How often no outbox could be made.
        self._failures = 0
        self._is_hooked = False
        self._has_memory = False
        # How the process ends, once that is chosen.
        self._mode = ""

    # the thread

    def wake(self) -> None:
        """Ring for the thread; start it if there is none. Never waits for it."""
        _hooks.notice_fork()
        if self._has_memory:
            self._awake[0] = 1
        if not (self.phase.is_ending or self._has_thread()):
            self._start_thread()
        self._bell.ring()

    def _start_thread(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # another caller is starting it
        try:
            if not self._is_hooked:
                self._is_hooked = True
                _hooks.install_in_child()
            if not self._has_thread():
                self._thread = OwnThread(self._work)
        except (RuntimeError, MemoryError):
            # No thread can be had (any more): a flush does its work, at the latest at exit. Not
            # each record tries.
            self._awake[0] = 1
        finally:
            self._starting.release()

    def _has_thread(self) -> bool:
        """Return whether there is a thread. One may have been killed at any line."""
        thread = self._thread
        return thread is not None and thread.is_alive

    def _work(self, thread: OwnThread) -> None:
        # The caller that started the thread rings next, unless it is interrupted, and goes on with
        # the host's work first.
        self._bell.wait(FIRST_LOOK)
        while not (self._is_parting and not self._is_in_flight()):
            with self._io:
                pause = self._step(monotonic())
            self._waiters.wake()
            is_over = self.phase.is_ending or (
                self.phase is not RUNNING and not self._is_in_flight()
            )
            if is_over and not self._is_persisting:
                break  # what comes now is sent by its caller, or by nobody
            if pause is None or pause > LOOK:
                # A record rings from now on; one that came just before did not.
                self._awake[0] = 0
                if len(self.buffer) and pause is None:
                    pause = 0.0
                elif len(self.buffer):
                    self._awake[0], pause = 1, LOOK  # it is looked at so soon anyway
            if pause == 0:
                continue
            rang = self._bell.wait(IDLE if pause is None else pause)
            if pause is None and not rang:
                break
            self._awake[0] = 1
        self._retire(thread)

    def _retire(self, thread: OwnThread) -> None:
        """End the thread: the connection is closed, and a later record starts another thread."""
        with self._io:
            try:
                if self._outbox is not None:
                    self._outbox.disconnect(NOTICE_SECONDS)
                    if self.phase.refuses is not None:
                        self._outbox.backlog.release()
            except BaseException as error:  # the thread ends in any case, and says so below
                self._note_error(error)
        self._awake[0] = 0
        thread.end()
        self._waiters.wake()  # who waits goes on without the thread
        # A caller that recorded just before that took us for alive.
        if len(self.buffer) and not (self.phase.is_ending or self._is_parting):
            self.wake()

    # a step

    def _step(self, now: float, here: float | None = None) -> float | None:
        """Do the next thing; answer how long to wait for the one after it, None for no end.

        Whatever is raised is kept from the host, and does not end the thread: an object of the
        host's may raise what is no `Exception`. Nothing is given up for it: what an error is about
        has been settled where it could be known.
        """
        self._is_busy = True
        try:
            if self._is_persisting:
                self._persist()
            if here is None and self._mode in ("detach", "spool"):
                return LOOK  # others deliver; a request here would hold up what is persisted last
            if self._outbox is None and not len(self.buffer):
                return None
            return self._step_of(self._opened(), now, here)
        except OSError:
            return LOOK  # what is stored cannot be read now (no descriptor is left): not lost
        except BaseException as error:
            self._note_error(error)
            self._failures += self._outbox is None
            if self._failures < TRIES_OF_A_BUG:
                return NOTICE  # a module may load the second time
            self._failures = 0
            self.buffer.lose("internal_error")  # there is nothing that could send it
            return None
        finally:
            self._is_busy = False

    def _step_of(self, outbox: "Outbox", now: float, here: float | None) -> float | None:
        if self.phase.refuses == "opted_out" and outbox.stopped is None:
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
        """Return the outbox, at the rate that is asked for; make it if there is none."""
        if not self._has_memory:
            self._keep_in_mind()
        if self._outbox is None:
            self._outbox = self._loader.outbox(
                self.buffer, self.losses, self._bell.ring, self._note_error
            )
        if self._lower_rate is not None:
            self._loader.lower_rate(self._outbox, self._lower_rate)
        return self._outbox

    def _keep_in_mind(self) -> None:
        """Have `record` notice a fork by itself from now on, if that can be."""
        self._has_memory = True
        memory = self._loader.memory()
        if memory is not None:
            memory[0] = 1
            self._awake = memory

    def _persist(self) -> None:
        """Put on disk what is left. Once the client ends: give up what cannot be there, and leave
        the rest to a sender, or to a process that adopts it.
        """
        try:
            if self._mode != "none" and (len(self.buffer) or self._outbox is not None):
                self._opened().persist(monotonic())
        except BaseException as error:
            self._note_error(error)
            if self.phase is not RUNNING:
                is_late = issubclass(type(error), OSError)
                self.buffer.lose("shutdown" if is_late else "internal_error")
        finally:
            self._is_persisting = False
        outbox = self._outbox
        if self.phase is RUNNING or outbox is None:
            return
        if self._mode != "none":
            outbox.lose_unkept("shutdown" if outbox.stopped is None else outbox.stopped)
        if self.phase.is_ending and self._mode == "detach":
            from getpatter.telemetry.delivery import exits

            exits.hand_over(outbox, self._environ, monotonic())
        elif self.phase.is_ending or not outbox.backlog.is_in_flight:
            outbox.backlog.release()

    def _note_error(self, error: BaseException) -> None:
        if self._errors is None:
            from getpatter.telemetry.delivery.errors import Errors  # who makes none does without

            self._errors = Errors(self._is_debug)
        self._errors.note(error)

    def _is_debug(self) -> bool:
        from getpatter.telemetry import env

        return env.is_truthy(self._environ.get("PATTER_TELEMETRY_DEBUG", ""))

    # how it stands

    def _run_rate(self) -> float:
        run = None if self._outbox is None else self._outbox.run
        return 1.0 if run is None else run.rate

    def _is_in_flight(self) -> bool:
        return self._outbox is not None and self._outbox.backlog.is_in_flight

    def _is_done(self) -> bool:
        return not (self._is_busy or self._has_left())

    def _has_left(self) -> bool:
        outbox = self._outbox
        return bool(len(self.buffer) or (outbox and not outbox.backlog.is_empty))
