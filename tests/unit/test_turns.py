"""The switch interval while much is loaded: lower, and afterwards as the host has it."""

import sys
from collections.abc import Iterator

import pytest

from getpatter.telemetry._turns import SECONDS, short_turns


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_turns_are_short_for_a_while() -> None:
    sys.setswitchinterval(0.005)
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(SECONDS, abs=2e-6)
    assert sys.getswitchinterval() == 0.005


def test_a_lower_interval_of_the_host_stays_exactly_as_it_is() -> None:
    # Python keeps whole microseconds of it, so that setting what was read may lower it.
    sys.setswitchinterval(0.0001)
    before = sys.getswitchinterval()
    for _ in range(3):
        with short_turns():
            assert sys.getswitchinterval() == before
    assert sys.getswitchinterval() == before


def test_what_the_host_sets_meanwhile_stays() -> None:
    sys.setswitchinterval(0.005)
    with short_turns():
        sys.setswitchinterval(0.002)
    assert sys.getswitchinterval() == 0.002


def test_they_end_also_with_an_error() -> None:
    sys.setswitchinterval(0.005)
    with pytest.raises(ImportError), short_turns():
        raise ImportError
    assert sys.getswitchinterval() == 0.005
