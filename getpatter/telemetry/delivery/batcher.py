"""The batcher: when what was recorded is closed into a batch, and how its events are built.

Has no lock and no thread: the caller holds the worker's.
"""

import os

from getpatter.telemetry.delivery import limits
from getpatter.telemetry.delivery.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from getpatter.telemetry.delivery.backlog import Backlog
    from getpatter.telemetry.delivery.buffer import Buffer
    from getpatter.telemetry.delivery.outbox import SendsBatches
    from getpatter.telemetry.losses import Losses

    class BuildsEvents(Protocol):
        """What builds events; the detached sender has none, since it records nothing."""

        rate: float
        version: str
        refusal: str
        dotenv: str

        @property
        def standing(self) -> tuple[str, str]: ...
        def lower_rate(self, rate: float) -> None: ...
        def build(
            self, name: object, dimensions: Mapping[str, object], at: float
        ) -> list[dict[str, object]]: ...
        def may_send(self) -> bool: ...


__all__ = ["Batcher"]


class Batcher:
    """Closes the records in `buffer` into batches for the backlog.

    `run` builds their events; the detached sender has none, since it records nothing.
    """

    __slots__ = ("_backlog", "_buffer", "_destination", "_losses", "_on_error", "_run")

    def __init__(
        self,
        run: "BuildsEvents | None",
        buffer: "Buffer",
        losses: "Losses",
        backlog: "Backlog",
        *,
        destination: "SendsBatches",
        on_error: "Callable[[BaseException], None]",
    ) -> None:
        self._run = run
        self._buffer = buffer
        self._losses = losses
        self._backlog = backlog
        self._destination = destination
        self._on_error = on_error

    def due(
        self,
        now: float,
        limit: int,
        *,
        may_ask: bool,
        wait: float,
        sent_at: float,
        urgent: bool,
        flushing: bool,
    ) -> float | None:
        """Return in how many seconds a batch must be closed; None if nothing is due.

        `may_ask`: whether the collector may be asked now; `wait`: for how many seconds it must not
        be. `sent_at`: when it was last.
        """
        oldest = self._buffer.oldest()
        if oldest is None or self._run is None:
            return None
        if self._destination.problem is not None:
            return 0.0
        is_full = len(self._buffer) >= limit
        if may_ask and not self._backlog.has_own:
            if is_full or flushing:
                return 0.0
            at = oldest + limits.LINGER_URGENT if urgent else oldest + limits.LINGER
            return (at if urgent else max(at, sent_at + limits.GAP)) - now
        if self._backlog.can_persist(now):
            return self._due_on_disk(oldest, now, is_full=is_full)
        # It waits in memory, where the oldest gives way.
        return max(limits.NOTICE, wait)

    def _due_on_disk(self, oldest: float, now: float, *, is_full: bool) -> float:
        """Return the same where the collector cannot be asked now, and the disk can be."""
        is_next = is_full and not self._backlog.has_own
        if is_next or len(self._buffer) >= limits.MANY:
            return 0.0
        return oldest + limits.KEPT_WITHIN - now

    def close(self, now: float, limit: int) -> str | None:
        """Close up to `limit` records into a batch; return the loss reason if this run may send no
        more.
        """
        run = self._run
        if run is None or self._destination.problem is not None:
            self._buffer.lose(self._destination.problem or "internal_error")
            return None
        if not run.may_send():
            return run.refusal
        room = self._backlog.room(run.rate, limit)
        oldest = self._buffer.oldest()
        events = self._build(run, room or limit)
        if not events:
            return None
        report = self._losses.take_unreported()
        if not (room and self._backlog.fill(events, report, now)):
            batch = Batch(
                events,
                os.urandom(16).hex(),
                now,
                report,
                rate=run.rate,
                version=run.version,
            )
            # An event that comes once per install is on disk at once: a kill does not lose it.
            is_once = any(event["event"] == "first_run" for event in events)
            keep_at = now if is_once else (oldest or now) + limits.KEPT_WITHIN
            self._backlog.add(batch, now, keep_at)
        if self._backlog.spooled and not self._destination.has_consent():
            return "opted_out"  # it came while we were writing: what was written goes
        return None

    def _build(self, run: "BuildsEvents", limit: int) -> "list[dict[str, object]]":
        events: list[dict[str, object]] = []
        for name, dimensions, at in self._buffer.take(limit):
            try:
                events += run.build(name, dimensions, at)
            except BaseException as error:  # of this record alone: the others are taken already
                self._on_error(error)
                self._losses.count(name, "internal_error")
        return events
