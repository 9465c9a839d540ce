"""The job queue: bounded, first in first out, with one thread that does the jobs.

The caller that puts a job holds the lock for a moment and never waits for the thread, which is
there only while there is something to do: the first job starts it, ten idle seconds end it.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from getpatter.calls.background.process_hooks import HOOKS, SERVICES
from getpatter.calls.background.thread import Background

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    Sample = tuple[str, str, float, dict[str, object]]

    class JobWork(Protocol):
        """What the thread works for; it handles its own errors."""

        def take_samples(self, batch: list[Sample]) -> None: ...
        def next_due(self) -> float | None: ...
        def tick(self) -> None: ...
        def flush(self) -> None: ...
        def broken(self) -> None: ...
        def reset(self) -> None: ...


__all__ = ["ENDING_JOBS", "JOBS", "Jobs"]

#: Jobs that wait at most. The thread does some 20,000 a second: when more than a tenth of a second
#: of them wait, the machine has no time for diagnostics.
JOBS = 2_048
#: The same for endings, which free what a call holds and so are refused last: all calls of a
#: machine may end at once.
ENDING_JOBS = 65_536
# Samples in one job: 2,048 jobs of 64 are 20 s of a thousand calls with six tracks.
_SAMPLES = 64
_IDLE_SECONDS = 10.0


class Jobs:
    """Owns the queue and the thread. Every method is safe from any thread."""

    def __init__(self, work: JobWork, clock: Callable[[], float]) -> None:
        self._work = work
        self._clock = clock
        self._is_closed = False
        self._is_flushed = False
        self._background = Background("getpatter-jobs", self, idle_seconds=_IDLE_SECONDS)
        self._at_exit: threading.Lock | None = None
        self._clear()
        HOOKS.add(self, SERVICES)

    def _clear(self) -> None:
        # Re-entrant: a finaliser or a signal handler may interrupt the holder, and put.
        self._lock = threading.RLock()
        self._jobs: deque[Callable[[], object] | list[Sample]] = deque()
        # The last job, while it is samples that others may join.
        self._batch: list[Sample] | None = None
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
        self._background.ring()
        return ""

    def put_sample(self, sample: Sample) -> str:
        """Leave a sample, as `put` does. It is taken with others, or when something is due."""
        with self._lock:
            if self._is_closed:
                return "stopped"
            batch = self._batch
            if batch is not None and len(batch) < _SAMPLES:
                batch.append(sample)
                self.samples += 1
                return ""
            if len(self._jobs) >= JOBS:
                return "queue_full"
            self._batch = [sample]
            self._jobs.append(self._batch)
            self.samples += 1
        # One sample can wait for company; a batch that is full can not.
        if batch is not None or not self._background.has_thread():
            self._background.ring()
        return ""

    def flush(self, timeout: float) -> bool:
        """Have all that waits done, and flushed; answer whether it is, in `timeout` seconds."""
        done = self._mark()
        return done is not None and self._background.wait_for(done, timeout)

    def is_own_thread(self) -> bool:
        """Return whether it is the thread that asks: it must not wait for itself."""
        return self._background.is_mine()

    def close(self, timeout: float) -> bool:
        """Refuse jobs from now on, do those that wait, and finish; answer whether that is done.

        Waits `timeout` seconds at most.
        """
        with self._lock:
            self._is_closed = True
        return self._background.wait(timeout)

    # hooks of the process

    def begin_exit(self) -> None:
        """Have everything done: there may be no later step."""
        self._at_exit = self._mark()

    def wait_at_exit(self, timeout: float) -> None:
        """Wait for that."""
        if self._at_exit is not None:
            self._background.wait_for(self._at_exit, timeout)

    def end_exit(self) -> None:
        """What is left counts as not given."""

    def after_fork_in_child(self) -> None:
        """Begin with nothing: the parent does the rest, and the lock may be held by its threads."""
        self._work.reset()
        self._clear()
        self._background.reset()

    # the thread

    def step(self) -> float | None:
        """Do what waits; not what comes meanwhile, or what is due would wait for it."""
        for _ in range(len(self._jobs)):
            self._do_next()
        self._work.tick()
        if self._jobs:
            return 0
        if self._is_closed and not self._is_flushed:
            self._is_flushed = self._background.is_over = True
            self._work.flush()
        due = self._work.next_due()
        return None if due is None else max(0.001, due - self._clock())

    def is_empty(self) -> bool:
        """Return whether nothing waits, and all is flushed if it is to be."""
        is_owed = self._is_closed and not self._is_flushed
        return not (self._jobs or is_owed)

    def recover(self) -> None:
        """Count the job that an error of ours has ended."""
        self._work.broken()

    def _mark(self) -> threading.Lock | None:
        """Leave a flush; return a lock that is released behind it, None if it is refused."""
        done = threading.Lock()
        done.acquire()
        refused = self.put(self._work.flush, ENDING_JOBS) or self.put(done.release, ENDING_JOBS)
        return None if refused else done

    def _do_next(self) -> None:
        with self._lock:
            job = self._jobs.popleft()
            if job is self._batch:
                self._batch = None
        if isinstance(job, list):
            self._work.take_samples(job)
        else:
            job()
