"""What always holds of sampling, and that its weights give back the truth."""

import hashlib
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from getpatter.telemetry import events
from getpatter.telemetry.gate import Gate, probability
from getpatter.telemetry.losses import Losses

RUN_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
RATES = st.floats(0, 1)
RUNS = 10_000
ERROR_RATE = 0.1


@given(RUN_IDS, RATES)
def test_same_run_same_decision(run_id: str, rate: float) -> None:
    decisions = {Gate(run_id, rate).decide("call_started", {}) for _ in range(3)}
    assert len(decisions) == 1
    gate = Gate(run_id, rate)
    assert gate.decide("call_completed", {"outcome": "completed"}) in decisions
    assert gate.decide("call_started", {}) in decisions


@given(RUN_IDS, RATES, RATES)
def test_higher_rate_never_keeps_less(run_id: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if Gate(run_id, low).decide("call_started", {}) is not None:
        assert Gate(run_id, high).decide("call_started", {}) is not None


@given(RUN_IDS, RATES)
def test_kept_event_says_the_rate_it_was_kept_with(run_id: str, rate: float) -> None:
    found = Gate(run_id, rate).decide("call_started", {})
    assert found is None or found == pytest.approx(rate, rel=3e-3, abs=2**-32)
    if rate >= 1e-7:
        assert found in (None, rate)


class Sha256:
    """A hash whose first 8 digits are the run id's."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def hexdigest(self) -> str:
        return self._content.decode()


@pytest.mark.parametrize("rate", [1e-12, 2**-33, 2.4e-10, 1e-9, 5e-9, 9.9e-8])
def test_a_tiny_rate_is_said_as_the_share_of_the_runs_that_it_keeps(
    monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """Of all ratios that there are, exactly so many are below it."""
    monkeypatch.setattr(hashlib, "sha256", Sha256)
    kept = round(probability(rate) * 2**32)
    decisions = [
        Gate(f"{number:08x}", rate).decide("call_started", {})
        for number in range(max(0, kept - 2), kept + 2)
    ]
    said = kept / 2**32
    assert decisions[-4:] == [said, said, None, None][-len(decisions) :]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_weighted_counts_and_error_rate_are_unbiased(rate: float) -> None:
    """10,000 runs of a few calls each, of which a tenth fails.

    A run is kept or dropped as a whole, so the runs are what varies, not the calls: the variance
    of a weighted sum is (1/rate - 1) times the sum of the squared contributions of the runs.
    """
    random_numbers = random.Random(8)  # noqa: S311 - the same runs each time
    truth = {"started": 0, "clean": 0, "errors": 0}
    weighted = {"started": 0.0, "clean": 0.0, "errors": 0.0}
    squares = {"started": 0, "clean": 0}
    for _ in range(RUNS):
        build = builder(f"{random_numbers.getrandbits(128):032x}", rate)
        calls = random_numbers.randint(1, 4)
        errors = sum(random_numbers.random() < ERROR_RATE for _ in range(calls))
        truth["started"] += calls
        truth["errors"] += errors
        truth["clean"] += calls - errors
        squares["started"] += calls**2
        squares["clean"] += (calls - errors) ** 2
        for _ in range(calls):
            weighted["started"] += weight(build.build("call_started", {}, 0.0))
        for call in range(calls):
            if call < errors:
                ended: dict[str, object] = {"outcome": "error", "error_code": "timeout"}
                weighted["errors"] += weight(build.build("call_completed", ended, 0.0))
            else:
                ended = {"outcome": "completed"}
                weighted["clean"] += weight(build.build("call_completed", ended, 0.0))

    # Errors are never sampled: they are all there, and weigh 1.
    assert weighted["errors"] == truth["errors"]
    spread = {kind: math.sqrt((1 / rate - 1) * squares[kind]) for kind in squares}
    for kind, error in spread.items():
        assert abs(weighted[kind] - truth[kind]) < 4 * error
        assert weighted[kind] != truth[kind]  # something was indeed dropped
    # The rate of errors is e / (e + clean): it moves with `clean` by at most this (delta method).
    calls_seen = weighted["errors"] + weighted["clean"]
    true_rate = truth["errors"] / (truth["errors"] + truth["clean"])
    rate_spread = truth["errors"] / (truth["errors"] + truth["clean"]) ** 2 * spread["clean"]
    assert abs(weighted["errors"] / calls_seen - true_rate) < 4 * rate_spread
    assert 4 * rate_spread < 0.02  # so that the test could not pass with 53 %


def builder(run_id: str, rate: float) -> events.Builder:
    common = {**events.common_fields("0.8.0", "a" * 32, {}), "run_id": run_id}
    return events.Builder(common, Gate(run_id, rate), Losses(), age=None, asked=0.0)


def weight(event: dict[str, object] | None) -> float:
    if event is None:
        return 0.0
    rate = event.get("sample_rate", 1.0)
    assert isinstance(rate, float)
    return 1 / rate


@given(RUN_IDS, RATES)
def test_what_is_dropped_is_counted(run_id: str, rate: float) -> None:
    losses = Losses()
    common = {**events.common_fields("0.8.0", "a" * 32, {}), "run_id": run_id}
    build = events.Builder(common, Gate(run_id, rate), losses, age=None, asked=0.0).build
    kept = build("call_started", {}, 0.0) is not None
    expected = {} if kept else {("call_started", "sampled_out"): 1}
    assert losses.totals() == expected
