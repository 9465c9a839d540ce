"""Whatever a collector answers: no event and no report is lost, doubled or sent under two keys.

A `Delivery`, a store that sometimes has no room and a real `Losses` on one side, a collector that
keeps keys on the other.
"""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from getpatter.telemetry.delivery import BATCH_EVENTS, Answer, Batch, Delivery, Drop, Send, Store
from getpatter.telemetry.losses import Losses

EVENT = "call_started"
STATUSES = st.sampled_from(
    [None, 200, 202, 204, 302, 400, 401, 403, 404, 405, 408, 410, 413, 422, 429, 500, 503]
)
CHANCES = st.floats(0, 1, exclude_max=True)
REASONS = {"rejected", "network_error", "too_large", "shutdown"}


class Accounts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.delivery = Delivery()
        self.losses = Losses()
        self.now = 0.0
        self.numbers = itertools.count()
        self.keys = itertools.count()
        self.added: set[int] = set()
        self.delivered: list[int] = []
        self.dropped: list[int] = []
        self.content: dict[str, tuple[tuple[int, ...], tuple[object, ...]]] = {}
        self.disk: dict[str, Batch] = {}
        self.places = itertools.count()
        self.has_room = True
        self.in_flight: Batch | None = None
        self.heard = 0  # losses that reached the collector
        self.outside = 0  # losses that were counted before any batch

    @rule(count=st.integers(1, BATCH_EVENTS), lost=st.integers(0, 5))
    def add(self, count: int, lost: int) -> None:
        self.losses.count(EVENT, "queue_full", lost)
        self.outside += lost
        numbers = list(itertools.islice(self.numbers, count))
        self.added.update(numbers)
        events = [{"event": EVENT, "n": number} for number in numbers]
        key = f"{next(self.keys):032x}"
        self.delivery.add(Batch(events, key, self.now, self.losses.take_unreported()))

    @rule(seconds=st.floats(0, 7_200))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(has_room=st.booleans())
    def disk_fills_or_empties(self, has_room: bool) -> None:
        self.has_room = has_room

    @rule()
    def act(self) -> None:
        """Do what the delivery says, as the outbox does."""
        action = self.delivery.next(self.now)
        if isinstance(action, Store):
            for batch in action.batches:
                place = f"place {next(self.places)}" if self.has_room else None
                self.delivery.stored(batch, place)
                if place is not None:
                    self.disk[place] = batch
        elif isinstance(action, Send):
            assert self.in_flight is None
            assert self.delivery.wait(self.now) == 0
            self.in_flight = action.batch
        elif self.delivery.is_empty and self.disk and self.delivery.wait(self.now) == 0:
            self.delivery.add(self.disk[min(self.disk, key=lambda place: int(place[6:]))])

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
        self.answer_with(Answer(status, refused, retry_after), chance)

    def answer_with(self, answer: Answer, chance: float) -> None:
        batch, self.in_flight = self.in_flight, None
        assert batch is not None
        assert 1 <= len(batch.events) <= BATCH_EVENTS
        assert len(batch.key) == 32
        numbers = self.numbers_of(batch)
        content = (tuple(numbers), tuple(sorted(batch.report.items())))
        assert self.content.setdefault(batch.key, content) == content
        before = self.delivery.delivered
        dropped = self.delivery.answered(answer, self.now, chance)
        gone = self.give_up(dropped)
        if batch.place is not None and batch.is_done:
            del self.disk[batch.place]
        if answer.status is not None and 200 <= answer.status < 300:
            assert batch.is_done
            self.heard += sum(batch.report.values())
            taken = [number for number in numbers if number not in gone]
            assert self.delivery.delivered - before == len(taken)
            self.delivered += taken
        else:
            assert self.delivery.delivered == before
        # A collector that asked for time gets it.
        if answer.status in {429, 503} and answer.retry_after is not None:
            assert self.delivery.wait(self.now) >= answer.retry_after - 1e-6
        assert self.delivery.wait(self.now) <= 3_600

    @rule()
    def abandon(self) -> None:
        self.give_up(self.delivery.abandon("shutdown"))
        self.in_flight = None
        assert self.delivery.is_empty

    def give_up(self, dropped: list[Drop]) -> set[int]:
        gone: set[int] = set()
        for drop in dropped:
            assert drop.reason in REASONS
            numbers = self.numbers_of(drop)
            assert numbers
            gone.update(numbers)
            self.dropped += numbers
            self.losses.give_back(drop.report)
            self.losses.count(EVENT, drop.reason, len(numbers))
        return gone

    @staticmethod
    def numbers_of(found: Batch | Drop) -> list[int]:
        return [int(str(event["n"])) for event in found.events]

    @invariant()
    def every_event_is_in_exactly_one_place(self) -> None:
        settled = self.delivered + self.dropped
        assert len(set(settled)) == len(settled)
        assert set(settled) <= self.added
        stored = sum(len(batch.events) for batch in self.disk.values())
        assert len(self.added) - len(settled) == self.delivery.waiting() + stored

    def teardown(self) -> None:
        """In the end a collector takes everything: then it has heard of every loss, once."""
        self.now += 7_200
        self.has_room = True
        self.add(1, 0)
        while self.in_flight or self.disk or not self.delivery.is_empty:
            if self.in_flight is not None:
                self.answer_with(Answer(200), 0.0)
            else:
                self.act()
        assert sorted(self.delivered + self.dropped) == sorted(self.added)
        assert self.heard == self.outside + len(self.dropped)
        assert self.losses.take_unreported() == {}


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
