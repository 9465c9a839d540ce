"""What an observer of telemetry is told of the answers of a collector."""

import pytest

from getpatter.telemetry.delivery.observer import Observed

Told = list[tuple[str, object]]


def observe(told: Told) -> Observed:
    return Observed(lambda status, said: told.append((status, said)))


def answer(observed: Observed, *statuses: int | None, final: bool = False) -> None:
    for status in statuses:
        observed.answered(status, is_final=final, recommended=None)


@pytest.mark.parametrize("status", [None, 500, 503])
def test_a_collector_that_is_away_is_told_once_and_so_is_its_return(status: int | None) -> None:
    told: Told = []
    observed = observe(told)
    answer(observed, *[status] * 5)
    assert told == []
    answer(observed, status, status, status)
    assert [one[0] for one in told] == ["http_error"]
    answer(observed, 200, 202)
    assert [one[0] for one in told] == ["http_error", "success"]
    answer(observed, *[status] * 6)
    assert [one[0] for one in told] == ["http_error", "success", "http_error"]


def test_what_comes_in_between_begins_the_count_anew() -> None:
    told: Told = []
    observed = observe(told)
    for _ in range(3):
        answer(observed, None, 500, None, 503, None, 204)
    answer(observed, 400, 413, 429, 422, 400, 429, 408)
    assert told == []


def test_an_observer_that_fails_harms_nobody() -> None:
    def fail(status: str, said: object) -> None:
        raise RuntimeError(status, said)

    observed = Observed(fail)
    answer(observed, 401, final=True)
    observed.notify("success", "")
    assert observed.is_asked
    assert not Observed().is_asked


def test_a_recommendation_is_told_as_it_came_and_nothing_else_is_one() -> None:
    told: Told = []
    observed = observe(told)
    for recommended in ({"off": True}, None, [1], "off"):
        observed.answered(200, is_final=False, recommended=recommended)
        observed.answered(503, is_final=False, recommended=recommended)
    assert told == [("recommended", {"off": True})]
