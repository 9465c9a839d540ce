"""The flusher: what a thread of the host may wait for, always within a bound.

It waits for the worker's thread. Where none can run it does the thread's work itself.
"""

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry._interrupt import is_ctrl_c
from getpatter.telemetry.delivery import process_hooks as _hooks
from getpatter.telemetry.delivery.limits import STEP
from getpatter.telemetry.delivery.patience import Patience
from getpatter.telemetry.delivery.phase import CLOSED
from getpatter.telemetry.delivery.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Flusher"]

# How often a waiting caller looks whether the thread still lives.
_LOOK_SECONDS = 0.1
# A thread that was seen so often again where it was before waits for what does not come.
_STUCK_LOOKS = 3


class Flusher(Worker):
    """Waits for what the worker does, on the thread of the caller."""

    def _begin(self) -> None:
        super()._begin()
        self._interrupted: BaseException | None = None

    def flush_pending(self) -> None:
        """Ask for what is pending to be sent now; does not wait for it."""
        _hooks.notice_fork()
        if not self._is_done():
            self._is_flushing = True
            self.wake()

    def flush(self, timeout: float) -> bool:
        """Deliver what was recorded; return whether nothing is left. Waits `timeout` s at most, and
        not at all for a collector that must not be asked for longer.
        """
        return self._flush(Patience(timeout))

    def _flush(self, patience: Patience) -> bool:
        _hooks.notice_fork()
        starts = 0
        while not self._is_done():
            starts += not self._has_thread()
            if starts > 1:
                break  # it was killed: its work is done here
            # Not for the end of the last step: that would only have it begin another one.
            if not self._has_thread() or (self._has_left() and not self._is_flushing):
                self._is_flushing = True
                self.wake()
            left = patience.left
            if left <= 0:
                return False
            if not self._is_busy and self._pause(monotonic()) > left:
                return self._is_done()  # asked again: a step may just have ended
            if not self._has_thread():
                break
            self._waiters.wait(patience, _LOOK_SECONDS, self._is_done)
        else:
            return True
        self._work_here(patience)
        return self._is_done()

    def _adopt_last(self, patience: Patience) -> None:
        """Wait until the thread has looked for orphans, if it is about to: for a millisecond."""
        self._wait_for_thread(patience, self._has_looked)

    def _deliver_adopted(self, patience: Patience) -> None:
        """Wait until nothing of exited owners is left either: in a process that waits at exit
        nobody else would deliver it.
        """
        self._wait_for_thread(patience, self._has_no_more)

    def _wait_for_thread(self, patience: Patience, is_over: "Callable[[], bool]") -> None:
        while patience.left and self._has_thread() and not is_over():
            self._waiters.wait(patience, _LOOK_SECONDS, is_over)

    def _has_looked(self) -> bool:
        now, outbox = monotonic(), self._outbox
        if outbox is None or outbox.backlog.has_stored:
            return True
        return self._pause(now) > 0 or not outbox.is_looking(now)

    def _has_no_more(self) -> bool:
        now, outbox = monotonic(), self._outbox
        if outbox is None or outbox.backlog.is_in_flight:
            return outbox is None
        return self._pause(now) > 0 or not (outbox.backlog.has_next or outbox.is_looking(now))

    def _pause(self, now: float) -> float:
        """Return for how many seconds the collector must not be asked; 0 if it may be."""
        outbox = self._outbox
        return 0.0 if outbox is None or outbox.backlog.is_in_flight else outbox.wait(now)

    def _work_here(self, patience: Patience) -> None:
        """Do the thread's work on the caller's thread, where none can be started."""
        while not self._is_done():
            if not patience.left or not patience.acquire(self._io):
                return
            self._is_flushing = True
            try:
                left = patience.left
                pause = self._step(monotonic(), left)
            finally:
                self._io.release()
            self._interrupt()
            # An uploader that is at work since before rings when it has an answer.
            if pause is None or (pause >= left and not self._is_in_flight()):
                break
            self._bell.heard(patience, pause)
        self._awake[0] = 0  # the next record tries again to start a thread

    def close(self, timeout: float) -> bool:
        """`flush`, persist the rest (or lose it as `shutdown`), and take no more."""
        delivered = self.flush(timeout)
        if self._let_go(lambda: self._persist_soon(Patience(STEP))):
            delivered = self.flush(timeout)
        if self.phase.refuses is None:
            self._enter(CLOSED, "shutdown")
            self._persist_soon(Patience(STEP))
        return delivered

    def _let_go(self, persist: "Callable[[], bool]") -> bool:
        """Hold nothing back after the notice that would be lost with this process; return whether
        there was anything. `persist` says whether all of it is on disk.
        """
        outbox = self._outbox
        if outbox is None or not outbox.held(monotonic()) or persist():
            return False
        outbox.let_go(monotonic())
        self.wake()  # it waits for the end of that while
        return True

    def _persist_soon(self, patience: Patience) -> bool:
        """Have what is left persisted; return whether all of it is.

        On the thread, if there is one: a disk or a lock that hangs then holds up nobody. One that
        is slow is waited for while it gets on, as far as there is time to spare.
        """
        self._is_persisting = True
        position, stuck = None, 0
        while self._is_persisting and (thread := self._thread) is not None and thread.is_alive:
            self._bell.ring()
            before, position = position, thread.position()
            stuck = stuck + 1 if position == before else 0
            if stuck >= _STUCK_LOOKS:
                patience.spare = 0.0  # it hangs, and nobody waits for it any longer
            if not (patience.left or patience.prolong(_LOOK_SECONDS)):
                break
            self._waiters.wait(patience, _LOOK_SECONDS, lambda: not self._is_persisting)
        if self._is_persisting and not self._has_thread() and patience.acquire(self._io):
            try:
                self._persist()
            finally:
                self._io.release()
            self._interrupt()
        outbox = self._outbox
        waiting = 0 if outbox is None else outbox.backlog.waiting
        return not self._is_persisting and waiting + len(self.buffer) == 0

    def _note_error(self, error: BaseException) -> None:
        super()._note_error(error)
        if issubclass(type(error), KeyboardInterrupt) and not self._has_thread():
            self._interrupted = error

    def _interrupt(self) -> None:
        """Have Ctrl-C end what the host's main thread waits for, once the step it came in is done.

        Elsewhere nobody has pressed anything: an object of the host's has raised it.
        """
        error, self._interrupted = self._interrupted, None
        if error is not None and is_ctrl_c(error):
            raise error

    def stats(self) -> "dict[str, object]":
        """Return what was delivered, what is pending and spooled, and what was lost by event and
        reason.
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
