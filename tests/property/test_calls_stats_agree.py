"""Rates, losses, averages and medians agree with numpy, and with what really was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from getpatter.calls.stats.coalesce import Window, streams
from getpatter.calls.stats.track import Delta, Interval, Meter

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A loaded machine is slow, and that is no defect of ours.
PATIENT = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**32 - 1)
OTHERS = ("retransmitted", "padding", "out_of_order", "frames", "nack", "pli", "fir")


class Track(NamedTuple):
    """What really happened between the samples that are left, and those samples."""

    at: NDArray[Any]
    sent: NDArray[Any]  # between this sample and the one before
    samples: list[dict[str, float]]
    is_reset: NDArray[Any]


def track(seed: int, *, with_lost: bool, with_sequence: bool, resets: bool = True) -> Track:
    """A track of up to 200 steps: losses, gaps (steps without a sample), resets, a 16-bit wrap."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(2, 200))
    rate = int(rng.choice([5, 50, 3_000, 20_000]))
    sent = rng.integers(0, rate, steps)
    lost = rng.binomial(sent, rng.choice([0.0, 0.01, 0.3, 1.0]))
    size = rng.integers(20, 1_200, steps)
    at = 1_000 + np.cumsum(rng.uniform(0.05, 3, steps))
    # A step is seen or not; the first and the last are. No gap is longer than 60,000 packets.
    seen = rng.random(steps) < rng.choice([1.0, 0.6])
    seen[[0, -1]] = True
    since = 0
    for index in range(steps):
        since += int(sent[index])
        if seen[index] or since + rate > 60_000:
            seen[index] = True
            since = 0
    segment_begins = resets & seen & (rng.random(steps) < 0.05)
    counters = {
        "packets": sent - lost,
        "bytes": (sent - lost) * size,
        **{name: rng.integers(0, 9, steps) for name in OTHERS},
    }
    if with_lost:
        counters["lost"] = lost
    values: list[dict[str, float]] = []
    totals = dict.fromkeys(counters, 0)
    number = int(rng.integers(0, 65_536))
    was_reset = np.zeros(steps, dtype=bool)
    last_seen = 0
    for index in range(steps):
        if segment_begins[index] and last_seen > counters["packets"][index]:
            # Told apart by nothing but that the traffic went back.
            totals = dict.fromkeys(counters, 0)
            number = int(rng.integers(0, 65_536))
            was_reset[index] = True
        number += int(sent[index]) + int(counters["padding"][index])  # padding has numbers too
        for name, steps_of in counters.items():
            totals[name] += int(steps_of[index])
        last_seen = totals["packets"] if seen[index] else last_seen
        one: dict[str, float] = {
            **totals,
            "rtt": rng.uniform(0, 900),
            "jitter": rng.uniform(0, 90),
            "score": float(rng.choice([0.0, rng.uniform(0.5, 5)])),
        }
        if with_sequence:
            one["sequence"] = number % 65_536
        values.append(one)
    (indices,) = np.nonzero(seen)
    between = np.add.reduceat(sent, np.concatenate([[0], indices[:-1] + 1]))
    return Track(at[seen], between, [values[i] for i in indices], was_reset[seen])


def column(given: Track, name: str) -> NDArray[Any]:
    return np.array([sample[name] for sample in given.samples])


def rises(given: Track, name: str) -> NDArray[Any]:
    """How much a counter rose with each sample: all of it at the first, and after a reset."""
    values = column(given, name)
    return np.where(given.is_reset, values, np.diff(values, prepend=0))


def window(deltas: list[Delta]) -> Window:
    summed_up = Window()
    for delta in deltas:
        summed_up.add(delta)
    return summed_up


def take(given: Track) -> list[Delta]:
    meter = Meter()
    deltas = [
        meter.take(float(at), sample) for at, sample in zip(given.at, given.samples, strict=True)
    ]
    assert None not in deltas
    return [delta for delta in deltas if delta is not None]


@given(SEEDS)
@PATIENT
def test_sums_maxima_and_medians_of_a_flush(seed: int) -> None:
    given_track = track(seed, with_lost=True, with_sequence=False)
    (stream,) = streams({("up", False, "a"): window(take(given_track))})
    for name in ("packets", "bytes", "lost", *OTHERS):
        assert stream[name] == rises(given_track, name).sum()
    assert stream["rtt_max"] == column(given_track, "rtt").max()
    assert stream["jitter_max"] == column(given_track, "jitter").max()
    assert (stream["start"], stream["end"]) == (given_track.at[0], given_track.at[-1])
    scores = column(given_track, "score")
    scores = scores[scores > 0]
    if scores.size == 0:
        assert "score_mean" not in stream
        return
    assert stream["score_mean"] == pytest.approx(np.mean(scores))
    assert stream["score_min"] == scores.min()
    assert stream["score_median"] == pytest.approx(np.median(scores))


@given(SEEDS, st.integers(1, 12))
@PATIENT
def test_values_of_each_record(seed: int, per_record: int) -> None:
    """A record covers the time from the last sample of the one before to its own last sample."""
    given_track = track(seed, with_lost=True, with_sequence=False)
    deltas_seconds = np.diff(given_track.at, prepend=np.nan)
    meter = Meter()
    for begin in range(0, len(given_track.samples), per_record):
        part = slice(begin, begin + per_record)
        interval = Interval()
        for at, sample in zip(given_track.at[part], given_track.samples[part], strict=True):
            delta = meter.take(float(at), sample)
            assert delta is not None
            interval.add(delta)
        values = interval.values(meter)
        timed = ~np.isnan(deltas_seconds[part])
        seconds = deltas_seconds[part][timed].sum()
        if timed.any():
            bits = rises(given_track, "bytes")[part][timed].sum() * 8
            assert values["bitrate"] == pytest.approx(bits / seconds / 1_000)
            packets = rises(given_track, "packets")[part][timed].sum()
            assert values["packet_rate"] == pytest.approx(packets / seconds)
        else:
            assert "bitrate" not in values
        lost = rises(given_track, "lost")[part].sum()
        sent = sum(rises(given_track, name)[part].sum() for name in ("packets", "padding", "lost"))
        if sent:
            assert values["fraction_loss"] == pytest.approx(lost / sent)
            assert values["packet_loss_percentage"] == pytest.approx(100 * lost / sent)
        so_far = slice(0, part.stop)
        for name in ("rtt", "jitter"):
            assert values[name] == pytest.approx(column(given_track, name)[part].mean())
            average = column(given_track, name)[so_far].mean()
            assert values[f"average_{name}"] == pytest.approx(average)
        scores = column(given_track, "score")[part]
        if (scores > 0).any():
            assert values["quality"] == pytest.approx(scores[scores > 0].mean())
        else:
            assert "quality" not in values


@given(SEEDS)
@PATIENT
def test_losses_from_sequence_numbers_are_those_that_happened(seed: int) -> None:
    """The numbers are 16 bits and wrap around."""
    given_track = track(seed, with_lost=False, with_sequence=True)
    told = [delta.counts.get("lost") for delta in take(given_track)]
    really = given_track.sent - rises(given_track, "packets")
    # Nothing is known of what was before the first number of a stream.
    is_known = ~given_track.is_reset
    is_known[0] = False
    assert [lost is not None for lost in told] == list(is_known)
    assert [lost for lost in told if lost is not None] == list(really[is_known])


@given(SEEDS, st.lists(st.sampled_from(["packets", "bytes", "lost"]), min_size=1, max_size=60))
@PATIENT
def test_a_counter_that_some_samples_lack_adds_up_all_the_same(
    seed: int, absent: list[str]
) -> None:
    given_track = track(seed, with_lost=True, with_sequence=False, resets=False)
    whole = given_track.samples[-1]
    for index, name in enumerate(absent):
        if index < len(given_track.samples) - 1:
            del given_track.samples[index][name]
    meter, interval = Meter(), Interval()
    for at, sample in zip(given_track.at, given_track.samples, strict=True):
        delta = meter.take(float(at), sample)
        assert delta is not None
        interval.add(delta)
    values = interval.values(meter)
    sent = whole["packets"] + whole["padding"] + whole["lost"]
    if sent:
        assert values["fraction_loss"] == pytest.approx(whole["lost"] / sent)
    has_bytes = ["bytes" in sample for sample in given_track.samples]
    first = has_bytes.index(True)
    if first < len(has_bytes) - 1:
        bits = 8 * (whole["bytes"] - given_track.samples[first]["bytes"])
        seconds = given_track.at[-1] - given_track.at[first]
        assert values["bitrate"] == pytest.approx(bits / seconds / 1_000)
