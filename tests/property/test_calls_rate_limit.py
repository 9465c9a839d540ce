"""The rate limit lets through what it says, for any sequence; losses are each reported once."""

from __future__ import annotations

import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from getpatter.calls.events.losses import EventLosses
from getpatter.calls.events.rate_limit import EventRateLimit

STEPS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0, 0.6)), min_size=1, max_size=200
)


@given(steps=STEPS, per_second=st.integers(0, 5))
def test_each_type_has_its_share_of_each_second(
    steps: list[tuple[str, float]], per_second: int
) -> None:
    limit, now = EventRateLimit(per_second), 100.0
    asked: Counter[tuple[str, int]] = Counter()
    passed: Counter[tuple[str, int]] = Counter()
    for event_type, pause in steps:
        now += pause
        asked[event_type, int(now)] += 1
        passed[event_type, int(now)] += not limit.admit(event_type, now)
    assert passed == Counter({key: min(times, per_second) for key, times in asked.items()})


def test_zero_lets_nothing_through() -> None:
    limit = EventRateLimit(0)
    assert [limit.admit("a", float(now)) for now in range(5)] == ["rate_limit"] * 5


@given(types=st.integers(1, 20), said=st.integers(1, 60))
def test_so_many_types_are_told_apart_in_a_second(types: int, said: int) -> None:
    limit = EventRateLimit(1_000, types)
    answers = [limit.admit(f"type-{number}", 5.0) for number in range(said)]
    assert answers.count("") == min(types, said)
    assert answers[types:] == ["type_limit"] * max(0, said - types)
    assert limit.admit("another", 6.0) == ""  # in the next second they are forgotten


def test_threads_share_one_limit() -> None:
    limit, passed = EventRateLimit(1_000), []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait(30)
        passed.append(sum(not limit.admit("a", 7.0) for _ in range(1_000)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 1_000


@given(st.lists(st.sampled_from(["count a", "count b", "take"]), max_size=100))
def test_every_loss_is_in_exactly_one_report(steps: list[str]) -> None:
    losses, reported = EventLosses(), Counter[str]()
    for step in [*steps, "take"]:
        if step == "take":
            for where, reasons in losses.take_unreported().items():
                reported[where] += sum(reasons.values())
        else:
            losses.count(step[-1], "rate_limit")
    assert reported == Counter(step[-1] for step in steps if step != "take")
    assert losses.take_unreported() == {}


def test_a_loss_that_comes_while_it_is_reported_is_in_the_next_report() -> None:
    """A report subtracts what it said. Resetting to 0 would lose what came in between."""
    losses, reported = EventLosses(), 0
    is_done = threading.Event()

    def count() -> None:
        for _ in range(20_000):
            losses.count("a", "rate_limit")
        is_done.set()

    thread = threading.Thread(target=count)
    thread.start()
    while not is_done.is_set():
        reported += losses.take_unreported().get("a", {}).get("rate_limit", 0)
    thread.join()
    reported += losses.take_unreported().get("a", {}).get("rate_limit", 0)
    assert reported == 20_000
