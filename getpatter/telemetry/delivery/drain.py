"""Waiting in a coroutine for delivery, on asyncio and trio, with anyio on either.

One thread of a client waits for all its coroutines, however many come and are cancelled; the event
loop is only woken. Not a loop's own thread, which the host's work may hold, and not a loop's own
timer, which a test of the host may freeze.
"""

import os
import sys

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.delivery.patience import Patience
from getpatter.telemetry.delivery.threads import OwnThread, allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Drains"]

# A coroutine that comes with less time than those before it waits at most so much longer.
_PART_SECONDS = 0.1
# A coroutine whose thread was killed goes on so long after its time.
_SPARE_SECONDS = 1.0


class _Waiter:
    """A coroutine that waits: for how long, how to wake it, and whether it closes the client."""

    __slots__ = ("closes", "patience", "wake")

    def __init__(self, seconds: float, wake: "Callable[[], object]", *, closes: bool) -> None:
        self.patience = Patience(seconds)
        self.wake = wake
        self.closes = closes


class Drains:
    """Owns the waiters of one client and the thread that waits for them.

    `flush` waits as `TelemetryClient.flush` does; `close` gives what is left to the disk.
    """

    __slots__ = ("_close", "_flush", "_pid", "_starting", "_thread", "_waiters")

    def __init__(self, flush: "Callable[[float], bool]", close: "Callable[[float], bool]") -> None:
        self._flush = flush
        self._close = close
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        # Held while the thread is started.
        self._starting = allocate_lock()
        self._thread: OwnThread | None = None
        # Each access is one step of the interpreter: no lock is needed.
        self._waiters: dict[int, _Waiter] = {}

    async def wait(self, timeout: float, *, closes: bool = False) -> None:
        """Wait at most `timeout` seconds for delivery, then close the client if asked to.

        Where no thread can be had, or the event loop is one that is not known, nothing is waited
        for. A close happens though its coroutine is cancelled.
        """
        if os.getpid() != self._pid:
            self._begin()  # a fork: the waiters are the parent's, and so is its thread
        bell = _bell(timeout + _SPARE_SECONDS)
        if bell is not None:
            wake, woken = bell
            waiter = _Waiter(timeout, wake, closes=closes)
            self._waiters[id(waiter)] = waiter
            try:
                if self._has_thread():
                    await woken()
                    return
            finally:
                if not closes:
                    self._waiters.pop(id(waiter), None)
            self._waiters.pop(id(waiter), None)
        if closes:
            self._close(0.0)

    def _has_thread(self) -> bool:
        """Return whether the thread lives; start it if it does not."""
        if not self._starting.acquire(blocking=False):
            return True  # another caller is starting it
        try:
            if self._thread is None or not self._thread.is_alive:
                self._thread = OwnThread(self._work)
        except (RuntimeError, MemoryError):
            return False
        finally:
            self._starting.release()
        return True

    def _work(self, thread: OwnThread) -> None:
        while waiters := list(self._waiters.copy().values()):
            self._serve(waiters)
        thread.end()
        if self._waiters:  # one came just before that, and took us for alive
            self._has_thread()

    def _serve(self, waiters: "list[_Waiter]") -> None:
        """Wait for the first of them, for a part of its time; wake those who need wait no more."""
        begun = monotonic()
        left = min(waiter.patience.left for waiter in waiters)
        part = min(left, _PART_SECONDS)
        is_done, enough = self._flush(part), 0.0
        if not is_done and monotonic() < begun + part:
            # The collector is to be left alone for longer: that may end in time, or it may not.
            is_done, enough = self._flush(left), left
        elif not is_done:
            for waiter in waiters:
                waiter.patience.spend(part)
        for waiter in waiters:
            if is_done or waiter.patience.left <= enough:
                if waiter.closes:
                    self._close(0.0)
                self._waiters.pop(id(waiter), None)
                _wake(waiter)


def _wake(waiter: _Waiter) -> None:
    try:
        waiter.wake()
    except RuntimeError:
        return  # nobody waits any more: the loop has ended


def _bell(
    seconds: float,
) -> "tuple[Callable[[], object], Callable[[], Awaitable[object]]] | None":
    """Return what wakes the running coroutine from any thread, and what it awaits until then, for
    at most so many seconds: the thread may have been killed.
    """
    library = _library()
    if library == "trio":
        trio = sys.modules["trio"]
        rung, token = trio.Event(), trio.lowlevel.current_trio_token()

        async def rung_in_time() -> None:
            with trio.move_on_after(seconds):
                await rung.wait()

        return lambda: token.run_sync_soon(rung.set), rung_in_time
    if library == "asyncio":
        import asyncio  # a coroutine of asyncio has loaded it

        event, loop = asyncio.Event(), asyncio.get_running_loop()

        async def set_in_time() -> None:
            late = loop.call_later(seconds, event.set)
            try:
                await event.wait()
            finally:
                late.cancel()

        return lambda: loop.call_soon_threadsafe(event.set), set_in_time
    return None


def _library() -> str:
    """Return the library whose event loop runs this coroutine, as far as it can be known."""
    sniffio = sys.modules.get("sniffio")  # whatever else than asyncio is here has loaded it
    if sniffio is None:
        return "asyncio"
    try:
        return str(sniffio.current_async_library())
    except RuntimeError:
        return ""
