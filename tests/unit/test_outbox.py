"""What the outbox does when a request or a disk fails it, step by step: a clock of its own, and a
courier, a disk and a route that do as they are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from getpatter.telemetry._observer import Observed
from getpatter.telemetry.buffer import Buffer
from getpatter.telemetry.delivery import Answer, Batch
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

START = 1_000.0


class Courier:
    """Carries what it is given; `answers` is what has come back."""

    def __init__(self) -> None:
        self.carried: list[Batch] = []
        self.answers: list[Answer] = []
        self.is_alive = True
        self.hangs = False

    def carry(self, batch: Batch) -> None:
        self.carried.append(batch)

    def take(self) -> Answer | None:
        return self.answers.pop() if self.answers else None

    def is_overdue(self, now: float) -> bool:
        return self.hangs and now > START + 4

    def end(self, seconds: float = 0.0) -> None:
        """It goes on to its end."""


class Disk:
    """A spool that keeps batches in memory, and can fail."""

    def __init__(self) -> None:
        self.own: dict[str, int] = {}
        self.batches: dict[str, Batch] = {}
        self.sent: str | None = None
        self.fails = False
        self.asked = 0

    def add(self, batch: Batch, _now: float, *, is_sent: bool = False) -> str | None:
        self.asked += 1
        if self.fails:
            return None
        place = batch.place or f"place {len(self.batches)}"
        self.batches[place] = batch
        self.own[place] = len(batch.events)
        if is_sent:
            self.sent = place
        return place

    def load(self, place: str, _now: float) -> tuple[Batch, str] | None:
        return self.batches[place], "endpoint"

    def remove(self, place: str) -> None:
        self.own.pop(place, None)

    def places(self) -> list[str]:
        return list(self.own)


class Route:
    """A run with consent, whose events are what was recorded."""

    problem = None
    rate = 1.0
    version = "1"
    is_local = False
    needs_name = True
    standing = ("success", "")

    refusal = "opted_out"

    def __init__(self, spool: Disk) -> None:
        self.spool: Disk | None = spool
        self.consent = True

    def build(self, name: str, dimensions: Mapping[str, object], _at: float) -> dict[str, object]:
        return {"event": name, **dimensions}

    def has_consent(self) -> bool:
        return self.consent

    def may_send(self) -> bool:
        return self.consent

    def note(self, batch: Batch | None = None, answer: Answer | None = None) -> None:
        """Keep no ledger."""


class Scene:
    """An outbox with its surroundings, and the steps that it takes as time goes on."""

    def __init__(self) -> None:
        self.now = START
        self.disk = Disk()
        self.couriers: list[Courier] = []
        self.losses = Losses()
        self.buffer = Buffer(self.losses)
        self.route = Route(self.disk)
        route: Any = self.route
        self.outbox = Outbox(
            route, self.buffer, self.losses, open_courier=self._open, observed=Observed()
        )

    def _open(self) -> Any:
        courier = Courier()
        courier.hangs = True
        self.couriers.append(courier)
        return courier

    def record(self, count: int) -> None:
        for number in range(count):
            self.buffer.put(("cli_command", {"number": number}, self.now))

    def run(self, until: float) -> int:
        """Step as the worker does, until that time; return how many steps it took."""
        steps = 0
        while self.now < until:
            steps += 1
            assert steps < 1_000, "it never rests"
            pause = self.outbox.step(self.now)
            assert pause is not None or not len(self.buffer), "it forgets what waits"
            self.now = until if pause is None else min(until, self.now + pause)
        return steps


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_request_that_hangs_is_found_overdue_though_nobody_records_any_more(
    scene: Scene,
) -> None:
    scene.record(3)
    scene.run(START + 30)
    assert len(scene.couriers[0].carried) == 1
    assert not scene.outbox.delivery.is_in_flight
    # What it carried is on disk, to be asked for again.
    assert scene.outbox.spooled == 3


def test_beside_a_request_that_is_stuck_none_is_made_and_nothing_spins(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 10)
    for _ in range(40):
        scene.record(64)
        steps = scene.run(scene.now + 1)
        assert steps < 20
    assert [len(courier.carried) for courier in scene.couriers] == [1]
    # All but the last second's is on disk.
    assert scene.outbox.spooled >= 3 + 39 * 64


def test_once_it_has_ended_the_collector_is_asked_again(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 10)
    scene.couriers[0].is_alive = False
    scene.run(scene.now + 5)
    assert [len(courier.carried) for courier in scene.couriers] == [1, 1]


def test_a_disk_that_fails_once_is_used_again(scene: Scene) -> None:
    scene.record(64)
    scene.run(START + 0.6)
    scene.couriers[0].hangs = False
    scene.couriers[0].answers.append(Answer(403))  # a minute's rest for the collector
    scene.disk.fails = True
    scene.record(64)
    scene.run(START + 3)
    asked = scene.disk.asked
    assert asked > 0
    assert scene.outbox.spooled == 0
    scene.disk.fails = False
    scene.record(64)
    scene.run(START + 12)
    assert scene.outbox.spooled == 3 * 64
    assert scene.outbox.delivery.waiting() == len(scene.buffer) == 0


def test_a_disk_that_goes_on_failing_is_not_asked_all_the_time(scene: Scene) -> None:
    scene.record(64)
    scene.run(START + 0.6)
    scene.couriers[0].answers.append(Answer(403))
    scene.disk.fails = True
    for _ in range(30):
        scene.record(64)
        scene.run(scene.now + 1)
    assert scene.disk.asked < 20
    # What cannot be stored stays in the buffer, which is bounded.
    assert scene.outbox.delivery.waiting() <= 2 * 64
    assert len(scene.buffer) == 1_000


def test_without_a_disk_and_with_a_collector_that_rests_it_rests_too(scene: Scene) -> None:
    scene.route.spool = None
    scene.record(64)
    scene.run(START + 0.6)
    scene.couriers[0].answers.append(Answer(404))
    for _ in range(20):
        scene.record(64)
        assert scene.run(scene.now + 1) < 5


def test_what_comes_back_when_all_has_stopped_is_given_up(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 0.6)
    scene.outbox.stop("opted_out")
    scene.couriers[0].answers.append(Answer(500))
    scene.outbox.step(scene.now)
    assert scene.outbox.is_empty
    assert scene.disk.own == {}


def test_a_request_whose_courier_has_gone_is_not_waited_for(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 2)
    assert scene.outbox.delivery.is_in_flight
    scene.outbox.disconnect()
    assert scene.outbox.step(scene.now) is None


def test_a_batch_on_disk_takes_none_of_another_rate(scene: Scene) -> None:
    scene.record(64)
    scene.run(START + 0.6)
    scene.couriers[0].answers.append(Answer(403))
    scene.record(3)
    scene.run(START + 3)
    before = set(scene.disk.own)
    scene.route.rate = 0.5
    scene.record(3)
    scene.run(START + 5)
    (new,) = set(scene.disk.own) - before
    assert scene.disk.batches[new].rate == 0.5
    assert sum(scene.disk.own.values()) == 70


def test_what_an_opt_out_gives_up_is_counted_once_though_it_is_split_and_on_disk(
    scene: Scene,
) -> None:
    scene.record(4)
    scene.run(START + 2)
    assert scene.outbox.spooled == 4
    scene.route.consent = False
    scene.couriers[0].answers.append(Answer(413))
    scene.run(START + 3)
    assert scene.losses.totals() == {("cli_command", "opted_out"): 4}
    assert scene.disk.own == {}
