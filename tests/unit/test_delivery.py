"""What happens to a batch, for every kind of answer. No clock and no socket: `now` is a number."""

import hashlib

import pytest

from getpatter.telemetry.delivery import (
    BATCH_EVENTS,
    STORE_SECONDS,
    Answer,
    Batch,
    Delivery,
    Drop,
    Send,
    Store,
    Wait,
    part_key,
    retry_after,
)

KEY = "0123456789abcdef" * 2
REPORT = {("call_started", "queue_full"): 3}
NOW = 1_000.0


def batch(count: int = 4, key: str = KEY) -> Batch:
    return Batch([{"event": "call_started", "n": n} for n in range(count)], key, NOW, dict(REPORT))


def started(count: int = 4) -> Delivery:
    """A delivery that nothing can be stored for, with one batch."""
    delivery = Delivery()
    add(delivery, batch(count))
    return delivery


def add(delivery: Delivery, added: Batch, place: str | None = None) -> Batch:
    delivery.add(added)
    if place is None:
        delivery.stored(added, None)
    else:
        added.place = place
    return added


def answered(
    delivery: Delivery, answer: Answer, now: float = NOW, chance: float = 0.5
) -> list[Drop]:
    """Send the next batch, and have it answered."""
    sent(delivery, now)
    return delivery.answered(answer, now, chance)


def pause(delivery: Delivery, now: float = NOW) -> float | None:
    action = delivery.next(now)
    assert isinstance(action, Wait)
    return action.seconds


def numbers(found: Batch | Drop | None) -> list[object]:
    return [] if found is None else [event["n"] for event in found.events]


def sent(delivery: Delivery, now: float = NOW) -> Batch:
    action = delivery.next(now)
    assert isinstance(action, Send)
    return action.batch


def test_nothing_is_under_way_at_first() -> None:
    delivery = Delivery()
    assert delivery.is_empty
    assert not delivery.is_in_flight
    assert delivery.waiting() == 0
    assert pause(delivery) is None
    assert delivery.wait(NOW) == 0
    assert delivery.abandon("shutdown") == []
    assert delivery.answered(Answer(200), NOW, 0.5) == []


def test_batches_hold_what_the_collector_takes() -> None:
    assert BATCH_EVENTS == 64


def test_batches_are_sent_in_order_one_at_a_time() -> None:
    delivery = started()
    add(delivery, batch(1, key="f" * 32))
    assert sent(delivery).key == KEY
    assert delivery.is_in_flight
    assert pause(delivery) is None  # until it is answered
    assert delivery.waiting() == 5
    assert delivery.answered(Answer(200), NOW, 0.5) == []
    assert sent(delivery).key == "f" * 32
    assert delivery.delivered == 4


# storing


def test_what_is_not_delivered_a_second_after_it_was_recorded_is_to_be_stored() -> None:
    delivery = Delivery()
    recorded = batch()
    recorded.store_at = NOW + STORE_SECONDS
    delivery.add(recorded)
    assert sent(delivery) is recorded
    assert pause(delivery) == STORE_SECONDS
    assert pause(delivery, NOW + 0.25) == STORE_SECONDS - 0.25
    action = delivery.next(NOW + STORE_SECONDS)
    assert isinstance(action, Store)
    assert action.batches == [recorded]
    delivery.stored(recorded, "somewhere")
    # It is in flight all the same, and now on disk: memory counts it no more.
    assert delivery.is_in_flight
    assert delivery.waiting() == 0
    assert pause(delivery, NOW + STORE_SECONDS) is None
    assert delivery.answered(Answer(200), NOW + 2, 0.5) == []
    assert recorded.is_done
    assert delivery.delivered == 4


def test_only_one_batch_waits_in_memory_behind_the_one_in_flight() -> None:
    delivery = Delivery()
    first, second, third = batch(), batch(key="e" * 32), batch(key="f" * 32)
    delivery.add(first)
    assert sent(delivery) is first
    delivery.add(second)
    assert pause(delivery) == STORE_SECONDS
    delivery.add(third)
    action = delivery.next(NOW)
    assert isinstance(action, Store)
    assert action.batches == [third]
    delivery.stored(third, None)
    # It is not asked for again.
    assert pause(delivery) == STORE_SECONDS


def test_it_says_whether_another_waits_and_whether_one_cannot_be_stored() -> None:
    delivery = Delivery()
    delivery.add(batch())
    sent(delivery)
    said = [(delivery.has_next, delivery.cannot_store)]
    delivery.add(batch(key="f" * 32))
    said.append((delivery.has_next, delivery.cannot_store))
    delivery.stored(delivery.batches()[1], None)
    said.append((delivery.has_next, delivery.cannot_store))
    assert said == [(False, False), (True, False), (True, True)]


def test_what_is_stored_and_waits_is_under_way_no_longer() -> None:
    delivery = Delivery()
    first, second = batch(), batch(1, key="f" * 32)
    delivery.add(first)
    delivery.add(second)
    action = delivery.next(NOW + STORE_SECONDS)
    assert isinstance(action, Store)
    assert action.batches == [first, second]
    delivery.stored(first, "a place")
    delivery.stored(second, None)
    assert [found.key for found in delivery.batches()] == ["f" * 32]
    assert sent(delivery, NOW + STORE_SECONDS) is second


@pytest.mark.parametrize("status", [None, 503, 404, 302])
def test_a_batch_that_fails_is_to_be_stored_at_once(status: int | None) -> None:
    delivery = Delivery()
    failing = batch()
    delivery.add(failing)
    assert answered(delivery, Answer(status)) == []
    action = delivery.next(NOW)
    assert isinstance(action, Store)
    assert action.batches == [failing]


@pytest.mark.parametrize("status", [None, 503, 404, 302])
def test_a_stored_batch_that_fails_is_left_to_the_store(status: int | None) -> None:
    delivery = Delivery()
    stored = add(delivery, batch(), place="somewhere")
    for _ in range(9):  # however often: on disk it is not given up
        assert answered(delivery, Answer(status), NOW) == []
        assert not stored.is_done
        assert delivery.is_empty
        delivery = Delivery()
        delivery.add(stored)


# answers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_takes_the_batch(status: int) -> None:
    delivery = started()
    assert answered(delivery, Answer(status)) == []
    assert delivery.is_empty
    assert delivery.delivered == 4
    assert delivery.wait(NOW) == 0


def test_2xx_may_refuse_events_by_index() -> None:
    delivery = started()
    (drop,) = answered(delivery, Answer(200, [2, 0, 2, -1, 4, 99]))
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
    seconds = delivery.wait(NOW)
    assert 0 < seconds <= 1
    assert pause(delivery) == seconds
    assert pause(delivery, NOW + seconds / 2) == pytest.approx(seconds / 2)
    again = sent(delivery, NOW + seconds)
    assert (again.key, again.events, again.report) == (first.key, first.events, REPORT)
    assert again.closed_at == NOW
    assert delivery.answered(Answer(200), NOW + seconds, 0.5) == []
    assert delivery.delivered == 4


@pytest.mark.parametrize(("status", "reason"), [(503, "network_error"), (404, "rejected")])
def test_six_tries_then_what_cannot_be_stored_is_given_up_with_its_report(
    status: int, reason: str
) -> None:
    delivery = started()
    now = NOW
    for _ in range(5):
        assert answered(delivery, Answer(status), now, 0.999) == []
        now += delivery.wait(now)
    (drop,) = answered(delivery, Answer(status), now, 0.999)
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], reason, REPORT)
    assert delivery.is_empty
    # The collector is left alone all the same: the next batch waits.
    add(delivery, batch(1, key="f" * 32))
    seconds = pause(delivery, now)
    assert seconds is not None
    assert seconds > 0


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_pauses_double_and_chance_spreads_them(chance: float) -> None:
    delivery = started()
    now, pauses = NOW, []
    for _ in range(5):
        answered(delivery, Answer(503), now, chance)
        pauses.append(delivery.wait(now))
        now += pauses[-1]
    assert pauses == [pytest.approx(chance * bound) for bound in (1, 2, 4, 8, 16)]


def test_a_success_begins_the_pauses_anew() -> None:
    delivery = started()
    answered(delivery, Answer(503), NOW, 0.5)
    answered(delivery, Answer(503), NOW + 1, 0.5)
    answered(delivery, Answer(200), NOW + 3, 0.5)
    add(delivery, batch())
    answered(delivery, Answer(503), NOW + 4, 0.5)
    assert delivery.wait(NOW + 4) == 0.5


def test_no_pause_is_longer_than_a_minute() -> None:
    delivery = started()
    now = NOW
    for _ in range(100):
        if delivery.is_empty:
            add(delivery, batch())
        answered(delivery, Answer(503), now, 1 - 2**-32)
        assert delivery.wait(now) <= 60
        now += delivery.wait(now)


def test_retry_after_is_waited_for_if_it_is_longer() -> None:
    delivery = started()
    answered(delivery, Answer(429, retry_after=30.0))
    assert delivery.wait(NOW) == 30
    assert delivery.wait(NOW + 10) == 20
    assert delivery.wait(NOW + 31) == 0
    answered(delivery, Answer(429, retry_after=0.5), NOW + 30)
    assert delivery.wait(NOW + 30) == 1


def test_a_clock_is_read_only_from_outside() -> None:
    delivery = started()
    answered(delivery, Answer(503, retry_after=10.0), NOW, 0.0)
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
    assert answered(delivery, Answer(413)) == []
    first, second = delivery.batches()
    assert (numbers(first), first.key, first.report) == ([0, 1], part_key(KEY, 0), REPORT)
    # The report travels once.
    assert (numbers(second), second.key, second.report) == ([2, 3, 4], part_key(KEY, 1), {})
    assert first.closed_at == second.closed_at == NOW
    assert answered(delivery, Answer(200)) == []
    assert answered(delivery, Answer(200)) == []
    assert delivery.delivered == 5
    assert delivery.wait(NOW) == 0


def test_the_parts_of_a_stored_batch_are_to_be_stored_before_it_goes() -> None:
    delivery = Delivery()
    whole = add(delivery, batch(), place="somewhere")
    whole.store_at = NOW
    assert answered(delivery, Answer(413)) == []
    assert whole.is_done
    action = delivery.next(NOW)
    assert isinstance(action, Store)
    assert [numbers(part) for part in action.batches] == [[0, 1], [2, 3]]


def test_413_is_halved_down_to_the_event_that_is_too_large() -> None:
    delivery = started(4)
    add(delivery, batch(1, key="f" * 32))
    dropped: list[Drop] = []
    keys = []
    while (found := sent(delivery)).key != "f" * 32:
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
    (drop,) = answered(delivery, Answer(413))
    assert (numbers(drop), drop.reason, drop.report) == ([0], "too_large", REPORT)
    assert delivery.is_empty


@pytest.mark.parametrize("status", [400, 422])
def test_refusal_that_names_events_is_retried_without_them(status: int) -> None:
    delivery = started()
    (drop,) = answered(delivery, Answer(status, [1, 1, 7, -1]))
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
    (drop,) = answered(delivery, Answer(status, refused))
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], "rejected", REPORT)
    assert delivery.is_empty
    assert delivery.wait(NOW) == 0


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 410])
def test_closed_door_opens_the_breaker_and_keeps_the_batch(status: int) -> None:
    delivery = started()
    assert answered(delivery, Answer(status)) == []
    assert delivery.wait(NOW) == 60
    assert pause(delivery) == 60
    assert numbers(sent(delivery, NOW + 60)) == [0, 1, 2, 3]


@pytest.mark.parametrize("status", [402, 405, 406, 409, 411, 415, 431, 451])
def test_other_refusal_gives_the_batch_up_without_a_rest(status: int) -> None:
    delivery = started()
    (drop,) = answered(delivery, Answer(status, [0]))
    assert (numbers(drop), drop.reason, drop.report) == ([0, 1, 2, 3], "rejected", REPORT)
    assert delivery.wait(NOW) == 0


def test_rests_double_to_an_hour_and_end_with_a_success() -> None:
    delivery = Delivery()
    now, rests = NOW, []
    for _ in range(9):
        add(delivery, batch(1), place="somewhere")
        answered(delivery, Answer(404), now)
        rests.append(delivery.wait(now))
        now += rests[-1]
    assert rests == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    add(delivery, batch(1))
    answered(delivery, Answer(200), now)
    add(delivery, batch(1))
    answered(delivery, Answer(404), now)
    assert delivery.wait(now) == 60


# giving up


def test_abandon_names_everything_that_is_in_memory_only() -> None:
    delivery = started()
    add(delivery, batch(1, key="f" * 32))
    add(delivery, batch(2, key="e" * 32), place="somewhere")
    sent(delivery)
    dropped = delivery.abandon("opted_out")
    assert [(numbers(drop), drop.reason, drop.report) for drop in dropped] == [
        ([0, 1, 2, 3], "opted_out", REPORT),
        ([0], "opted_out", REPORT),
    ]
    assert delivery.is_empty
    assert delivery.waiting() == 0
    assert delivery.delivered == 0


def test_what_was_sent_can_be_left_to_its_answer() -> None:
    delivery = started()
    add(delivery, batch(1, key="f" * 32))
    sent(delivery)
    (drop,) = delivery.abandon("opted_out", in_flight=False)
    assert numbers(drop) == [0]
    assert delivery.is_in_flight
    assert delivery.answered(Answer(200), NOW, 0.5) == []
    assert delivery.delivered == 4
    assert delivery.is_empty


def test_part_keys_are_the_contract_s() -> None:
    """Whoever tries again, also another process, must make the same keys."""
    for part in (0, 1):
        expected = hashlib.sha256(f"{KEY}:{part}".encode()).hexdigest()[:32]
        assert part_key(KEY, part) == expected
    assert part_key(KEY, 0) != part_key(KEY, 1)
