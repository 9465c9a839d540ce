"""The job queue: bounded, first in first out, with one thread that does the jobs.

Whoever puts a job holds the lock for a moment and never waits for the thread, which is there only
while there is something to do: the first job starts it, ten idle seconds end it.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    Sample = tuple[str, str, float, dict[str, object]]

    class Work(Protocol):
        """What the thread works for; it handles its own errors."""

        def take_samples(self, batch: list[Sample]) -> None: ...
        def next_due(self) -> float | None: ...
        def tick(self) -> None: ...
        def flush(self) -> None: ...


__all__ = ["ENDINGS", "JOBS", "Jobs"]

#: Jobs that wait at most. The thread does some 20,000 a second: when more than a tenth of a second
#: of them wait, the machine has no time for diagnostics.
JOBS = 2_048
#: The same for endings, which free what a call holds and so are refused last: all calls of a
#: machine may end at once.
ENDINGS = 65_536
# Samples in one job: 2,048 jobs of 64 are 20 s of a thousand calls with six tracks.
_SAMPLES = 64
_IDLE_SECONDS = 10.0


class Jobs:
    """Owns the queue and the thread. Every method is safe from any thread."""

    def __init__(self, work: Work, clock: Callable[[], float]) -> None:
        self._work = work
        self._clock = clock
        self._is_closed = False
        self.reset()

    def reset(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, which has no thread and
        whose lock may be held by one that it does not have.
        """
        # Re-entrant: a finaliser or a signal handler may interrupt whoever holds it, and put.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._jobs: deque[Callable[[], object] | list[Sample]] = deque()
        # The last job, while it is samples that others may join.
        self._batch: list[Sample] | None = None
        self._thread: threading.Thread | None = None
        #: Samples that were ever taken.
        self.samples = 0

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self._jobs)

    def put(self, job: Callable[[], object], limit: int = JOBS) -> str:
        """Leave a job; answer `stopped` or `queue_full` if it was refused, else nothing."""
        with self._lock:
            if self._is_closed:
                return "stopped"
            if len(self._jobs) >= limit:
                return "queue_full"
            self._batch = None
            self._jobs.append(job)
            self._wake()
        return ""

    def put_sample(self, sample: Sample) -> str:
        """Leave a sample, as `put` does. It is taken with others, or when something is due."""
        with self._lock:
            if self._is_closed:
                return "stopped"
            batch = self._batch
            if batch is not None and len(batch) < _SAMPLES:
                batch.append(sample)
            elif len(self._jobs) >= JOBS:
                return "queue_full"
            else:
                self._batch = [sample]
                self._jobs.append(self._batch)
                # One sample can wait for company; a batch that is full can not.
                if batch is not None or self._thread is None:
                    self._wake()
            self.samples += 1
        return ""

    def _wake(self) -> None:
        self._changed.notify()
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="getpatter-calls", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:
                # No thread can be started (any more): the next job tries again, or `close` works.
                self._thread = None

    def is_own_thread(self) -> bool:
        """Return whether it is the thread that asks: it must not wait for itself."""
        return self._thread is threading.current_thread()

    def close(self, timeout: float) -> bool:
        """Refuse jobs from now on, do those that wait, and finish; answer whether that is done.

        Waits `timeout` seconds at most.
        """
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
            thread = self._thread
            self._changed.notify()
        if thread is None:
            if is_first:
                self._do_all()
                self._work.flush()
            return True
        if thread is not threading.current_thread():
            thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        while True:
            due = self._work.next_due()
            wait = _IDLE_SECONDS if due is None else due - self._clock()
            with self._lock:
                if not (self._jobs or self._is_closed) and wait > 0:
                    self._changed.wait(wait)
                is_idle = not self._jobs and not self._is_closed
                if is_idle and due is None:
                    self._thread = None
                    return
            self._do_all()
            self._work.tick()
            with self._lock:
                if self._is_closed and not self._jobs:
                    break
        self._work.flush()

    def _do_all(self) -> None:
        """Do what waits; not what comes meanwhile, or what is due would wait for it."""
        for _ in range(len(self._jobs)):
            with self._lock:
                job = self._jobs.popleft()
                if job is self._batch:
                    self._batch = None
            if isinstance(job, list):
                self._work.take_samples(job)
            else:
                job()
