"""What the demo tells of its events."""

import pytest

from getpatter.demo import report


def completed(**dimensions: object) -> dict[str, object]:
    return {"event": "call_completed", "run_id": "a" * 32, "outcome": "completed", **dimensions}


def failed(**dimensions: object) -> dict[str, object]:
    return completed(outcome="error", error_code="provider_error", error_layer="stt", **dimensions)


def test_an_event_counts_one_divided_by_the_probability_that_it_was_kept() -> None:
    assert report.weight(completed(sample_rate=0.25)) == 4
    assert report.weight(failed()) == 1
    assert report.total([completed(sample_rate=0.5), failed()]) == 3


def test_funnel_counts_weights() -> None:
    events = [completed(sample_rate=0.1), completed(sample_rate=0.1), failed()]
    steps = dict(report.funnel(events))
    assert steps["calls that ended"] == 21
    assert steps["  of these completed"] == 20
    assert steps["  of these failed in a stage"] == 1


def test_error_rate_of_sampled_calls_is_not_that_of_what_arrived() -> None:
    """One error among twenty calls, thinned out to two: 5 %, not 33 %."""
    events = [completed(sample_rate=0.1), failed(), completed(sample_rate=0.1)]
    assert "About 5% of calls break" in " ".join(report.conclusions(events))


def test_latencies_are_weighted() -> None:
    events = [
        completed(stt_latency_ms=100, sample_rate=0.1),
        completed(stt_latency_ms=900),
        completed(stt_latency_ms=900),
    ]
    assert report.latencies(events) == [("speech understood", 100.0, 900.0, 3)]


@pytest.mark.parametrize(
    ("values", "quantile", "expected"),
    [([], 0.5, None), ([(3, 1)], 0.95, 3), ([(1, 1), (2, 1)], 0.5, 1), ([(1, 1), (9, 8)], 0.5, 9)],
)
def test_weighted_quantile(
    values: list[tuple[float, float]], quantile: float, expected: float | None
) -> None:
    assert report.weighted_quantile(values, quantile) == expected


def test_line_says_what_only_this_event_says() -> None:
    said = report.line(failed(install_id="b" * 32, latency_ms=5))
    assert "latency_ms=5" in said
    assert "b" * 32 not in said
