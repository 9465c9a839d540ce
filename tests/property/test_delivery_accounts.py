"""Whatever a collector answers: no event and no report is lost, doubled or sent under two keys.

A `Backlog`, a `Schedule`, a real spool that sometimes has no room and a real `Losses` on one side,
a collector that keeps keys on the other.
"""

import itertools
import tempfile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from getpatter.telemetry.delivery.backlog import Backlog
from getpatter.telemetry.delivery.batch import Batch, Response
from getpatter.telemetry.delivery.limits import BATCH_EVENTS
from getpatter.telemetry.delivery.schedule import DELIVERED, Schedule
from getpatter.telemetry.delivery.spool import Spool
from getpatter.telemetry.losses import Losses

EVENT = "call_started"
STATUSES = st.sampled_from(
    [None, 200, 202, 204, 302, 400, 401, 403, 404, 405, 408, 410, 413, 422, 429, 500, 503]
)
CHANCES = st.floats(0, 1, exclude_max=True)
REASONS = {"rejected", "network_error", "too_large", "shutdown", "spool_full", "queue_full"}
# The wall clock does not move with `now`, and a batch is kept for a week: 40 steps are 40 hours.


class Disk(Spool):
    """A spool that sometimes has no room."""

    __slots__ = ("has_room",)

    def __init__(self, directory: str) -> None:
        super().__init__(directory, "http://127.0.0.1:9/v1/ingest")
        self.has_room = True

    def write(self, *args: Any, **options: Any) -> str | None:
        return super().write(*args, **options) if self.has_room else None


class Accounts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.losses = Losses()
        self.errors: list[BaseException] = []
        self.disk = Disk(self.directory.name)
        self.backlog = Backlog(self.disk, self.losses, self.errors.append)
        self.schedule = Schedule()
        self.now = 0.0
        self.numbers = itertools.count()
        self.keys = itertools.count()
        self.added = 0
        self.delivered: list[int] = []
        self.content: dict[str, tuple[tuple[int, ...], tuple[object, ...]]] = {}
        self.in_flight: Batch | None = None
        self.heard = 0  # losses that reached the collector
        self.outside = 0  # losses that were counted before any batch

    @rule(count=st.integers(1, BATCH_EVENTS), lost=st.integers(0, 5), wait=st.floats(0, 1))
    def add(self, count: int, lost: int, wait: float) -> None:
        self.losses.count(EVENT, "queue_full", lost)
        self.outside += lost
        self.added += count
        events = [{"event": EVENT, "n": next(self.numbers)} for _ in range(count)]
        batch = Batch(events, f"{next(self.keys):032x}", self.now, self.losses.take_unreported())
        self.backlog.add(batch, self.now, self.now + wait)

    @rule(count=st.integers(1, BATCH_EVENTS))
    def fill(self, count: int) -> None:
        count = min(count, self.backlog.room(1.0, BATCH_EVENTS))
        if count == 0:
            return
        events = [{"event": EVENT, "n": next(self.numbers)} for _ in range(count)]
        if self.backlog.fill(events, {}, self.now):
            self.added += count

    @rule(seconds=st.floats(0, 3_600))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(has_room=st.booleans())
    def disk_fills_or_empties(self, has_room: bool) -> None:
        self.disk.has_room = has_room

    @rule()
    def persist(self) -> None:
        self.backlog.persist(self.now)

    @precondition(lambda self: self.in_flight is None)
    @rule(limit=st.integers(8, BATCH_EVENTS))
    def send(self, limit: int) -> None:
        if self.schedule.may_ask(self.now):
            self.in_flight = self.backlog.take(self.now, limit)
            assert self.in_flight is None or 1 <= len(self.in_flight.events) <= limit

    @precondition(lambda self: self.in_flight is not None)
    @rule(
        status=STATUSES,
        refused=st.lists(st.integers(-1, BATCH_EVENTS), max_size=8),
        retry_after=st.none() | st.floats(0, 3_600),
        chance=CHANCES,
    )
    def answer(
        self, status: int | None, refused: list[int], retry_after: float | None, chance: float
    ) -> None:
        self.answer_with(Response(status, refused, retry_after), chance)

    def answer_with(self, answer: Response, chance: float) -> None:
        batch, self.in_flight = self.in_flight, None
        assert batch is not None
        assert len(batch.key) == 32
        numbers = [int(str(event["n"])) for event in batch.events]
        content = (tuple(numbers), tuple(sorted(batch.report.items())))
        assert self.content.setdefault(batch.key, content) == content
        before = self.backlog.delivered
        verdict = self.schedule.answered(batch, answer, self.now, chance)
        self.backlog.settle(verdict, self.now)
        if verdict.kind == DELIVERED:
            self.heard += sum(batch.report.values())
            taken = [n for index, n in enumerate(numbers) if index not in verdict.refused]
            assert self.backlog.delivered - before == len(taken)
            self.delivered += taken
        else:
            assert self.backlog.delivered == before
        # A collector that asked for time gets it.
        if answer.status in {429, 503} and answer.retry_after is not None:
            assert self.schedule.wait(self.now) >= answer.retry_after - 1e-6
        assert self.schedule.wait(self.now) <= 3_600

    @precondition(lambda self: self.in_flight is not None)
    @rule()
    def unsend(self) -> None:
        self.in_flight = None
        self.backlog.unsend()

    @rule()
    def discard_unkept(self) -> None:
        self.backlog.discard_unkept("shutdown")
        if not self.backlog.is_in_flight:
            self.in_flight = None

    def lost(self) -> int:
        lost = self.losses.own_totals()
        assert {reason for _, reason in lost} <= REASONS
        return sum(times for (_, reason), times in lost.items() if reason != "queue_full")

    @invariant()
    def every_event_is_in_exactly_one_place(self) -> None:
        assert self.errors == []
        assert len(set(self.delivered)) == len(self.delivered) == self.backlog.delivered
        kept = self.backlog.waiting + self.backlog.spooled
        assert self.added == self.backlog.delivered + self.lost() + kept

    def teardown(self) -> None:
        """In the end a collector takes everything: then it has heard of every loss, once."""
        self.now += 7_200
        self.disk.has_room = True
        self.add(1, 0, 0.0)
        while self.in_flight or self.backlog.has_next:
            self.now += 1
            if self.in_flight is None:
                self.send(BATCH_EVENTS)
            if self.in_flight is not None:
                self.answer_with(Response(200), 0.0)
        self.backlog.release()
        self.directory.cleanup()
        assert self.added == self.backlog.delivered + self.lost()
        assert self.heard + sum(self.losses.take_unreported().values()) == (
            self.outside + self.lost()
        )


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
