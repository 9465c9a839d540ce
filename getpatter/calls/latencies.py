"""The numbers of one call: its turns, and the latency of each stage over them. Pure.

Of several runs of a stage in one turn, the first that speaks counts. What comes before the first
turn, as a greeting does, belongs to no turn.
"""

from __future__ import annotations

from getpatter.telemetry._plain import plain_number
from getpatter.telemetry.call_metrics import count_bucket, nearest_rank_p95, whole_ms

__all__ = ["ANSWER", "LONGEST_SECONDS", "Latencies"]

#: Not a stage: the time from the end of the caller's speech to the first audio of the answer.
ANSWER = "answer"
# Stage → the dimension that its latency is reported as.
_LATENCIES = {
    "stt": "stt_latency_ms",
    "llm": "llm_ttft_ms",
    "tts": "tts_first_byte_ms",
    "eou": "eou_latency_ms",
    ANSWER: "latency_ms",
}

#: A week: no stage takes longer, nor does a call.
LONGEST_SECONDS = 604_800
# What is measured elsewhere has another clock, and may have begun just before its call.
_SLACK_SECONDS = 1.0


class Latencies:
    """Adds up turn by turn. `now` is monotonic seconds, `began` when the call was made."""

    __slots__ = ("_began", "_derived", "_in_turn", "_latencies", "_turn_at", "turns")

    def __init__(self, began: float) -> None:
        self.turns = 0
        self._began = began
        self._turn_at: float | None = None
        # The answer of this turn by our own clock.
        self._derived: float | None = None
        # Stage → its latency in this turn, and whether a run that speaks gave it.
        self._in_turn: dict[str, tuple[float, bool]] = {}
        self._latencies: dict[str, list[float]] = {}

    @property
    def has_answer(self) -> bool:
        """Whether the answer of this turn was given."""
        return ANSWER in self._in_turn

    def turn(self, now: float, *, is_late: bool = False) -> None:
        """The other side has finished speaking: the time to answer runs from here.

        Of a turn that is reported late nothing is derived from the time of the report.
        """
        self._close_turn()
        self.turns += 1
        self._turn_at = None if is_late else now

    def observe(
        self,
        stage: object,
        seconds: object,
        now: float,
        *,
        is_spoken: bool = True,
        is_added: bool = False,
    ) -> str:
        """Take a latency; return what it must be if it is none: it must not spoil those that are.

        `is_spoken`: this run gave what the caller hears. `is_added`: it adds to the runs before.
        """
        number = plain_number(seconds)
        if not isinstance(stage, str) or number is None or not 0 <= number <= LONGEST_SECONDS:
            return "a number from 0 to 604,800"
        if number > now - self._began + _SLACK_SECONDS:
            return "at most as long as the call so far"
        if not self.turns:
            return ""
        before, was_spoken = self._in_turn.get(stage, (None, False))
        if before is None or (is_spoken and not was_spoken and not is_added):
            self._in_turn[stage] = number, is_spoken
        elif is_added:
            self._in_turn[stage] = before + number, was_spoken or is_spoken
        if stage == "tts" and self._turn_at is not None:
            self._derived, self._turn_at = now - self._turn_at, None
        return ""

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
        derived, self._derived = self._derived, None
        if derived is not None:
            latencies.setdefault(ANSWER, (derived, True))
        for stage, (seconds, _) in latencies.items():
            dimension = _LATENCIES.get(stage)
            if dimension is not None:
                self._latencies.setdefault(dimension, []).append(seconds)
