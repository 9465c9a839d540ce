"""Schedule: when a collector may be asked, and what its answer means for a batch. Pure.

Knows no clock, no socket, no disk and no thread: time, answers and chance come in as arguments.
"""

from getpatter.telemetry.delivery.limits import (
    BATCH_EVENTS,
    BREAKER_FIRST,
    BREAKER_LONGEST,
    DELAY_FIRST,
    DELAY_GROWTH,
    DELAY_LONGEST,
    MOST_BATCH_EVENTS,
    TRIES_OF_A_BUG,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.telemetry.delivery.batch import Batch, Response

__all__ = [
    "DELIVERED",
    "DROP",
    "REDUCE",
    "RETRY",
    "SPLIT",
    "Schedule",
    "Verdict",
    "is_final",
]

#: The collector has taken the batch, but for `refused`.
DELIVERED = "delivered"
#: To be sent again as it is; if that is given up, for `reason`.
RETRY = "retry"
#: To be sent again in halves.
SPLIT = "split"
#: To be sent again without `refused`.
REDUCE = "reduce"
#: To be dropped, for `reason`.
DROP = "drop"

_TRANSIENT = frozenset({408, 429})
_CLOSED = frozenset({401, 403, 404, 410})
_REFUSED = frozenset({400, 422})


class Verdict:
    """What becomes of a batch: its kind, the indices of its refused events, a loss reason."""

    __slots__ = ("kind", "reason", "refused")

    def __init__(self, kind: str, reason: str = "", refused: "Sequence[int]" = ()) -> None:
        self.kind = kind
        self.reason = reason
        self.refused = refused


def is_final(status: int | None) -> bool:
    """Return True for statuses that a retry will not change: 401, 403, 404, 410 and 3xx."""
    return status is not None and (status in _CLOSED or 300 <= status < 400)


class Schedule:
    """Backoff and circuit breaker of one collector, and how many events a batch for it may hold."""

    __slots__ = ("_breaker", "_failures", "_not_before", "limit")

    def __init__(self) -> None:
        self._not_before = float("-inf")
        self._failures = 0
        self._breaker = BREAKER_FIRST
        self.limit = BATCH_EVENTS

    def wait(self, now: float) -> float:
        """Return for how many seconds the collector must not be asked; 0 if it may be."""
        return max(0.0, self._not_before - now)

    def may_ask(self, now: float) -> bool:
        """Return whether the collector may be asked now."""
        return self.wait(now) == 0

    def answered(  # noqa: PLR0911 - one for each kind of answer
        self, batch: "Batch", answer: "Response", now: float, chance: float
    ) -> Verdict:
        """Take in the answer to `batch`; return what becomes of it.

        `chance` in [0, 1) spreads the retries of many clients (full jitter).
        """
        if answer.max_events is not None and answer.max_events > 0:
            self.limit = min(answer.max_events, MOST_BATCH_EVENTS)
        status = answer.status
        if status is not None and 200 <= status < 300:
            self._breaker, self._failures = BREAKER_FIRST, 0
            return Verdict(DELIVERED, refused=_named(batch, answer))
        if status is None or status in _TRANSIENT or status >= 500:
            self._back_off(now, chance, answer.retry_after or 0.0)
            if answer.reason and batch.faults + 1 >= TRIES_OF_A_BUG:
                return Verdict(DROP, answer.reason)
            return Verdict(RETRY, answer.reason or "network_error")
        if status == 413:
            is_single = len(batch.events) == 1
            return Verdict(DROP, "too_large") if is_single else Verdict(SPLIT)
        if status in _REFUSED:
            refused = _named(batch, answer)
            if 0 < len(refused) < len(batch.events):
                return Verdict(REDUCE, "rejected", refused)
            return Verdict(DROP, "rejected")
        if is_final(status):
            self._not_before = now + self._breaker
            self._breaker = min(2 * self._breaker, BREAKER_LONGEST)
            return Verdict(RETRY, "rejected")
        return Verdict(DROP, "rejected")

    def _back_off(self, now: float, chance: float, least: float) -> None:
        self._failures += 1
        bound = min(DELAY_FIRST * DELAY_GROWTH ** min(self._failures - 1, 32), DELAY_LONGEST)
        self._not_before = now + max(chance * bound, least)


def _named(batch: "Batch", answer: "Response") -> list[int]:
    """Return the indices that the answer names as refused, each once, as far as there are any."""
    return sorted({index for index in answer.refused if 0 <= index < len(batch.events)})
