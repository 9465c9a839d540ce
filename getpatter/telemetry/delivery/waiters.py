"""Waiters: threads of the host that wait until the worker has done something.

A condition variable would hold a lock that a signal handler meets again, and that knows its owner
by what gevent and eventlet replace. Here each waiter has a lock of its own, and nothing else is
held.
"""

from collections import deque

from getpatter.telemetry.delivery.threads import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from getpatter.telemetry.delivery.patience import Patience

__all__ = ["Waiters"]


class Waiters:
    """Who waits now. Each access to the queue is one step of the interpreter."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: deque[threading.Lock] = deque()

    def wait(self, patience: "Patience", most: float, is_over: "Callable[[], bool]") -> None:
        """Wait until `wake` is called, for at most so long; not at all if it is over already.

        That is asked once the waiter is in the queue, so that no call of `wake` is missed.
        """
        lock = allocate_lock()
        lock.acquire()
        self._locks.append(lock)
        if not is_over():
            patience.acquire(lock, most)
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
