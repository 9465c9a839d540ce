from __future__ import annotations

from typing import Any

import pytest

from getpatter.calls.stats.coalesce import Window, streams
from getpatter.calls.stats.track import Delta, Interval, Meter


def window(deltas: list[Delta]) -> Window:
    summed_up = Window()
    for delta in deltas:
        summed_up.add(delta)
    return summed_up


def take(*samples: dict[str, Any]) -> list[Delta]:
    """Take samples, one a second."""
    meter = Meter()
    deltas = [meter.take(float(at), values) for at, values in enumerate(samples)]
    return [delta for delta in deltas if delta is not None]


def values(*samples: dict[str, Any]) -> dict[str, float]:
    """The values of one record over all samples, one a second."""
    meter, interval = Meter(), Interval()
    for at, one in enumerate(samples):
        delta = meter.take(float(at), one)
        assert delta is not None
        interval.add(delta)
    return interval.values(meter)


def test_the_first_sample_adds_all_there_was_but_makes_no_rate() -> None:
    (delta,) = take({"packets": 100, "bytes": 1_000})
    assert delta.counts == {"packets": 100, "bytes": 1_000}
    assert values({"packets": 100, "bytes": 1_000}) == {}


def test_the_first_sample_makes_a_rate_if_it_says_when_the_track_began() -> None:
    meter, interval = Meter(), Interval()
    delta = meter.take(14.0, {"packets": 100, "bytes": 1_000, "start": 10})
    assert delta is not None
    assert (delta.start, delta.end) == (10, 14)
    interval.add(delta)
    assert interval.values(meter) == {"bitrate": 2.0, "packet_rate": 25.0}


def test_a_start_that_is_not_over_is_none() -> None:
    delta = Meter().take(1.0, {"packets": 1, "start": 2})
    assert delta is not None
    assert (delta.start, delta.seconds) == (1.0, {})


def test_a_stream_that_begins_anew_counts_from_nothing() -> None:
    _, again = take(
        {"packets": 100, "frames": 5, "lost": 9}, {"packets": 40, "frames": 30, "lost": 10}
    )
    assert again.counts == {"packets": 40, "frames": 30, "lost": 10}


def test_a_counter_that_was_absent_when_the_stream_began_anew_counts_from_nothing_too() -> None:
    *_, last = take({"packets": 9, "nack": 2}, {"packets": 1}, {"packets": 2, "nack": 3})
    assert last.counts["nack"] == 3


def test_packets_that_come_late_are_not_lost_a_second_time() -> None:
    told = [delta.counts["lost"] for delta in take(
        {"packets": 100, "lost": 5}, {"packets": 200, "lost": 3}, {"packets": 300, "lost": 6}
    )]  # fmt: skip
    assert told == [5, 0, 1]


def test_sequence_numbers_wrap_around() -> None:
    _, second, third = take(
        {"packets": 10, "sequence": 65_530},
        {"packets": 20, "sequence": 6},  # 12 numbers, 10 arrived
        {"packets": 70_020, "sequence": (6 + 70_001) % 65_536},  # more than a whole turn
    )
    assert (second.counts["lost"], third.counts["lost"]) == (2, 1)


def test_a_sequence_number_that_goes_back_a_little_is_a_packet_that_came_late() -> None:
    deltas = take(
        {"packets": 10, "sequence": 10},
        {"packets": 18, "sequence": 20},  # 2 missing
        {"packets": 20, "sequence": 19},  # they came; the highest number is said wrongly
        {"packets": 21, "sequence": 21},
    )
    assert [delta.counts.get("lost") for delta in deltas] == [None, 2, 0, 0]


def test_nothing_is_lost_before_the_first_sequence_number_or_across_a_new_stream() -> None:
    deltas = take(
        {"packets": 1_000},
        {"packets": 1_010, "sequence": 5},
        {"packets": 4, "sequence": 60_000},
        {"packets": 8, "sequence": 60_005},
    )
    assert [delta.counts.get("lost") for delta in deltas] == [None, None, None, 1]


def test_what_is_given_as_lost_counts_more_than_sequence_numbers() -> None:
    _, second = take(
        {"packets": 1, "lost": 0, "sequence": 1}, {"packets": 2, "lost": 7, "sequence": 2}
    )
    assert second.counts["lost"] == 7


def test_loss_is_of_the_packets_sent_whichever_end_counts_them() -> None:
    received = values({"packets": 0, "lost": 0}, {"packets": 90, "lost": 10})
    sent = values(
        {"packets": 0, "lost": 0, "stats_type": "outbound-rtp"},
        {"packets": 100, "lost": 10, "stats_type": "outbound-rtp"},
    )
    for found in (received, sent):
        assert found["fraction_loss"] == pytest.approx(0.1)
        assert found["packet_loss_percentage"] == pytest.approx(10)


def test_losses_are_judged_against_the_packets_they_belong_to() -> None:
    """`lost` is given with every second sample only."""
    found = values(
        {"packets": 0, "lost": 0}, {"packets": 50}, {"packets": 80, "lost": 20}, {"packets": 999}
    )
    assert found["fraction_loss"] == pytest.approx(0.2)


def test_a_loss_is_never_more_than_all() -> None:
    found = values(
        {"packets": 0, "lost": 0, "stats_type": "outbound-rtp"}, {"packets": 5, "lost": 9}
    )
    assert found["fraction_loss"] == 1
    assert found["packet_loss_percentage"] == 100


def test_a_gap_makes_a_longer_interval_not_a_higher_rate() -> None:
    meter, interval = Meter(), Interval()
    for at, count in ((0, 0), (1, 10), (11, 110)):
        delta = meter.take(at, {"packets": count, "bytes": 100 * count})
        assert delta is not None
        interval.add(delta)
    assert interval.values(meter)["packet_rate"] == pytest.approx(10)
    assert interval.values(meter)["bitrate"] == pytest.approx(8)


def test_two_samples_at_one_moment_make_no_rate_of_no_time() -> None:
    meter, interval = Meter(), Interval()
    for at, count in ((1, 0), (1, 5)):
        delta = meter.take(at, {"packets": count})
        assert delta is not None
        interval.add(delta)
    assert interval.values(meter) == {}


def test_an_older_sample_changes_nothing() -> None:
    meter = Meter()
    assert meter.take(5, {"packets": 1}) is not None
    assert meter.take(4.9, {"packets": 9, "cname": "old"}) is None
    delta = meter.take(6, {"packets": 3})
    assert delta is not None
    assert (delta.counts, meter.labels) == ({"packets": 2}, {})


def test_the_last_label_counts_and_none_takes_nothing_away() -> None:
    meter = Meter()
    meter.take(1, {"cname": "a", "media_type": "audio"})
    meter.take(2, {"cname": "b", "media_type": None})
    assert meter.labels == {"cname": "b", "media_type": "audio"}


def test_a_score_of_nought_is_not_known() -> None:
    samples = [{"score": 0}, {"score": 4}, {"score": 3}, {"score": 0}, {"score": 5}]
    assert values(*samples) == {"quality": 4}
    (stream,) = streams({("up", False, "t"): window(take(*samples))})
    assert (stream["score_mean"], stream["score_min"], stream["score_median"]) == (4, 3, 4)


def test_levels_of_nought_are_silence() -> None:
    assert values({"audio_input_level": 0}, {"audio_input_level": 0.5}) == {
        "audio_input_level": 0.25
    }


def test_nothing_amounts_to_nothing() -> None:
    assert streams({}) == []
