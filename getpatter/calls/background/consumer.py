"""A consumer: a bounded queue, and a thread of its own that delivers what waits in it.

One for each sink and each callback: one that hangs hangs alone, and what it misses is counted.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from getpatter.calls.background.thread import Background
from getpatter.calls.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class ItemHandler(Protocol):
        """What is consumed by. Its methods raise only what must pass."""

        def consume(self, items: list[Any]) -> float | None:
            """Take all items: None. Or none of them yet: the seconds until the next try."""

        def lose(self, reason: str, times: int) -> None:
            """Count items that are lost: `full` or `closed`."""

        def close(self) -> None:
            """Let go of what is held: there will be no more."""


__all__ = ["Consumer"]

# The least pause before another try: one that asks for none at all would keep a processor busy.
_PAUSE_SECONDS = 0.001


class Consumer:
    """Hands items to a handler, `batch` at once at most; over `bound` the oldest is lost.

    `put` never waits and may run anywhere. The thread ends after `idle_seconds`; None: with
    `finish`.
    """

    def __init__(
        self,
        name: str,
        handler: ItemHandler,
        *,
        bound: int,
        batch: int,
        idle_seconds: float | None = None,
    ) -> None:
        self._handler = handler
        self._bound = bound
        self._batch_items = batch
        self._is_finishing = False
        self._is_discarding = False
        self._is_closed = False
        self._background = Background(name, self, idle_seconds=idle_seconds)
        self._clear()

    def _clear(self) -> None:
        self._waiting: deque[Any] = deque()
        # Taken out of those that wait, and not yet taken by the handler.
        self._batch: list[Any] = []
        self._retry_at = 0.0

    def reset(self) -> None:
        """Begin with nothing, in a `fork` child: its parent delivers what waits."""
        self._clear()
        self._background.reset()

    def __len__(self) -> int:
        """Return how many items wait, with those that are being consumed."""
        return len(self._waiting) + len(self._batch)

    def put(self, items: Sequence[Any]) -> None:
        """Let items wait; the oldest of too many are lost, and counted."""
        if self._is_finishing:
            self._handler.lose("closed", len(items))
            return
        self._waiting.extend(items)
        self._lose_over(self._bound, "full")
        self._background.ring()

    def start(self) -> None:
        """Have a thread, before there is anything for it."""
        self._background.wake()

    def wait(self, timeout: float, *, may_work: bool = True) -> bool:
        """Wait at most `timeout` seconds until everything is consumed; return whether so."""
        return self._background.wait(timeout, may_work=may_work)

    def finish(self, *, is_discarding: bool = False) -> None:
        """Take no more; consume what waits, or with `is_discarding` lose it, then close."""
        self._is_finishing = True
        if is_discarding:
            self._is_discarding = True
            self._lose_over(0, "closed")
        self._background.wake()

    def _lose_over(self, bound: int, reason: str) -> None:
        lost = 0
        while len(self._waiting) > bound:
            try:
                self._waiting.popleft()
            except IndexError:
                break  # it was taken in this very moment
            lost += 1
        if lost:
            self._handler.lose(reason, lost)

    # the thread

    def step(self) -> float | None:
        """Have the handler consume what waits."""
        if self._is_discarding and self._batch:
            self._handler.lose("closed", len(self._batch))
            self._batch = []
        if not self._batch:
            for _ in range(min(len(self._waiting), self._batch_items)):
                self._take()
        if self._batch:
            return self._consume()
        if self._is_finishing and not self._waiting:
            self._background.is_over = True
            if not self._is_closed:
                self._is_closed = True
                self._handler.close()
        return None

    def is_empty(self) -> bool:
        """Return whether everything is consumed, and closed if it is to be."""
        is_owed = self._is_finishing and not self._is_closed
        return not (self._waiting or self._batch or is_owed)

    def recover(self) -> None:
        """Nothing is lost by an exception of ours: the batch stays."""

    def _take(self) -> None:
        try:
            self._batch.append(self._waiting.popleft())
        except IndexError:
            return  # too many waited, and it was lost

    def _consume(self) -> float | None:
        left = self._retry_at - monotonic()
        if left > 0:
            return left
        try:
            pause = self._handler.consume(self._batch)
        except BaseException:
            self._batch = []
            raise
        if pause is None:
            self._batch = []
            return 0
        pause = max(pause, _PAUSE_SECONDS)
        self._retry_at = monotonic() + pause
        return pause
