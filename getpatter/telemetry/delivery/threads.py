"""Threads of ours, and the locks that they and the threads that wait for them use.

All are of one kind: that which there is when this module is loaded, with the first client. gevent
and eventlet replace threads and locks while a program runs, and a real thread beside a green lock,
or a green one beside a real lock, holds up the whole program for ever. So the primitives are taken
once, and `threading.Thread` is not used: it looks them up at each start, and is what tracers and
tracing libraries of the host put their own code into.
"""

import _thread
import os
import sys
import weakref
from _thread import allocate_lock, get_ident, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.telemetry.delivery.patience import Patience

__all__ = ["Bell", "OwnThread", "allocate_lock"]

# Taken once, as the rest; not every system has them.
_native_id: "Callable[[], int]" = getattr(_thread, "get_native_id", int)
_may_start: "Callable[[], bool]" = getattr(_thread, "daemon_threads_allowed", lambda: True)


class _Life:
    """Exists for as long as the thread that it is given to."""

    __slots__ = ("__weakref__",)


class OwnThread:
    """A thread that does `work(thread)`, and that no ending program waits for.

    Raises RuntimeError or MemoryError where none can be started.
    """

    __slots__ = ("__weakref__", "_is_over", "_life", "ident", "native_id")

    def __init__(self, work: "Callable[[OwnThread], None]") -> None:
        if not _may_start():
            message = "this interpreter has no threads that end with it"
            raise RuntimeError(message)
        #: What Python and the system call it; 0 until it runs.
        self.ident = self.native_id = 0
        # Held until it has ended.
        self._is_over = allocate_lock()
        self._is_over.acquire()
        life = _Life()
        # However it ends: what the host raises in a thread may come at any line.
        self._life = weakref.ref(life, self.end)
        start_new_thread(self._run, (work, life))

    def _run(self, work: "Callable[[OwnThread], None]", _life: _Life) -> None:
        self.ident, self.native_id = get_ident(), _native_id()
        try:
            work(self)
        finally:
            self.end()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._is_over.locked()

    @property
    def is_there(self) -> bool:
        """Whether it lives, or the system still has it: a little longer."""
        return self.is_alive or os.path.exists(f"/proc/self/task/{self.native_id}")

    def position(self) -> object:
        """Return where in its code it is: the same again if it waits for something in between."""
        frame = sys._current_frames().get(self.ident)  # noqa: SLF001 - documented, for debuggers
        lines = []
        while frame is not None:
            lines.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        return lines

    def end(self, _: object = None) -> None:
        """Count as ended from now on: for a thread that does nothing more."""
        try:
            self._is_over.release()
        except RuntimeError:
            return  # it was released before

    def join(self, patience: "Patience") -> None:
        """Wait for its end."""
        if patience.acquire(self._is_over):
            self.end()


class Bell:
    """Wakes one thread. Ringing takes no lock, so anything may ring that interrupts anything."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # A binary semaphore: it is released to ring, and acquired by who waits.
        self._lock = allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or else the one that waits next."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it rings already

    def wait(self, seconds: float = -1) -> bool:
        """Wait for the ring, at most so long; return whether it rang. Only for a thread of ours:
        one of the host's waits with `Patience`.
        """
        return self._lock.acquire(timeout=seconds)

    def heard(self, patience: "Patience", most: float) -> bool:
        """Do the same on a thread of the host's."""
        return patience.acquire(self._lock, most)
