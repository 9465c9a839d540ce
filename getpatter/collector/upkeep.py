"""What a collector does by itself on a thread: folds, merges, closes months, rewrites."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from getpatter.collector import clock, erasure
from getpatter.collector.limits import FOLD_SECONDS, MERGE_ROUNDS, REWRITE_SECONDS
from getpatter.collector.store import StoreError, months

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.collector.metrics import Metrics
    from getpatter.collector.reserve import Reserve
    from getpatter.collector.store import Store

__all__ = ["Upkeep"]


class Upkeep:
    """A round every few seconds. What fails is counted and tried again in the next one."""

    def __init__(
        self, store: Store, reserve: Reserve, metrics: Metrics, on_failure: Callable[[], None]
    ) -> None:
        self._store = store
        self._reserve = reserve
        self._metrics = metrics
        self._on_failure = on_failure
        self._ending = threading.Event()
        self._rounds = 0
        self._rewritten = float("-inf")
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the current round and a last fold."""
        self._ending.set()
        self._thread.join()
        if self._reserve.is_kept():
            with suppress(Exception):  # the next start folds what this one has not
                self._store.fold()

    def _run(self) -> None:
        while not self._ending.wait(FOLD_SECONDS):
            if not self._reserve.is_kept():
                continue
            try:
                self._round()
            except StoreError:
                self._on_failure()
                return
            except Exception as error:  # the thread's boundary
                self._metrics.internal_errors.labels(type(error).__name__).inc()

    def _round(self) -> None:
        self._rounds += 1
        self._store.fold()
        if self._rounds % MERGE_ROUNDS == 0:
            self._store.merge()
            self._store.tidy()
            self._close_months()
        moment = clock.monotonic()
        if moment - self._rewritten >= REWRITE_SECONDS and erasure.is_pending(self._store):
            self._rewritten = moment
            erasure.rewrite(self._store)

    def _close_months(self) -> None:
        store = self._store
        with store.transaction() as connection:
            months.close_months(connection, store.directory, clock.now())
        with store.transaction() as connection:
            files = months.retain(connection, store.directory, clock.now())
        months.remove(store.directory, files)
