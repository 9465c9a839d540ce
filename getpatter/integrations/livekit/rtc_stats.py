"""The WebRTC statistics of a room, as samples of the agent's tracks, if the host asks for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from getpatter.integrations.guarded import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from getpatter.call import Call

__all__ = ["begin", "samples"]

# Tasks that poll; the event loop refers to them weakly.
_polls: set[asyncio.Task[None]] = set()


def begin(call: Call, room: Any, interval: float) -> None:
    """Poll the statistics of a room every so many seconds until the call has ended."""
    poll = asyncio.get_running_loop().create_task(_poll(call, room, interval))
    _polls.add(poll)
    poll.add_done_callback(_polls.discard)


async def _poll(call: Call, room: Any, interval: float) -> None:
    present: set[str] = set()
    while not call.reporter.has_ended:
        await asyncio.sleep(interval)
        try:
            stats = await asyncio.wait_for(room.get_rtc_stats(), interval)
        except Exception:  # noqa: S112 # not connected yet, or no answer: then nothing is known
            continue
        guarded(_sample, call, room, present, stats)


def _sample(call: Call, room: Any, present: set[str], stats: Any) -> None:
    agent = str(room.local_participant.identity)
    if agent not in present:
        present.add(agent)
        call.event("participant_active", agent, {"owner": "livekit"})
    for sample in samples([*stats.publisher_stats, *stats.subscriber_stats]):
        call.sample(agent, sample)


def samples(stats: list[Any]) -> Iterator[dict[str, object]]:
    """Return a sample of each track that an entry of LiveKit's statistics is about."""
    for entry in stats:
        kind = entry.WhichOneof("stats")
        if kind == "inbound_rtp":
            said = entry.inbound_rtp
            own = said.inbound
            yield {
                **_stream(said.stream, "down", "inbound-rtp"),
                **_received(said.received),
                "bytes": own.bytes_received,
                "retransmitted": own.retransmitted_packets_received,
                **_feedback(own),
            }
        elif kind == "outbound_rtp":
            said = entry.outbound_rtp
            own = said.outbound
            yield {
                **_stream(said.stream, "up", "outbound-rtp"),
                "packets": said.sent.packets_sent,
                "bytes": said.sent.bytes_sent,
                "retransmitted": own.retransmitted_packets_sent,
                **_feedback(own),
            }
        elif kind == "remote_inbound_rtp":
            said = entry.remote_inbound_rtp
            own = said.remote_inbound
            trip = own.round_trip_time
            yield {
                **_stream(said.stream, "up", "remote-inbound-rtp"),
                **_received(said.received),
                **({"rtt": trip * 1_000} if own.round_trip_time_measurements else {}),
            }


def _stream(stream: Any, direction: str, kind: str) -> dict[str, object]:
    media = {"media_type": stream.kind} if stream.kind in ("audio", "video") else {}
    return {"track": str(stream.ssrc), "direction": direction, "stats_type": kind, **media}


def _received(received: Any) -> dict[str, object]:
    # Duplicates count against losses, so that there may be less than none.
    lost = max(0, received.packets_lost)
    jitter = received.jitter * 1_000
    return {"packets": received.packets_received, "lost": lost, "jitter": jitter}


def _feedback(own: Any) -> dict[str, object]:
    return {"nack": own.nack_count, "pli": own.pli_count, "fir": own.fir_count}
