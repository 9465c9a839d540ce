"""A listener: one callback, with a consumer of its own.

Its thread is there only while there is something to do, so that a thousand calls with callbacks of
their own do not keep a thousand threads.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from getpatter.calls.background.consumer import Consumer
from getpatter.calls.background.thread import must_pass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["WAITING", "Listener"]

#: What waits for a callback that is busy; the oldest gives way. Seven seconds of the records of a
#: thousand calls of three participants, or hours of those of one call.
WAITING = 2_048
# One for many calls keeps its thread; that of a single call ends between its records.
_IDLE_SECONDS = 0.1


class Listener:
    """Calls one callback with one payload after the other.

    `count(listener, what, times)` is called for each payload: `called`, `failed` or `lost`.
    """

    def __init__(
        self,
        name: str,
        call: str | None,
        callback: Callable[..., object],
        count: Callable[[Listener, str, int], None],
    ) -> None:
        self.name = name
        self.call = call
        #: What was reported of it already; owned by `count`.
        self.said: set[str] = set()
        self._callback = callback
        self._count = count
        self.consumer = Consumer(
            f"getpatter-callback-{name}",
            self,
            bound=WAITING,
            batch=1,
            idle_seconds=_IDLE_SECONDS,
        )

    def put(self, payload: object) -> None:
        """Let a payload wait for the callback."""
        self.consumer.put([payload])

    # the consumer's side

    def consume(self, items: list[object]) -> None:
        """Call back with the one payload."""
        what = "called"
        try:
            answer = self._callback(items[0])
            if inspect.isawaitable(answer):
                _await(answer)
        except BaseException as error:  # whatever it raises, `SystemExit` included, is its affair
            what = "failed"
            if must_pass(error):
                raise
        finally:
            self._count(self, what, 1)

    def lose(self, reason: str, times: int) -> None:  # noqa: ARG002 - there is one way to be lost
        """Count payloads that the callback does not get."""
        self._count(self, "lost", times)

    def close(self) -> None:
        """Nothing is held."""


def _await(answer: Awaitable[object]) -> None:
    import asyncio  # only for who has an async callback

    # One a payload: kept between them it would be shared with a `fork` child, descriptors included.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_wait_for(answer))
    finally:
        loop.close()


async def _wait_for(answer: Awaitable[object]) -> None:
    await answer
