"""Which events a run keeps: the golden vectors that every client shares, and what is sampleable."""

import json
from pathlib import Path

import pytest

from getpatter.telemetry.gate import Gate, is_sampleable, probability, ratio

VECTORS = json.loads(
    (Path(__file__).parents[2] / "schemas" / "vectors" / "sampling.json").read_text()
)
KEPT = "5eb8c21054381019bf93bdb38763027d"  # ratio 0.0588…
SUCCESS = {"outcome": "completed"}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['run_id'][-6:]}-{v['rate']}")
def test_golden_vectors(vector: dict[str, object]) -> None:
    run_id, rate = str(vector["run_id"]), float(str(vector["rate"]))
    assert ratio(run_id) == vector["ratio"]
    expected = probability(rate) if vector["kept"] else None
    assert Gate(run_id, rate).decide("call_started", {}) == expected
    assert Gate(run_id, rate).decide("call_completed", SUCCESS) == expected


def test_vectors_decide_both_ways() -> None:
    assert {vector["kept"] for vector in VECTORS} == {True, False}


@pytest.mark.parametrize(
    ("name", "dimensions", "expected"),
    [
        ("call_started", {}, True),
        ("call_started", {"direction": "inbound"}, True),
        ("call_completed", {}, True),
        ("call_completed", {"outcome": "completed"}, True),
        ("call_completed", {"outcome": "no_answer"}, True),
        ("call_completed", {"outcome": "busy"}, True),
        ("call_completed", {"outcome": "other"}, True),
        ("call_completed", {"outcome": "error"}, False),
        ("call_completed", {"outcome": "failed"}, False),
        ("call_completed", {"outcome": "completed", "error_code": "other"}, False),
        ("call_completed", {"error_code": "timeout"}, False),
        ("first_run", {}, False),
        ("sdk_initialized", {}, False),
        ("config_incomplete", {"missing": "llm_key"}, False),
        ("agent_configured", {}, False),
        ("feature_used", {}, False),
        ("cli_command", {}, False),
    ],
)
def test_what_is_sampleable(name: str, dimensions: dict[str, object], expected: bool) -> None:
    assert is_sampleable(name, dimensions) is expected
    # Rate 0 keeps what is never sampled, with weight 1, and nothing else.
    assert Gate(KEPT, 0.0).decide(name, dimensions) == (None if expected else 1.0)
    # At another rate, what is never sampled weighs 1 too.
    assert Gate(KEPT, 0.1).decide(name, dimensions) == (0.1 if expected else 1.0)
    assert Gate(KEPT, 1.0).decide(name, dimensions) == 1.0


@pytest.mark.parametrize("rate", [5e-324, 1e-12, 2.3e-10, 2.4e-10, 1e-9, 3.3e-9, 5e-7])
def test_a_very_low_rate_is_weighed_as_it_keeps(rate: float) -> None:
    """The hash of a run has 2**32 values: so many of them keep it."""
    kept = sum(number / 0xFFFFFFFF < rate for number in range(5_000))
    assert 0 < kept < 5_000
    assert probability(rate) == kept / 2**32


@pytest.mark.parametrize("rate", [0.0, 1e-6, 0.1, 0.5, 1.0])
def test_any_other_rate_is_its_own_probability(rate: float) -> None:
    assert probability(rate) == rate
