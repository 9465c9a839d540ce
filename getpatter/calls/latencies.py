"""The numbers of one call: its turns, and the latency of each stage over them. Pure.

Several runs of a stage in one turn add up to that turn's latency.
"""

from __future__ import annotations

from getpatter.telemetry._plain import plain_number
from getpatter.telemetry.call_metrics import count_bucket, nearest_rank_p95, whole_ms

__all__ = ["LONGEST_SECONDS", "Latencies"]

# Stage → the dimension that its latency is reported as.
_LATENCIES = {
    "stt": "stt_latency_ms",
    "llm": "llm_ttft_ms",
    "tts": "tts_first_byte_ms",
    "eou": "eou_latency_ms",
}

#: A week: no stage takes longer, nor does a call.
LONGEST_SECONDS = 604_800


class Latencies:
    """Adds up turn by turn. `now` is monotonic seconds."""

    __slots__ = ("_in_turn", "_latencies", "_turn_at", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self._turn_at: float | None = None
        self._in_turn: dict[str, float] = {}
        self._latencies: dict[str, list[float]] = {}

    def turn(self, now: float) -> None:
        """The other side has finished speaking: the time to answer runs from here."""
        self._close_turn()
        self.turns += 1
        self._turn_at = now

    def observe(self, stage: object, seconds: object, now: float) -> bool:
        """Add a latency; return False for what is none: it must not spoil those that are."""
        number = plain_number(seconds)
        if not isinstance(stage, str) or number is None or not 0 <= number <= LONGEST_SECONDS:
            return False
        self._in_turn[stage] = self._in_turn.get(stage, 0.0) + number
        if stage == "tts" and self._turn_at is not None:
            self._latencies.setdefault("latency_ms", []).append(now - self._turn_at)
            self._turn_at = None
        return True

    def dimensions(self) -> dict[str, object]:
        """Return the turns and the p95 of each stage as dimensions of `call_completed`."""
        self._close_turn()
        p95 = {name: nearest_rank_p95(values) for name, values in self._latencies.items()}
        return {
            "turn_count_bucket": count_bucket(self.turns),
            **{name: whole_ms(None if p is None else p * 1_000) for name, p in p95.items()},
        }

    def _close_turn(self) -> None:
        latencies, self._in_turn = self._in_turn, {}
        for stage, seconds in latencies.items():
            dimension = _LATENCIES.get(stage)
            if dimension is not None:
                self._latencies.setdefault(dimension, []).append(seconds)
