"""Group commit: requests that wait share one transaction. A thread owns all that writes.

What is acknowledged has been committed and synced. A group that fails is tried batch by batch, so
that one which cannot be written does not keep the others from it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from getpatter.collector import clock
from getpatter.collector.limits import (
    FLUSH_SECONDS,
    GROUP_EVENTS,
    GROUP_SECONDS,
    QUEUE_EVENTS,
    QUEUE_SECONDS,
)
from getpatter.collector.store import StoreError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from getpatter.collector.batch import BatchAnswer, ReceivedBatch, RefusalKind
    from getpatter.collector.metrics import Metrics
    from getpatter.collector.reserve import Reserve
    from getpatter.collector.store import Store

__all__ = ["BEHIND", "DISK", "QUEUE", "STORE", "Committer", "Unavailable"]

# Why nothing is taken: too much waits, or for too long, no space, or no commit works.
QUEUE, BEHIND, DISK, STORE = "queue", "behind", "disk", "store"


class Unavailable(Exception):  # noqa: N818 - it is an answer, not an error
    """The store takes nothing now; the reason is one word."""


class Committer:
    """The queue in front of the store and the thread behind it. One lock guards both."""

    def __init__(self, store: Store, reserve: Reserve, metrics: Metrics) -> None:
        self._store = store
        self._reserve = reserve
        self._metrics = metrics
        self._changed = threading.Condition()
        self._batches: deque[tuple[ReceivedBatch, asyncio.Future[BatchAnswer], float]] = deque()
        self._refusals: Counter[RefusalKind] = Counter()
        self._waiting = 0
        self._is_closing = False
        self._next_flush = clock.monotonic() + FLUSH_SECONDS
        self._begun = float("-inf")
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop, on_failure: Callable[[], None]) -> None:
        """Begin to commit; futures are resolved on `loop`."""
        self._loop = loop
        self._on_failure = on_failure
        self._thread.start()

    def close(self) -> None:
        """Commit what waits and end the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    # The event loop's side

    def check(self) -> None:
        """Raise `Unavailable` if a request would have to wait for too long, or in vain."""
        if self.failure:
            raise Unavailable(self.failure)
        if self._waiting >= QUEUE_EVENTS:
            raise Unavailable(QUEUE)
        with self._changed:
            oldest = self._batches[0][2] if self._batches else None
        if oldest is not None and clock.monotonic() - oldest > QUEUE_SECONDS:
            raise Unavailable(BEHIND)
        if not self._reserve.is_kept():
            raise Unavailable(DISK)

    def submit(self, batch: ReceivedBatch) -> asyncio.Future[BatchAnswer]:
        """Queue a batch; the future has the answer once it is durable."""
        future: asyncio.Future[BatchAnswer] = self._loop.create_future()
        with self._changed:
            self._batches.append((batch, future, clock.monotonic()))
            self._waiting += batch.size
            if len(self._batches) == 1 or self._waiting >= GROUP_EVENTS:
                self._changed.notify()  # the others would wake it in vain
        return future

    def count_refusal(self, status: int, rule: str) -> None:
        """Count a request that was refused as a whole."""
        with self._changed:
            self._refusals[status, None, None, None, rule, None] += 1

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return self._waiting

    # The thread's side

    def _run(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        with self._changed:
            while not self._is_closing and (pause := self._pause()) > 0:
                self._changed.wait(pause)
            self._begun = clock.monotonic()
            group = self._take_group()
            refusals: Counter[RefusalKind] = Counter()
            if self._is_closing or clock.monotonic() >= self._next_flush:
                refusals, self._refusals = self._refusals, refusals
                self._next_flush = clock.monotonic() + FLUSH_SECONDS
            is_last = self._is_closing and not self._batches
        if group or refusals:
            self._commit(group, refusals)
        return not is_last

    def _pause(self) -> float:
        """Return for how many seconds there is nothing to do yet."""
        moment = clock.monotonic()
        if not self._batches:
            return self._next_flush - moment
        # One that comes alone does not wait; under load more of them share a commit.
        return 0.0 if self._waiting >= GROUP_EVENTS else self._begun + GROUP_SECONDS - moment

    def _take_group(self) -> list[tuple[ReceivedBatch, asyncio.Future[BatchAnswer]]]:
        group: list[tuple[ReceivedBatch, asyncio.Future[BatchAnswer]]] = []
        events = 0
        while self._batches and (events + self._batches[0][0].size <= GROUP_EVENTS):
            batch, future, _ = self._batches.popleft()
            group.append((batch, future))
            events += batch.size
        self._waiting -= events
        return group

    def _commit(
        self,
        group: list[tuple[ReceivedBatch, asyncio.Future[BatchAnswer]]],
        refusals: Counter[RefusalKind],
    ) -> None:
        if not self._reserve.is_kept():
            self._settle([(future, None, Unavailable(DISK)) for _, future in group])
            self._keep_refusals(refusals)
            return
        answers: list[BatchAnswer] = []
        error: Exception | None = None
        try:
            with self._metrics.commit_seconds.time():
                answers = self._store.append([batch for batch, _ in group], refusals)
        except Exception as caught:  # the thread's boundary: counted below, and it goes on
            error = caught
        if error is None:
            self._settle([(f, a, None) for (_, f), a in zip(group, answers, strict=True)])
            return
        self._keep_refusals(refusals)
        if isinstance(error, StoreError):
            self.fail()
        if self.failure or len(group) == 1:
            self._metrics.internal_errors.labels(type(error).__name__).inc()
            self._settle([(future, None, Unavailable(STORE)) for _, future in group])
            return
        for entry in group:
            self._commit([entry], Counter())

    def _keep_refusals(self, refusals: Counter[RefusalKind]) -> None:
        with self._changed:
            self._refusals.update(refusals)

    def fail(self) -> None:
        """Take nothing any more: the process must end, not stay up half dead."""
        self.failure = STORE
        self._loop.call_soon_threadsafe(self._on_failure)

    def _settle(self, outcomes: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
        if outcomes:
            self._loop.call_soon_threadsafe(_resolve, outcomes)


def _resolve(outcomes: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for future, result, error in outcomes:
        if future.done():  # the request that waited has gone
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
