"""When a collector may be asked, and what each kind of answer means. `now` is a number."""

import random

import pytest

from getpatter.telemetry.delivery.batch import Batch, Response
from getpatter.telemetry.delivery.limits import BATCH_EVENTS, MOST_BATCH_EVENTS
from getpatter.telemetry.delivery.schedule import (
    DELIVERED,
    DROP,
    REDUCE,
    RETRY,
    SPLIT,
    Schedule,
    Verdict,
)

NOW = 1_000.0


def batch(count: int = 4) -> Batch:
    return Batch([{"event": "call_started", "n": n} for n in range(count)], "0" * 32, NOW, {})


def said(
    schedule: Schedule, answer: Response, now: float = NOW, chance: float = 0.5, count: int = 4
) -> Verdict:
    return schedule.answered(batch(count), answer, now, chance)


def test_a_collector_may_be_asked_at_first_whatever_the_clock_says() -> None:
    schedule = Schedule()
    for now in (0.0, NOW, -NOW):
        assert schedule.may_ask(now)
    assert schedule.limit == BATCH_EVENTS == 64


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_takes_the_batch(status: int) -> None:
    schedule = Schedule()
    verdict = said(schedule, Response(status))
    assert (verdict.kind, list(verdict.refused)) == (DELIVERED, [])
    assert schedule.may_ask(NOW)


def test_2xx_may_refuse_events_by_index_each_once() -> None:
    verdict = said(Schedule(), Response(200, [2, 0, 2, -1, 4, 99]))
    assert (verdict.kind, verdict.refused) == (DELIVERED, [0, 2])


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504, 507, 599])
def test_a_transient_answer_is_retried_after_a_while(status: int | None) -> None:
    schedule = Schedule()
    verdict = said(schedule, Response(status))
    assert (verdict.kind, verdict.reason) == (RETRY, "network_error")
    assert 0 < schedule.wait(NOW) <= 1
    assert not schedule.may_ask(NOW)
    assert schedule.may_ask(NOW + 1)


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_pauses_grow_by_a_half_and_chance_spreads_them(chance: float) -> None:
    schedule = Schedule()
    now, pauses = NOW, []
    for _ in range(4):
        said(schedule, Response(503), now, chance)
        pauses.append(schedule.wait(now))
        now += pauses[-1]
    assert pauses == [pytest.approx(chance * bound) for bound in (0.25, 0.375, 0.5625, 0.84375)]


def test_a_success_begins_the_pauses_anew() -> None:
    schedule = Schedule()
    said(schedule, Response(503), NOW)
    said(schedule, Response(503), NOW + 1)
    said(schedule, Response(200), NOW + 3)
    said(schedule, Response(503), NOW + 4)
    assert schedule.wait(NOW + 4) == 0.125


def test_a_coin_s_flips_do_not_blow_the_pauses_up() -> None:
    """Half of the requests fail: ten thousand batches wait a quarter of a second each at most."""
    schedule, coin, waited = Schedule(), random.Random(7), 0.0  # noqa: S311 - no secret
    delivered = 0
    while delivered < 10_000:
        is_taken = coin.random() < 0.5
        said(schedule, Response(200 if is_taken else 503), NOW, coin.random())
        delivered += is_taken
        waited += 0.0 if is_taken else schedule.wait(NOW)
    assert waited / delivered < 0.3


def test_a_collector_that_is_down_is_asked_less_than_once_a_second_on_average_soon() -> None:
    schedule, now, requests = Schedule(), NOW, 0
    while now < NOW + 600:
        said(schedule, Response(503), now, 0.5)
        now += schedule.wait(now)
        requests += 1
    assert requests < 40


def test_no_pause_is_longer_than_a_minute() -> None:
    schedule = Schedule()
    now = NOW
    for _ in range(100):
        said(schedule, Response(503), now, 1 - 2**-32)
        assert schedule.wait(now) <= 60
        now += schedule.wait(now)


def test_retry_after_is_waited_for_if_it_is_longer() -> None:
    schedule = Schedule()
    said(schedule, Response(429, retry_after=30.0))
    assert schedule.wait(NOW) == 30
    assert schedule.wait(NOW + 10) == 20
    assert schedule.wait(NOW + 31) == 0
    said(schedule, Response(429, retry_after=0.05), NOW + 30)
    assert schedule.wait(NOW + 30) == pytest.approx(0.1875)


def test_a_clock_that_goes_back_only_lengthens_the_pause() -> None:
    schedule = Schedule()
    said(schedule, Response(503, retry_after=10.0), NOW, 0.0)
    assert schedule.wait(NOW - 5) == 15


def test_413_splits_what_can_be_split() -> None:
    schedule = Schedule()
    assert said(schedule, Response(413)).kind == SPLIT
    single = said(schedule, Response(413), count=1)
    assert (single.kind, single.reason) == (DROP, "too_large")
    assert schedule.may_ask(NOW)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_that_names_events_is_retried_without_them(status: int) -> None:
    schedule = Schedule()
    verdict = said(schedule, Response(status, [1, 1, 7, -1]))
    assert (verdict.kind, verdict.reason, verdict.refused) == (REDUCE, "rejected", [1])
    assert schedule.may_ask(NOW)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("refused", [(), (9, -1), (0, 1, 2, 3)])
def test_a_refusal_that_leaves_nothing_drops_the_batch(
    status: int, refused: tuple[int, ...]
) -> None:
    verdict = said(Schedule(), Response(status, refused))
    assert (verdict.kind, verdict.reason) == (DROP, "rejected")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 410])
def test_a_closed_door_opens_the_circuit_breaker_and_keeps_the_batch(status: int) -> None:
    schedule = Schedule()
    verdict = said(schedule, Response(status))
    assert (verdict.kind, verdict.reason) == (RETRY, "rejected")
    assert schedule.wait(NOW) == 60
    assert schedule.may_ask(NOW + 60)


@pytest.mark.parametrize("status", [402, 405, 406, 409, 411, 415, 431, 451])
def test_other_refusals_drop_the_batch_without_a_pause(status: int) -> None:
    schedule = Schedule()
    verdict = said(schedule, Response(status, [0]))
    assert (verdict.kind, verdict.reason) == (DROP, "rejected")
    assert schedule.may_ask(NOW)


def test_the_breaker_doubles_to_an_hour_and_ends_with_a_success() -> None:
    schedule = Schedule()
    now, pauses = NOW, []
    for _ in range(9):
        said(schedule, Response(404), now)
        pauses.append(schedule.wait(now))
        now += pauses[-1]
    assert pauses == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    said(schedule, Response(200), now)
    said(schedule, Response(404), now)
    assert schedule.wait(now) == 60


def test_a_bug_of_ours_is_tried_twice_and_no_longer() -> None:
    schedule, failing = Schedule(), batch()
    first = schedule.answered(failing, Response.none("internal_error"), NOW, 0.5)
    assert (first.kind, first.reason) == (RETRY, "internal_error")
    assert not schedule.may_ask(NOW)
    failing.faults += 1
    second = schedule.answered(failing, Response.none("internal_error"), NOW + 1, 0.5)
    assert (second.kind, second.reason) == (DROP, "internal_error")


@pytest.mark.parametrize(
    ("offered", "limit"),
    [(None, 64), (512, 512), (100, 100), (10**6, MOST_BATCH_EVENTS), (10, 10), (0, 64), (-3, 64)],
)
def test_a_batch_holds_more_once_the_collector_has_offered_it(
    offered: int | None, limit: int
) -> None:
    schedule = Schedule()
    said(schedule, Response(200, max_events=offered))
    assert schedule.limit == limit
    said(schedule, Response(503))
    assert schedule.limit == limit
