"""A listener: one callback, the thread that it runs on, and what waits for it.

The thread is there only while there is something to do, so that a thousand calls with callbacks of
their own do not keep a thousand threads. Nobody but that thread ever waits for the callback.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

__all__ = ["WAITING", "Listener"]

#: What waits for a callback that is busy: seven seconds of the records of a thousand calls of three
#: participants, or hours of those of one call.
WAITING = 2_048
# Who is told of many calls keeps its thread; that of a single call ends between its records.
_IDLE_SECONDS = 0.1


class Listener:
    """Calls one callback with one payload after the other. `put` never waits for it.

    `count(listener, what)` is told of each payload: `called`, `failed` or `lost`.
    """

    def __init__(
        self,
        name: str,
        call: str | None,
        callback: Callable[..., object],
        count: Callable[[Listener, str], None],
    ) -> None:
        self.name = name
        self.call = call
        #: What was said of it already; owned by `count`.
        self.said: set[str] = set()
        self._callback = callback
        self._count = count
        self.reset()

    def reset(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, which has no thread and
        whose lock may be held by one that it does not have.
        """
        # A condition's lock is re-entrant: `put` may run in a finaliser that interrupts it.
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._thread: threading.Thread | None = None
        self._is_busy = False

    def put(self, payload: object) -> None:
        """Hand over a payload; one that is too many is lost, and counted."""
        with self._changed:
            is_full = len(self._waiting) >= WAITING
            if not is_full:
                self._waiting.append(payload)
                self._changed.notify_all()
                if self._thread is None:
                    self._start()
        if is_full:
            self._count(self, "lost")

    def _start(self) -> None:
        name = f"getpatter-callback-{self.name}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:
            # No thread can be started now; the next payload tries again.
            self._thread = None

    def _run(self) -> None:
        loop: asyncio.AbstractEventLoop | None = None
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                if not self._waiting:
                    self._changed.wait(_IDLE_SECONDS)
                if not self._waiting:
                    self._thread = None
                    break
                payload = self._waiting.popleft()
                self._is_busy = True
            what = "called"
            try:
                answer = self._callback(payload)
                if inspect.isawaitable(answer):
                    loop = loop or _new_loop()
                    loop.run_until_complete(_wait_for(answer))
            except BaseException:  # whatever it raises, `SystemExit` included, is its own affair
                what = "failed"
            self._count(self, what)
        if loop is not None:
            loop.close()

    @staticmethod
    def drain_all(listeners: Iterable[Listener], timeout: float) -> bool:
        """Wait until these have delivered everything; answer whether they have."""
        until = time.monotonic() + timeout
        left = [listener for listener in listeners if not listener.drain(until)]
        return not left

    def drain(self, until: float) -> bool:
        """Wait for it until a moment of the monotonic clock; answer whether it is done."""
        # Who asks from within the callback must not wait for its own end.
        is_own = self._thread is threading.current_thread()
        lost = 0
        with self._changed:
            if self._waiting and self._thread is None:
                self._start()
                if self._thread is None:
                    # An ending program has no more threads, and must not wait for a callback.
                    lost = len(self._waiting)
                    self._waiting.clear()
            if not is_own:
                self._changed.wait_for(self._is_done, timeout=max(0.0, until - time.monotonic()))
            is_done = self._is_done()
        for _ in range(lost):
            self._count(self, "lost")
        return is_done and not lost

    def _is_done(self) -> bool:
        return not self._waiting and not self._is_busy


def _new_loop() -> asyncio.AbstractEventLoop:
    import asyncio  # only for who has an async callback

    return asyncio.new_event_loop()


async def _wait_for(answer: object) -> None:
    await answer  # type: ignore[misc] # `isawaitable` has said so
