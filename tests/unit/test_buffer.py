"""The buffer is bounded, keeps order, and gives up the oldest first."""

import threading
from typing import Any

from getpatter.telemetry.delivery.buffer import Buffer
from getpatter.telemetry.delivery.limits import BUFFER_RECORDS as CAPACITY
from getpatter.telemetry.losses import Losses

EVENT = "call_started"


def test_takes_the_oldest_in_order() -> None:
    buffer = Buffer(Losses())
    assert [buffer.put((EVENT, {"n": n}, float(n))) for n in range(5)] == [1, 2, 3, 4, 5]
    assert buffer.oldest() == 0.0
    assert [at for _, _, at in buffer.take(2)] == [0.0, 1.0]
    assert buffer.oldest() == 2.0
    assert [at for _, _, at in buffer.take(64)] == [2.0, 3.0, 4.0]
    assert buffer.take(64) == []
    assert buffer.take(0) == []
    assert buffer.oldest() is None
    assert len(buffer) == 0


def test_full_buffer_gives_up_the_oldest_and_counts_it() -> None:
    losses = Losses()
    buffer = Buffer(losses, capacity=3)
    buffer.put(("first_run", {}, 0.0))
    for n in range(1, 5):
        assert buffer.put((EVENT, {}, float(n))) <= 3
    assert len(buffer) == 3
    assert [at for _, _, at in buffer.take(64)] == [2.0, 3.0, 4.0]
    assert losses.totals() == {("first_run", "queue_full"): 1, (EVENT, "queue_full"): 1}


def test_default_bound_holds() -> None:
    losses = Losses()
    buffer = Buffer(losses)
    for n in range(CAPACITY + 10):
        buffer.put((EVENT, {}, float(n)))
    assert len(buffer) == CAPACITY
    assert losses.totals() == {(EVENT, "queue_full"): 10}


def test_lose_counts_all_or_some_under_a_reason() -> None:
    losses = Losses()
    buffer = Buffer(losses)
    for n in range(5):
        buffer.put((EVENT, {}, float(n)))
    buffer.lose("opted_out", 2)
    assert buffer.oldest() == 2.0
    buffer.lose("shutdown")
    buffer.lose("shutdown")
    assert len(buffer) == 0
    assert losses.totals() == {(EVENT, "opted_out"): 2, (EVENT, "shutdown"): 3}


def test_name_of_any_kind_is_kept_and_counted_without_raising() -> None:
    losses = Losses()
    buffer = Buffer(losses, capacity=1)
    names: list[Any] = [[], None, EVENT]
    for name in names:
        buffer.put((name, {}, 0.0))
    assert losses.totals() == {("unknown", "queue_full"): 2}


def test_threads_lose_nothing_uncounted_and_keep_the_bound() -> None:
    losses = Losses()
    buffer = Buffer(losses, capacity=50)
    start = threading.Barrier(9)
    taken = 0

    def put() -> None:
        start.wait()
        for n in range(1_000):
            buffer.put((EVENT, {}, float(n)))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        taken += len(buffer.take(7))
        # Each thread may be between its append and its look at the bound.
        assert len(buffer) <= 50 + 8
    for thread in threads:
        thread.join()
    assert len(buffer) <= 50
    taken += len(buffer.take(1_000))
    assert taken + sum(losses.totals().values()) == 8_000


def test_put_within_put_is_neither_lost_nor_deadlocked() -> None:
    """A dropped record's own finaliser may record again."""
    losses = Losses()
    buffer = Buffer(losses, capacity=1)

    class Recording:
        def __del__(self) -> None:
            buffer.put((EVENT, {}, 9.0))

    buffer.put((EVENT, {"x": Recording()}, 0.0))
    buffer.put((EVENT, {}, 1.0))
    assert len(buffer) == 1
    assert sum(losses.totals().values()) == 2
