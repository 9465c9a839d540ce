"""How many events of one name may be recorded, and that names do not take from one another."""

from hypothesis import given
from hypothesis import strategies as st

from getpatter.telemetry.delivery.rate_limit import BURST, PER_SECOND, RateLimit

NAMES = ("call_started", "call_completed")


def taken(limit: RateLimit, name: object, now: float, times: int) -> int:
    return sum(limit.take(name, now) for _ in range(times))


def test_the_limits_are_those_of_the_contract() -> None:
    assert (BURST, PER_SECOND) == (2_000, 100.0)


def test_a_burst_then_the_steady_rate() -> None:
    limit = RateLimit(NAMES)
    assert taken(limit, "call_started", 1_000.0, 5_000) == 2_000
    assert taken(limit, "call_started", 1_001.0, 5_000) == 100
    assert taken(limit, "call_started", 1_001.5, 5_000) == 50


def test_an_idle_bucket_is_full_again_and_no_fuller() -> None:
    limit = RateLimit(NAMES, 10, 1.0)
    assert taken(limit, "call_started", 0.0, 99) == 10
    assert taken(limit, "call_started", 1e6, 99) == 10


def test_names_do_not_take_from_one_another() -> None:
    limit = RateLimit(NAMES, 3, 1.0)
    assert taken(limit, "call_started", 5.0, 9) == 3
    assert taken(limit, "call_completed", 5.0, 9) == 3


def test_names_that_are_none_of_ours_share_a_bucket_whatever_they_are() -> None:
    limit = RateLimit(NAMES, 4, 1.0)
    odd = ["unknown", 7, None, [], {}, b"call_started", "another"]
    assert sum(limit.take(name, 5.0) for name in odd) == 4
    assert limit.take("call_started", 5.0)


def test_without_a_rate_only_the_burst_is_let_through() -> None:
    limit = RateLimit(NAMES, 5, 0.0)
    assert taken(limit, "call_started", 1.0, 99) == 5
    assert taken(limit, "call_started", 1e6, 99) == 0


def test_without_a_burst_nothing_is_let_through() -> None:
    assert taken(RateLimit(NAMES, 0, 100.0), "call_started", 1.0, 99) == 0


@given(
    st.integers(1, 50),
    st.floats(0.5, 1_000),
    st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate_allow(
    burst: int, per_second: float, pauses: list[float]
) -> None:
    limit = RateLimit(NAMES, burst, per_second)
    begin = now = 100.0
    count = 0
    for pause in pauses:
        now += pause
        count += limit.take("call_started", now)
        assert count <= burst + (now - begin) * per_second + 1e-6
