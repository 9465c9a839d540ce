"""What happens to a batch, for every kind of answer. No clock and no socket: `now` is a number."""

import hashlib

import pytest

from getpatter.telemetry.delivery import (
    BATCH_EVENTS,
    Answer,
    Batch,
    Delivery,
    Drop,
    part_key,
    retry_after,
)

KEY = "0123456789abcdef" * 2
REPORT = {("call_started", "queue_full"): 3}
NOW = 1_000.0


def batch(count: int = 4, key: str = KEY) -> Batch:
    return Batch([{"event": "call_started", "n": n} for n in range(count)], key, NOW, dict(REPORT))


def started(count: int = 4) -> Delivery:
    delivery = Delivery()
    delivery.add(batch(count))
    return delivery


def numbers(found: Batch | Drop | None) -> list[object]:
    return [] if found is None else [event["n"] for event in found.events]


def sent(delivery: Delivery, now: float = NOW) -> Batch:
    found = delivery.next(now)
    assert found is not None
    return found


def test_nothing_is_under_way_at_first() -> None:
    delivery = Delivery()
    assert delivery.is_empty
    assert delivery.waiting() == 0
    assert delivery.next(NOW) is None
    assert delivery.wait(NOW) == 0
    assert delivery.abandon("shutdown") == []


def test_batches_hold_what_the_collector_takes() -> None:
    assert BATCH_EVENTS == 64


def test_batches_are_sent_in_order() -> None:
    delivery = started()
    delivery.add(batch(1, key="f" * 32))
    assert sent(delivery).key == KEY
    assert sent(delivery).key == KEY  # asking changes nothing
    assert delivery.waiting() == 5
    assert delivery.answered(Answer(200), NOW, 0.5) == []
    assert sent(delivery).key == "f" * 32
    assert delivery.delivered == 4


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_takes_the_batch(status: int) -> None:
    delivery = started()
    assert delivery.answered(Answer(status), NOW, 0.5) == []
    assert delivery.is_empty
    assert delivery.delivered == 4
    assert delivery.wait(NOW) == 0


def test_2xx_may_refuse_events_by_index() -> None:
    delivery = started()
    (drop,) = delivery.answered(Answer(200, [2, 0, 2, -1, 4, 99]), NOW, 0.5)
    assert (numbers(drop), drop.reason) == ([0, 2], "rejected")
    # The report arrived with the rest.
    assert drop.report == {}
    assert delivery.delivered == 2
    assert delivery.is_empty


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504, 507, 599])
def test_transient_answer_is_retried_with_the_same_batch(status: int | None) -> None:
    delivery = started()
    first = sent(delivery)
    assert delivery.answered(Answer(status), NOW, 0.5) == []
    pause = delivery.wait(NOW)
    assert 0 < pause <= 2
    assert delivery.next(NOW) is None
    assert delivery.next(NOW + pause / 2) is None
    again = sent(delivery, NOW + pause)
    assert (again.key, again.events, again.report) == (first.key, first.events, REPORT)
    assert again.closed_at == NOW
    assert delivery.answered(Answer(200), NOW + pause, 0.5) == []
    assert delivery.delivered == 4


def test_six_tries_then_the_batch_is_given_up_with_its_report() -> None:
    delivery = started()
    now = NOW
    for _ in range(5):
        assert delivery.answered(Answer(503), now, 0.999) == []
        now += delivery.wait(now)
        sent(delivery, now)
    (drop,) = delivery.answered(Answer(None), now, 0.999)
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], "network_error", REPORT)
    assert delivery.is_empty
    # The collector is left alone all the same: the next batch waits.
    delivery.add(batch(1, key="f" * 32))
    assert delivery.next(now) is None
    assert delivery.wait(now) > 0


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_pauses_double_up_to_a_minute_and_chance_spreads_them(chance: float) -> None:
    delivery = started()
    now, pauses = NOW, []
    for _ in range(5):
        delivery.answered(Answer(503), now, chance)
        pauses.append(delivery.wait(now))
        now += pauses[-1]
    assert pauses == [pytest.approx(chance * bound) for bound in (2, 4, 8, 16, 32)]


def test_no_pause_is_longer_than_a_minute() -> None:
    delivery = started()
    now = NOW
    for _ in range(100):
        if delivery.is_empty:
            delivery.add(batch())
        delivery.answered(Answer(503), now, 1 - 2**-32)
        assert delivery.wait(now) <= 60
        now += delivery.wait(now)


def test_retry_after_is_waited_for_if_it_is_longer() -> None:
    delivery = started()
    delivery.answered(Answer(429, retry_after=30.0), NOW, 0.5)
    assert delivery.wait(NOW) == 30
    assert delivery.wait(NOW + 10) == 20
    assert delivery.wait(NOW + 31) == 0
    delivery.answered(Answer(429, retry_after=0.5), NOW + 30, 0.5)
    assert delivery.wait(NOW + 30) == 2


def test_a_clock_is_read_only_from_outside() -> None:
    delivery = started()
    delivery.answered(Answer(503, retry_after=10.0), NOW, 0.0)
    assert delivery.wait(NOW - 5) == 15


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0000000000060", 60.0),
        ("3600", 3_600.0),
        ("3601", 3_600.0),
        ("9" * 400, 3_600.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("١٢", None),
        ("²", None),
        ("120, 60", None),
    ],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:50:07 GMT", DATE, 30.0),
        ("Mon, 07 Nov 1994 00:00:00 GMT", "Sun, 06 Nov 1994 23:59:59 GMT", 1.0),
        ("Wed, 01 Mar 2028 00:00:00 GMT", "Tue, 29 Feb 2028 23:59:00 GMT", 60.0),
        ("Sun, 06 Nov 1994 23:49:37 GMT", DATE, 3_600.0),  # an hour at most
        ("Sun, 06 Nov 1994 08:49:37 GMT", DATE, 0.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", DATE, 0.0),  # over already
        (DATE, None, None),  # nothing to measure it against
        (DATE, "yesterday", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", DATE, None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", DATE, None),
        ("Sun, 06 Nox 1994 08:49:37 GMT", DATE, None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", DATE, None),
        ("Sun, 06 Nov 1994 08:49:37 CET", DATE, None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", DATE, None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", DATE, None),  # a form that nobody may send any more
    ],
)
def test_retry_after_as_a_date_is_measured_against_the_collector_s_own_clock(
    value: str, date: str | None, seconds: float | None
) -> None:
    assert retry_after(value, date) == seconds


def test_413_halves_the_batch_under_new_keys() -> None:
    delivery = started(5)
    assert delivery.answered(Answer(413), NOW, 0.5) == []
    first = sent(delivery)
    assert (numbers(first), first.key, first.report) == ([0, 1], part_key(KEY, 0), REPORT)
    assert delivery.answered(Answer(200), NOW, 0.5) == []
    second = sent(delivery)
    # The report travels once.
    assert (numbers(second), second.key, second.report) == ([2, 3, 4], part_key(KEY, 1), {})
    assert first.closed_at == second.closed_at == NOW
    assert delivery.wait(NOW) == 0


def test_413_is_halved_down_to_the_event_that_is_too_large() -> None:
    delivery = started(4)
    delivery.add(batch(1, key="f" * 32))
    dropped: list[Drop] = []
    keys = []
    while sent(delivery).key != "f" * 32:
        found = sent(delivery)
        keys.append(found.key)
        # Number 2 is too large, whatever it travels with.
        status = 413 if 2 in numbers(found) else 200
        dropped += delivery.answered(Answer(status), NOW, 0.5)
    assert [(numbers(drop), drop.reason, drop.report) for drop in dropped] == [
        ([2], "too_large", {})
    ]
    assert delivery.delivered == 3
    assert len(set(keys)) == len(keys) == 5


def test_too_large_single_event_gives_its_report_back() -> None:
    delivery = started(1)
    (drop,) = delivery.answered(Answer(413), NOW, 0.5)
    assert (numbers(drop), drop.reason, drop.report) == ([0], "too_large", REPORT)
    assert delivery.is_empty


@pytest.mark.parametrize("status", [400, 422])
def test_refusal_that_names_events_is_retried_without_them(status: int) -> None:
    delivery = started()
    (drop,) = delivery.answered(Answer(status, [1, 1, 7, -1]), NOW, 0.5)
    assert (numbers(drop), drop.reason, drop.report) == ([1], "rejected", {})
    again = sent(delivery)
    assert (numbers(again), again.key, again.report) == ([0, 2, 3], part_key(KEY, 0), REPORT)
    assert delivery.wait(NOW) == 0


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("refused", [(), (9, -1), (0, 1, 2, 3)])
def test_refusal_that_leaves_nothing_gives_the_batch_up(
    status: int, refused: tuple[int, ...]
) -> None:
    delivery = started()
    (drop,) = delivery.answered(Answer(status, refused), NOW, 0.5)
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], "rejected", REPORT)
    assert delivery.is_empty
    assert delivery.wait(NOW) == 0


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 410])
def test_closed_door_gives_the_batch_up_and_rests(status: int) -> None:
    delivery = started()
    (drop,) = delivery.answered(Answer(status), NOW, 0.5)
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], "rejected", REPORT)
    assert delivery.wait(NOW) == 60


@pytest.mark.parametrize("status", [402, 405, 406, 409, 411, 415, 431, 451])
def test_other_refusal_gives_the_batch_up_without_a_rest(status: int) -> None:
    delivery = started()
    (drop,) = delivery.answered(Answer(status, [0]), NOW, 0.5)
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], "rejected", REPORT)
    assert delivery.wait(NOW) == 0


def test_rests_double_to_an_hour_and_end_with_a_success() -> None:
    delivery = Delivery()
    now, rests = NOW, []
    for _ in range(9):
        delivery.add(batch(1))
        delivery.answered(Answer(404), now, 0.5)
        rests.append(delivery.wait(now))
        now += rests[-1]
    assert rests == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    delivery.add(batch(1))
    delivery.answered(Answer(200), now, 0.5)
    delivery.add(batch(1))
    delivery.answered(Answer(404), now, 0.5)
    assert delivery.wait(now) == 60


def test_abandon_names_everything_that_is_under_way() -> None:
    delivery = started()
    delivery.add(batch(1, key="f" * 32))
    dropped = delivery.abandon("opted_out")
    assert [(numbers(drop), drop.reason, drop.report) for drop in dropped] == [
        ([0, 1, 2, 3], "opted_out", REPORT),
        ([0], "opted_out", REPORT),
    ]
    assert delivery.is_empty
    assert delivery.waiting() == 0
    assert delivery.delivered == 0


def test_part_keys_are_the_contract_s() -> None:
    """Whoever tries again, also another process, must make the same keys."""
    for part in (0, 1):
        expected = hashlib.sha256(f"{KEY}:{part}".encode()).hexdigest()[:32]
        assert part_key(KEY, part) == expected
    assert part_key(KEY, 0) != part_key(KEY, 1)
