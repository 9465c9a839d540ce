"""WebRTC statistics, in LiveKit's own messages, as samples."""

import asyncio
from typing import Any

from livekit.rtc._proto.stats_pb2 import RtcStats
from livekit_bot import CANARY

from getpatter import Patter
from getpatter.integrations.livekit.observe import observe
from getpatter.integrations.livekit.rtc_stats import samples


def inbound(*, packets: int, lost: int) -> Any:
    entry = RtcStats()
    said = entry.inbound_rtp
    said.stream.ssrc, said.stream.kind = 7, "audio"
    said.received.packets_received, said.received.packets_lost = packets, lost
    said.received.jitter = 0.0125
    said.inbound.bytes_received, said.inbound.nack_count = 9_500, 3
    return entry


def outbound() -> Any:
    entry = RtcStats()
    said = entry.outbound_rtp
    said.stream.ssrc, said.stream.kind = 8, "audio"
    said.sent.packets_sent, said.sent.bytes_sent = 50, 4_000
    said.outbound.retransmitted_packets_sent = 2
    return entry


def remote(*, measurements: int) -> Any:
    entry = RtcStats()
    said = entry.remote_inbound_rtp
    said.stream.ssrc, said.stream.kind = 8, "audio"
    said.received.packets_lost = 1
    said.remote_inbound.round_trip_time = 0.25
    said.remote_inbound.round_trip_time_measurements = measurements
    return entry


def test_seconds_become_milliseconds() -> None:
    [sample] = samples([inbound(packets=95, lost=5)])
    assert sample["jitter"] == 12.5
    assert (sample["packets"], sample["lost"], sample["bytes"]) == (95, 5, 9_500)
    assert (sample["track"], sample["direction"]) == ("7", "down")
    [sample] = samples([remote(measurements=4)])
    assert (sample["rtt"], sample["direction"]) == (250, "up")


def test_fewer_losses_than_none_are_none() -> None:
    [sample] = samples([inbound(packets=95, lost=-2)])
    assert sample["lost"] == 0


def test_a_round_trip_that_was_never_measured_is_absent() -> None:
    [sample] = samples([remote(measurements=0)])
    assert "rtt" not in sample


def test_what_is_no_track_gives_no_sample() -> None:
    entry = RtcStats()
    entry.candidate_pair.candidate_pair.current_round_trip_time = 1.0
    assert list(samples([entry, RtcStats()])) == []


class Room:
    """A room that is connected at the second poll, and answers the third too late."""

    def __init__(self) -> None:
        self.polls = 0
        self.local_participant = self
        self.identity = CANARY
        self.remote_participants: dict[str, object] = {}
        self.publisher_stats = [outbound()]

    @property
    def subscriber_stats(self) -> list[Any]:
        return [inbound(packets=95 * self.polls, lost=5 * self.polls)]

    def on(self, *_: object) -> None:
        pass

    async def get_rtc_stats(self) -> Any:
        self.polls += 1
        if self.polls == 1:
            message = "not connected"
            raise RuntimeError(message)
        if self.polls == 3:
            await asyncio.Event().wait()
        return self


def test_a_room_is_polled_until_the_call_has_ended(getpatter_telemetry: Any) -> None:
    phone = Patter(carrier="none")
    records: list[Any] = []
    phone.on("stats", records.append)

    async def main() -> Room:
        room = Room()
        call = observe(Room(), phone, room=room, stats_interval=0.01)
        while room.polls < 5:  # noqa: ASYNC110 # it has no event for that
            await asyncio.sleep(0.01)
        call.end()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return room

    asyncio.run(main())
    phone.service.flush()
    [record] = records
    tracks = {each["stats_type"]: each for each in record["tracks"]}
    assert tracks["inbound-rtp"]["packet_loss_percentage"] == 5
    assert CANARY not in repr(getpatter_telemetry.events)


def test_nothing_is_polled_unless_asked_for(getpatter_telemetry: Any) -> None:
    async def main(interval: Any) -> int:
        call = observe(Room(), Patter(carrier="none"), room=Room(), stats_interval=interval)
        tasks = len(asyncio.all_tasks())
        call.end()
        return tasks

    for interval in (None, 0, -1, float("nan"), "5"):
        assert asyncio.run(main(interval)) == 1
    assert len(getpatter_telemetry.events) > 0
