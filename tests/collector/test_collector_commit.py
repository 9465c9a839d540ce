"""Group commit: what waits too long, one batch that cannot be written, a store that is gone."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector_process import event, hex_id

from getpatter.collector import clock
from getpatter.collector.batch import BatchAnswer, ReceivedBatch
from getpatter.collector.commit import Committer, Unavailable
from getpatter.collector.keys import Key
from getpatter.collector.limits import HOUR, QUEUE_EVENTS
from getpatter.collector.metrics import Metrics
from getpatter.collector.reserve import Reserve
from getpatter.collector.store import Store, StoreError


def batch(size: int = 1, **fields: Any) -> ReceivedBatch:
    digits, now = hex_id(), clock.now()
    return ReceivedBatch(
        key=Key(int(digits[:16], 16), int(digits[16:], 16), now // HOUR),
        received=now,
        age=0,
        rate=1.0,
        events=list(enumerate(event(**fields) for _ in range(size))),
        size=size,
    )


class Gate:
    """A store in front of which groups wait; what comes through is what `append` is told."""

    def __init__(self, append: Callable[[list[ReceivedBatch]], list[BatchAnswer]]) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.groups: list[int] = []
        self._append = append

    def append(self, batches: list[ReceivedBatch], _: Any) -> list[BatchAnswer]:
        self.groups.append(len(batches))
        self.entered.set()
        assert self.open.wait(60)
        return self._append(batches)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "data"))
    yield made
    made.close()


def committer(store: Any, directory: Path) -> Committer:
    return Committer(store, Reserve(str(directory), 0), Metrics())


def test_what_waits_shares_a_commit_and_too_much_is_refused(tmp_path: Path) -> None:
    gate = Gate(lambda batches: [BatchAnswer(b.size) for b in batches])

    async def run() -> None:
        made = committer(gate, tmp_path)
        made.start(asyncio.get_running_loop(), lambda: None)
        futures = [made.submit(batch(512))]
        assert await asyncio.to_thread(gate.entered.wait, 60)
        futures += [made.submit(batch(512)) for _ in range(QUEUE_EVENTS // 512)]
        with pytest.raises(Unavailable, match="queue"):
            made.check()
        gate.open.set()
        answers = await asyncio.gather(*futures)
        assert [answer.accepted for answer in answers] == [512] * len(futures)
        made.check()
        await asyncio.to_thread(made.close)

    asyncio.run(run())
    assert len(gate.groups) < 10


def test_batch_that_cannot_be_written_keeps_no_other_from_it(store: Store, tmp_path: Path) -> None:
    async def run() -> None:
        made = committer(store, tmp_path)
        made.start(asyncio.get_running_loop(), lambda: None)
        good, bad = [batch() for _ in range(5)], batch(latency_ms=10**12)
        futures = [made.submit(one) for one in (*good[:2], bad, *good[2:])]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(answer).__name__ for answer in answers] == [
            *(
                "BatchAnswer",
                "BatchAnswer",
                "Unavailable",
                "BatchAnswer",
                "BatchAnswer",
                "BatchAnswer",
            ),
        ]
        made.check()
        await asyncio.to_thread(made.close)

    asyncio.run(run())
    assert store.query("SELECT count(*) FROM events").rows == [(5,)]


def test_store_that_is_gone_ends_the_process_and_answers_nobody_with_200(tmp_path: Path) -> None:
    def gone(_: list[ReceivedBatch]) -> list[BatchAnswer]:
        raise StoreError

    gate = Gate(gone)
    gate.open.set()

    async def run() -> None:
        is_told = asyncio.Event()
        made = committer(gate, tmp_path)
        made.start(asyncio.get_running_loop(), is_told.set)
        with pytest.raises(Unavailable):
            await made.submit(batch())
        await asyncio.wait_for(is_told.wait(), 60)
        with pytest.raises(Unavailable, match="store"):
            made.check()
        await asyncio.to_thread(made.close)

    asyncio.run(run())


def test_nobody_who_waits_is_left_without_an_answer_at_the_end(
    store: Store, tmp_path: Path
) -> None:
    async def run() -> None:
        made = committer(store, tmp_path)
        made.start(asyncio.get_running_loop(), lambda: None)
        futures = [made.submit(batch()) for _ in range(50)]
        made.count_refusal(400, "json")
        await asyncio.to_thread(made.close)
        assert [answer.accepted for answer in await asyncio.gather(*futures)] == [1] * 50

    asyncio.run(run())
    assert store.query("SELECT status, n FROM refusals").rows == [(400, 1)]
