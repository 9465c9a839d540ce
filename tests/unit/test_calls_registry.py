from __future__ import annotations

from typing import Any

import pytest

from getpatter.calls.stats.owners import Guards
from getpatter.calls.stats.participant import REAP_SECONDS, Input, Output
from getpatter.calls.stats.registry import FLUSH_SECONDS, RECORD_SECONDS, OutOfPlace, Registry


class Story:
    """A registry, a clock, and everything that was told, in order."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.now = 0.0
        self.outputs: list[Output] = []

    def say(
        self, kind: str, call: str = "c", participant: str = "p", notify: bool = True, **f: object
    ) -> None:
        said = Input(kind, call, participant, f, notify, self.now)
        self.outputs += self.registry.event(said)

    def measure(self, call: str = "c", participant: str = "p", **values: object) -> None:
        self.registry.sample(
            call, participant, self.now, {"track": "t", "direction": "up", **values}
        )

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.outputs += self.registry.due(self.now)

    def told(self, *kinds: str) -> list[Any]:
        return [output.data for output in self.outputs if output.kind in kinds]

    def kinds(self) -> list[str]:
        return [output.kind for output in self.outputs if output.kind != "stats"]


@pytest.fixture
def story() -> Story:
    return Story()


def test_who_never_was_active_aborted_the_connection(story: Story) -> None:
    story.say("participant_joined")
    story.say("participant_left", reason="timeout")
    assert story.kinds() == ["participant_joined", "connection_aborted"]
    assert story.told("connection_aborted") == [
        {"call": "c", "participant": "p", "reason": "timeout"}
    ]


def test_saying_aborted_means_left(story: Story) -> None:
    story.say("participant_active")
    story.say("connection_aborted")
    assert story.kinds() == ["participant_active", "participant_left"]


def test_who_comes_back_was_active_before(story: Story) -> None:
    """A closed member is replaced; the new one inherits that it was connected."""
    story.say("participant_active")
    story.say("participant_left")
    story.say("participant_joined")
    story.say("participant_left")
    assert story.kinds()[2:] == ["participant_joined", "participant_left"]


def test_counters_of_who_comes_back_go_on(story: Story) -> None:
    story.say("participant_active")
    story.measure(packets=100)
    story.say("participant_left")
    story.say("participant_resumed")
    story.measure(packets=130)
    story.say("participant_left")
    sums = [stats["streams"][0]["packets"] for stats in story.told("participant_stats")]
    assert sums == [100, 30]


def test_what_came_late_is_told_before_who_comes_back_is(story: Story) -> None:
    story.say("participant_active")
    story.say("participant_left")
    story.measure(packets=3)
    story.say("participant_joined")
    assert story.kinds()[2:] == ["participant_stats", "participant_joined"]


def test_the_same_participant_in_two_calls_is_two(story: Story) -> None:
    for call in ("one", "two"):
        story.say("participant_active", call=call)
    story.measure("one", packets=1)
    story.say("participant_left", call="one")
    story.measure("two", packets=5)
    story.say("participant_left", call="two")
    told = [(s["call"], s["streams"][0]["packets"]) for s in story.told("participant_stats")]
    assert told == [("one", 1), ("two", 5)]


def test_a_closed_worker_is_flushed_before_it_is_reported_closed(story: Story) -> None:
    story.say("participant_active")
    story.measure(packets=1)
    story.say("participant_left")
    assert story.kinds() == ["participant_active", "participant_stats", "participant_left"]


def test_what_all_owners_said_of_the_end_is_told_with_it(story: Story) -> None:
    for owner in ("media", "signalling"):
        story.say("participant_active", owner=owner)
    story.say("participant_left", owner="media", reason="ice_failed")
    assert story.told("participant_left") == []
    story.say("participant_left", owner="signalling")
    assert story.told("participant_left") == [
        {"call": "c", "participant": "p", "owner": "signalling", "reason": "ice_failed"}
    ]


def test_the_end_of_a_room_ends_its_participants_once(story: Story) -> None:
    story.say("room_started", participant="")
    story.say("participant_active", owner="media")
    story.say("participant_joined", participant="q", owner="media")
    story.say("room_ended", participant="", reason="deploy")
    with pytest.raises(OutOfPlace, match="already_left"):
        story.say("participant_left", owner="media")
    with pytest.raises(OutOfPlace, match="already_ended"):
        story.say("room_ended", participant="")
    with pytest.raises(OutOfPlace, match="already_ended"):
        story.say("participant_joined", participant="late")
    assert story.kinds()[-3:] == ["participant_left", "connection_aborted", "room_ended"]
    assert story.told("participant_left")[0]["reason"] == "deploy"


def test_a_room_that_starts_again_is_another_call(story: Story) -> None:
    story.say("room_started", participant="")
    story.say("participant_active")
    story.say("room_ended", participant="")
    story.say("room_started", participant="")
    story.say("participant_joined")
    story.say("participant_left")
    assert story.kinds()[-1] == "connection_aborted"


def test_samples_are_told_every_thirty_seconds_and_only_if_there_are_any(story: Story) -> None:
    assert FLUSH_SECONDS == 30
    story.say("participant_active")
    for _ in range(30):
        story.wait(1)
        story.measure(packets=story.now, score=4)
    story.wait(30)
    story.wait(30)
    story.measure(packets=100)
    story.wait(30)
    sums = [stats["streams"][0]["packets"] for stats in story.told("participant_stats")]
    assert sums == [29, 1, 70]  # what came at 30 s came after the flush; at 90 s nothing had come


def test_late_samples_are_told_before_a_worker_is_reaped_after_three_minutes(story: Story) -> None:
    assert REAP_SECONDS == 180
    story.say("participant_active")
    story.say("participant_left")
    story.wait(179)
    story.measure(packets=7)
    assert len(story.registry) == 2
    story.wait(1)
    assert story.kinds()[-2:] == ["participant_stats", "forgotten"]
    assert len(story.registry) == 0
    with pytest.raises(OutOfPlace, match="unknown_participant"):
        story.measure(packets=8)


def test_a_record_every_ten_seconds_and_one_at_the_end(story: Story) -> None:
    assert RECORD_SECONDS == 10
    story.say("room_started", participant="", conference_url="https://example.com/c")
    story.say("participant_active")
    for _ in range(25):
        story.wait(1)
        story.measure(packets=50 * story.now, bytes=1_000 * story.now, media_type="audio")
    story.say("participant_left")
    records = story.told("stats")
    assert [record["interval_ms"] for record in records] == [10_000, 10_000, 5_000]
    assert [record["connection_state"] for record in records] == ["online", "online", "offline"]
    assert {record["conference_url"] for record in records} == {"https://example.com/c"}
    for record in records:
        (track,) = record["tracks"]
        assert track["media_type"] == "audio"
        assert track["bitrate"] == pytest.approx(8)
        assert track["packet_rate"] == pytest.approx(50)


def test_the_interval_is_settable_for_a_call_and_for_all(story: Story) -> None:
    for call in ("own", "other"):
        story.say("room_started", call=call, participant="")
        story.say("participant_active", call=call)
    story.registry.set_record_seconds(2, "own", story.now)
    story.registry.set_record_seconds(5, None, story.now)
    for _ in range(10):
        story.wait(1)
    calls = [record["call"] for record in story.told("stats")]
    assert calls.count("own") == 5
    assert calls.count("other") == 2
    story.registry.set_record_seconds(0, "own", story.now)
    story.wait(60)
    assert [record["call"] for record in story.told("stats")].count("own") == 5
    with pytest.raises(OutOfPlace, match="unknown_call"):
        story.registry.set_record_seconds(2, "nobody's", story.now)


def test_the_state_of_the_media_is_concluded(story: Story) -> None:
    story.say("participant_joined")
    story.wait(10)
    story.say("participant_active")
    story.wait(10)
    story.measure(packets=1)
    story.wait(10)
    story.wait(10)  # no sample: what was measured is not any more
    story.measure(packets=2)
    story.wait(10)
    assert [record["fabric_state"] for record in story.told("stats")] == [
        "initialising",
        "established",
        "established",
        "disrupted",
        "established",
    ]


def test_the_state_of_a_connection_is_what_the_host_says_until_it_is_resumed(story: Story) -> None:
    story.say("participant_active")
    story.registry.connection("c", "p", "offline", "disrupted")
    story.wait(10)
    story.say("participant_resumed")
    story.wait(10)
    states = [(r["connection_state"], r["fabric_state"]) for r in story.told("stats")]
    assert states == [("offline", "disrupted"), ("online", "established")]


def test_up_before_down_and_data_channels_like_tracks(story: Story) -> None:
    story.say("participant_active")
    for direction in ("down", "up"):
        for track, media in (("b", "data"), ("z", "video"), ("a", "audio"), ("z", "data")):
            values = {"track": track, "direction": direction, "media_type": media, "bytes": 1}
            story.registry.sample("c", "p", 0.0, values)
    (stats,) = [output.data for output in story.registry.flush()]
    streams: Any = stats["streams"]
    told = [(s["direction"], s["track"], s.get("media_type")) for s in streams]
    of_each = [("a", None), ("z", None), ("b", "data"), ("z", "data")]
    assert told == [(direction, *one) for direction in ("up", "down") for one in of_each]


def test_for_the_record_only_is_said(story: Story) -> None:
    story.say("participant_joined", notify=False)
    story.say("participant_left", notify=False)
    assert [data["notify"] for data in story.told("participant_joined", "connection_aborted")] == [
        False,
        False,
    ]


def test_other_events_are_told_as_they_come(story: Story) -> None:
    story.say("track_published", track="t", codec=None)
    assert story.told("track_published") == [{"call": "c", "participant": "p", "track": "t"}]
    assert len(story.registry) == 0


def test_an_older_sample_and_a_track_too_many_are_refused(story: Story) -> None:
    story.say("participant_active")
    story.now = 5
    story.measure(packets=1)
    story.now = 4
    with pytest.raises(OutOfPlace, match="older_than_the_last"):
        story.measure(packets=2)
    for number in range(255):
        story.measure(track=f"track {number}")
    with pytest.raises(OutOfPlace, match="too_many_tracks"):
        story.measure(track="one more")


def test_workers_that_begin_together_are_not_due_together(story: Story) -> None:
    for number in range(1_000):
        story.say("participant_active", call=f"call {number}")
        story.measure(f"call {number}", packets=1)
    most = 0
    for _ in range(300):
        before = len(story.outputs)
        story.wait(0.1)
        most = max(most, len(story.outputs) - before)
    assert len(story.told("participant_stats")) == 1_000
    assert most < 40  # of 1,000 in 30 s and 1,000 in 10 s: 14 on average


def test_a_guard_is_activated_once_and_released_once() -> None:
    guards = Guards()
    guards.activate("media")
    guards.activate("media")
    guards.activate("signalling")
    assert not guards.release("media")
    assert not guards.release("media")
    guards.activate("media")  # spent
    assert guards.release("signalling")


def test_a_guard_that_was_released_first_cannot_hold() -> None:
    guards = Guards()
    guards.activate("media")
    assert not guards.release("signalling")
    guards.activate("signalling")
    assert guards.release("media")
