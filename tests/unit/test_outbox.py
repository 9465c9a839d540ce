"""What the outbox does when a request or a disk fails it, step by step: a clock of its own, a real
spool, and an uploader and a run that do as they are told.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.telemetry.delivery.batch import Batch, Response
from getpatter.telemetry.delivery.buffer import Buffer
from getpatter.telemetry.delivery.observer import Observed
from getpatter.telemetry.delivery.outbox import Outbox
from getpatter.telemetry.delivery.spool import Spool
from getpatter.telemetry.losses import Losses

if TYPE_CHECKING:
    from collections.abc import Mapping

START = 1_000.0


class Uploader:
    """Takes what it is given; `answers` is what has come back."""

    def __init__(self) -> None:
        self.sent: list[Batch] = []
        self.answers: list[Response] = []
        self.is_alive = True
        self.hangs = False

    def send(self, batch: Batch) -> None:
        self.sent.append(batch)

    def take(self) -> Response | None:
        return self.answers.pop() if self.answers else None

    def is_overdue(self, now: float) -> bool:
        return self.hangs and now > START + 4

    def end(self, seconds: float = 0.0) -> None:
        """It goes on to its end."""


class Disk(Spool):
    """A spool that can fail."""

    __slots__ = ("asked", "fails")

    def __init__(self, directory: str) -> None:
        super().__init__(directory, "http://127.0.0.1:9/v1/ingest")
        self.fails = False
        self.asked = 0

    def write(self, *args: Any, **options: Any) -> str | None:
        self.asked += 1
        return None if self.fails else super().write(*args, **options)


class Run:
    """A run with consent, whose events are what was recorded; and where they go."""

    problem = None
    rate = 1.0
    version = "1"
    is_local = False
    needs_name = True
    standing = ("success", "")

    refusal = "opted_out"
    hold_until = float("-inf")

    def __init__(self, spool: Disk | None) -> None:
        self.spool = spool
        self.consent = True

    def build(
        self, name: str, dimensions: Mapping[str, object], _at: float
    ) -> list[dict[str, object]]:
        if "raises" in dimensions:
            raise dimensions["raises"]  # type: ignore[misc]
        if "fails" in dimensions:
            message = "a bug"
            raise TypeError(message)
        return [{"event": name, **dimensions}]

    def has_consent(self) -> bool:
        return self.consent

    def may_send(self) -> bool:
        return self.consent

    def note(self, batch: Batch | None = None, answer: Response | None = None) -> None:
        """Keep no ledger."""


class Scene:
    """An outbox with its surroundings, and the steps that it takes as time goes on."""

    def __init__(self, directory: Path, *, has_disk: bool = True) -> None:
        self.now = START
        directory.mkdir(mode=0o700)
        self.disk = Disk(str(directory))
        self.uploaders: list[Uploader] = []
        self.losses = Losses()
        self.buffer = Buffer(self.losses)
        self.run_ = Run(self.disk if has_disk else None)
        self.errors: list[BaseException] = []
        run: Any = self.run_
        self.outbox = Outbox(
            run,
            run,
            self.buffer,
            self.losses,
            open_uploader=self._open,
            observed=Observed(),
            on_error=self.errors.append,
        )

    def _open(self) -> Any:
        uploader = Uploader()
        uploader.hangs = True
        self.uploaders.append(uploader)
        return uploader

    @property
    def spooled(self) -> int:
        return self.outbox.backlog.spooled

    def files(self) -> list[str]:
        path = Path(self.disk.path)
        return sorted(name for name in os.listdir(path) if name.endswith(".json"))

    def record(self, count: int) -> None:
        for number in range(count):
            self.buffer.put(("cli_command", {"number": number}, self.now))

    def answer(self, answer: Response) -> None:
        """Have the request under way answered."""
        self.uploaders[-1].answers.append(answer)

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
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "state")


def test_a_request_that_hangs_is_found_overdue_though_nobody_records_any_more(
    scene: Scene,
) -> None:
    scene.record(3)
    scene.run(START + 30)
    assert len(scene.uploaders[0].sent) == 1
    assert not scene.outbox.backlog.is_in_flight
    # What it was to send is on disk, to be sent again.
    assert scene.spooled == 3


def test_beside_a_request_that_is_stuck_none_is_made_and_nothing_spins(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 10)
    for _ in range(40):
        scene.record(64)
        steps = scene.run(scene.now + 1)
        assert steps < 20
    assert [len(uploader.sent) for uploader in scene.uploaders] == [1]
    # All but the last second's is on disk, as far as there is room.
    assert scene.spooled >= 1_000 - 2 * 64


def test_once_it_has_ended_the_collector_is_asked_again(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 10)
    scene.uploaders[0].is_alive = False
    scene.run(scene.now + 5)
    assert [len(uploader.sent) for uploader in scene.uploaders] == [1, 1]


def test_a_disk_that_fails_once_is_used_again(scene: Scene) -> None:
    scene.record(64)
    scene.run(START + 0.6)
    scene.uploaders[0].hangs = False
    scene.answer(Response(403))  # the circuit breaker opens, for a minute
    scene.disk.fails = True
    scene.record(64)
    scene.run(START + 3)
    asked = scene.disk.asked
    assert asked > 0
    assert scene.spooled == 0
    scene.disk.fails = False
    scene.record(64)
    scene.run(START + 12)
    assert scene.spooled == 3 * 64
    assert scene.outbox.backlog.waiting == len(scene.buffer) == 0


def test_a_disk_that_goes_on_failing_is_not_asked_all_the_time(scene: Scene) -> None:
    scene.record(64)
    scene.run(START + 0.6)
    scene.answer(Response(403))
    scene.disk.fails = True
    for _ in range(30):
        scene.record(64)
        scene.run(scene.now + 1)
    assert scene.disk.asked < 20
    # What cannot be stored stays in the buffer, which is bounded.
    assert scene.outbox.backlog.waiting <= 2 * 64
    assert len(scene.buffer) == 1_000


def test_without_a_disk_and_with_a_collector_that_is_left_alone_nothing_spins(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path / "state", has_disk=False)
    scene.record(64)
    scene.run(START + 0.6)
    scene.answer(Response(404))
    for _ in range(20):
        scene.record(64)
        assert scene.run(scene.now + 1) < 5


def test_what_comes_back_when_all_has_stopped_is_given_up(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 0.6)
    scene.outbox.stop("opted_out")
    scene.answer(Response(500))
    scene.outbox.step(scene.now)
    assert scene.outbox.backlog.is_empty
    assert scene.losses.totals() == {("cli_command", "opted_out"): 3}


def test_what_was_not_sent_for_want_of_consent_is_given_up(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 2)
    assert scene.spooled == 3
    scene.answer(Response.none("opted_out"))
    scene.run(START + 3)
    assert scene.outbox.stopped == "opted_out"
    assert scene.losses.totals() == {("cli_command", "opted_out"): 3}
    assert scene.files() == []


def test_a_request_whose_uploader_has_gone_is_not_waited_for(scene: Scene) -> None:
    scene.record(3)
    scene.run(START + 0.6)
    assert scene.outbox.backlog.is_in_flight
    scene.outbox.persist(scene.now)
    scene.outbox.disconnect()
    assert scene.outbox.step(scene.now) is None


def test_a_batch_on_disk_takes_none_of_another_rate(scene: Scene) -> None:
    scene.record(64)
    scene.run(START + 0.6)
    scene.answer(Response(403))
    scene.record(3)
    scene.run(START + 3)
    before = set(scene.files())
    scene.run_.rate = 0.5
    scene.record(3)
    scene.run(START + 5)
    (new,) = set(scene.files()) - before
    found = scene.disk.read(new, START)
    assert isinstance(found, Batch)
    assert (found.rate, len(found.events)) == (0.5, 3)
    assert scene.spooled == 70


def test_what_an_opt_out_gives_up_is_counted_once_though_it_is_split_and_on_disk(
    scene: Scene,
) -> None:
    scene.record(4)
    scene.run(START + 2)
    assert scene.spooled == 4
    scene.run_.consent = False
    scene.answer(Response(413))
    scene.run(START + 2.1)
    assert len(scene.files()) == 2
    scene.answer(Response.none("opted_out"))
    scene.run(START + 3)
    assert scene.losses.totals() == {("cli_command", "opted_out"): 4}
    assert scene.files() == []


@pytest.mark.internal_error
def test_a_record_whose_event_cannot_be_built_is_lost_alone(scene: Scene) -> None:
    scene.record(2)
    scene.buffer.put(("call_started", {"fails": True}, scene.now))
    scene.record(2)
    scene.run(START + 0.6)
    assert [len(batch.events) for batch in scene.uploaders[0].sent] == [4]
    assert scene.losses.totals() == {("call_started", "internal_error"): 1}
    assert [type(error) for error in scene.errors] == [TypeError]


@pytest.mark.internal_error
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError])
def test_an_exception_of_any_kind_costs_one_record_and_none_of_those_beside_it(
    scene: Scene, kind: type[BaseException]
) -> None:
    scene.record(2)
    scene.buffer.put(("call_started", {"raises": kind}, scene.now))
    scene.record(2)
    scene.run(START + 0.6)
    assert [len(batch.events) for batch in scene.uploaders[0].sent] == [4]
    assert scene.losses.totals() == {("call_started", "internal_error"): 1}


@pytest.mark.internal_error
def test_a_bug_that_keeps_a_batch_from_being_sent_costs_that_batch_alone(scene: Scene) -> None:
    scene.record(2)
    scene.run(START + 0.6)
    for _ in range(2):
        scene.answer(Response.none("internal_error"))
        scene.run(scene.now + 2)
    scene.record(64)
    scene.run(scene.now + 3)
    assert [len(batch.events) for batch in scene.uploaders[0].sent] == [2, 2, 64]
    assert scene.losses.totals() == {("cli_command", "internal_error"): 2}


@pytest.mark.parametrize(
    ("offered", "sizes"), [(None, [64, 64]), (512, [64, 136]), (100, [64, 100])]
)
def test_batches_grow_once_the_collector_has_offered_it(
    scene: Scene, offered: int | None, sizes: list[int]
) -> None:
    scene.record(64)
    scene.run(START + 0.1)
    scene.answer(Response(200, max_events=offered))
    scene.run(START + 0.2)
    scene.record(136)
    scene.run(START + 2)
    assert [len(batch.events) for batch in scene.uploaders[0].sent] == sizes


def test_orphans_are_looked_for_until_there_are_none(scene: Scene) -> None:
    for number in range(12):
        gone = Spool(os.path.dirname(scene.disk.path), "http://127.0.0.1:9/v1/ingest")
        gone.write(Batch([{"event": "cli_command"}], f"{number:032x}", START, {}), START)
        gone.release()
    scene.record(1)
    scene.run(START + 0.6)
    for _ in range(13):
        scene.answer(Response(200))
        scene.run(scene.now + 0.1)
    assert len(scene.uploaders[0].sent) == 13
    assert scene.files() == []
    assert scene.outbox.backlog.delivered == 1
