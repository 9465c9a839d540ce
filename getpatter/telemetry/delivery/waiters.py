"""Waiters: threads of the host that wait until the worker has done something.

A condition variable would hold a lock that a signal handler meets again, and that knows its owner
by what gevent and eventlet replace. Here each waiter has a lock of its own, and nothing else is
held. The lock is of the kind that there was when the worker's thread was started: where green
threads came later, that thread is a real one, and is waited for as one.
"""

import threading
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Waiters"]


class Waiters:
    """Who waits now. Each access to the queue is one step of the interpreter."""

    __slots__ = ("_locks", "_make")

    def __init__(self) -> None:
        self._locks: deque[threading.Lock] = deque()
        self._make = threading.Lock

    def of_thread(self) -> None:
        """Wait from now on as for a thread that is started now."""
        self._make = threading.Lock

    def wait(self, seconds: float, is_over: "Callable[[], bool]") -> None:
        """Wait until `wake` is called, for at most so long; not at all if it is over already.

        That is asked once the waiter is in the queue, so that no call of `wake` is missed.
        """
        lock = self._make()
        lock.acquire()
        self._locks.append(lock)
        if not is_over():
            lock.acquire(timeout=max(0.0, seconds))
        try:
            self._locks.remove(lock)
        except ValueError:
            return  # woken

    def wake(self) -> None:
        """Have all who wait look again."""
        while self._locks:
            try:
                lock = self._locks.popleft()
            except IndexError:
                return  # somebody else woke the last one
            lock.release()
