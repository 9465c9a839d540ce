"""A background thread: started when there is something to do, and hard to lose.

Nothing here takes a lock that it has to wait for, so that a signal handler or a finaliser may enter
anywhere. Whatever an exception that reaches the thread is called, the thread goes on; one that was
killed, or could not be started, is started again by the next caller that has something to do.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Protocol

from getpatter.calls.clock import monotonic

if TYPE_CHECKING:

    class Steps(Protocol):
        """What the thread does. No two threads call `step` at a time."""

        def step(self) -> float | None:
            """Do what there is; return 0 if there is more, the seconds until more is due, or None
            if there is nothing until `ring`.
            """

        def is_empty(self) -> bool:
            """Return whether nothing is left to be done."""

        def recover(self) -> None:
            """Count what an exception of `step` has lost."""


__all__ = ["Background", "must_pass"]

# After an exception of ours, and between two attempts to start a thread: an error that repeats is
# no busy loop, and a thread that dies at once is not started with every event.
_REST_SECONDS = 0.2
_START_SECONDS = 1.0
# How often a waiting caller looks whether the thread still lives.
_LOOK_SECONDS = 0.1


class Background:
    """Calls the steps of one `Steps`, on a thread that ends after `idle_seconds` (None: never).

    A thread that never ends is there when the program ends: from Python 3.12 on none can be
    started then. Once it is rung for, it waits `linger_seconds` for more to do at once.
    """

    def __init__(
        self,
        name: str,
        work: Steps,
        *,
        idle_seconds: float | None = None,
        linger_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._work = work
        self._idle_seconds = idle_seconds
        self._linger_seconds = linger_seconds
        #: Set by the work: the thread ends after this step.
        self.is_over = False
        self.reset()

    def reset(self) -> None:
        """Begin with no thread: at first, and in a `fork` child."""
        # A binary semaphore: releasing it wakes the thread, and needs no lock of its own.
        self._bell = threading.Lock()
        self._bell.acquire()
        # Held during a step, and while the thread is started.
        self._turn = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._start_at = 0.0
        self._worker = 0
        # One lock for each caller that waits; released when nothing is left to be done.
        self._waiters: list[threading.Lock] = []
        self._is_asleep = True
        #: Whether somebody waits, so that nothing is waited for.
        self.is_hurried = False

    # any thread

    def ring(self) -> None:
        """Have a step made for what was just left for it."""
        if self._is_asleep:
            self._wake()

    def wake(self) -> bool:
        """Have a step made at once; return whether there is a thread to make it."""
        self.is_hurried = True
        return self._wake()

    def _wake(self) -> bool:
        is_there = self.has_thread() or self._start()
        # A caller that comes before the thread has looked need not ring again.
        self._is_asleep = not is_there
        try:
            self._bell.release()
        except RuntimeError:
            return is_there  # it rings already
        return is_there

    def has_thread(self) -> bool:
        """Return whether the thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def is_mine(self) -> bool:
        """Return whether it is within a step that the caller asks: it would wait for itself."""
        return self._worker == threading.get_ident()

    def is_done(self) -> bool:
        """Return whether nothing is left to be done, and nothing is being done."""
        # In this order: who takes something out, holds the turn.
        return self._work.is_empty() and not self._turn.locked()

    def wait(self, timeout: float, *, may_work: bool = True) -> bool:
        """Wait as `wait_for` does until everything is done; return whether it is."""
        if self.is_done():
            return True
        if self.is_mine():
            return False
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        if self.wait_for(waiter, timeout, may_work=may_work):
            return True
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return True  # released in this very moment
        return False

    def wait_for(self, waiter: threading.Lock, timeout: float, *, may_work: bool = True) -> bool:
        """Wait at most `timeout` seconds until a step releases this lock; return whether one did.

        Where no thread can be had the caller makes the steps, unless `may_work` is false.
        """
        self._start_at = 0.0
        # Counted in waits of the system: a clock may be replaced, and stand still.
        left = min(max(0.0, timeout), threading.TIMEOUT_MAX)
        while True:
            if not self.wake() and may_work:
                self.help()
            pause = min(left, _LOOK_SECONDS)
            if waiter.acquire(timeout=pause):
                return True
            left -= pause
            if left <= 0:
                return False

    def help(self) -> None:
        """Make the steps that are due on the caller's thread, if no other makes any."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._worker = threading.get_ident()
            while self._work.step() == 0:
                pass
        except BaseException as error:
            self._work.recover()
            if must_pass(error):
                raise
        finally:
            self._worker = 0
            self._turn.release()
        self._settle()

    def _start(self) -> bool:
        if sys.is_finalizing() or not self._starting.acquire(blocking=False):
            return False
        try:
            now = monotonic()
            if self.has_thread():
                return True
            if now < self._start_at:
                return False
            if self._thread is not None:
                self._start_at = now + _START_SECONDS  # one that was killed
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread = thread
            try:
                thread.start()
            except (RuntimeError, MemoryError):
                self._thread = None
                self._start_at = now + _START_SECONDS
                return False
            return True
        finally:
            self._starting.release()

    def _settle(self) -> None:
        """Wake the callers that wait, if nothing is left to be done."""
        while self._waiters and self.is_done():
            try:
                self._waiters.pop().release()
            except IndexError:
                return  # who waited has given up

    # the thread

    def _run(self) -> None:
        try:
            while not self._has_ended():
                pass
            if self._thread is threading.current_thread():
                self._thread = None
        finally:
            self._is_asleep = True

    def _has_ended(self) -> bool:
        try:
            # Before the step: a caller that leaves something from now on rings.
            self._is_asleep = True
            self.is_hurried = False
            with self._turn:
                self._worker = threading.get_ident()
                pause = self._work.step()
                self._worker = 0
            if pause == 0:
                return False
            self._settle()
            return self.is_over or self._has_idled(pause)
        except BaseException:  # the thread's one catch-all: `SystemExit` must not end it either
            self._worker = 0
            self._work.recover()
            self._bell.acquire(timeout=_REST_SECONDS)
            return False

    def _has_idled(self, pause: float | None) -> bool:
        """Sleep; return whether there was nothing to do for so long that the thread ends."""
        seconds = self._idle_seconds if pause is None else min(pause, threading.TIMEOUT_MAX)
        if self._bell.acquire(timeout=-1 if seconds is None else seconds):
            if self._linger_seconds and not self.is_hurried:
                self._bell.acquire(timeout=self._linger_seconds)
            return False
        if pause is not None:
            return False
        self._thread = None
        if not self._work.is_empty():
            self.wake()  # it was left in this very moment, to a thread that was still there
        return True


def must_pass(error: BaseException) -> bool:
    """Return whether an exception is for the caller: Ctrl-C, which only the main thread gets."""
    return issubclass(type(error), KeyboardInterrupt) and (
        threading.current_thread() is threading.main_thread()
    )
