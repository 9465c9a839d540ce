"""Losses: how many events were lost, by event and reason.

Counting never waits and may be interrupted anywhere (a signal handler, a finaliser, another
thread), so it takes no lock. It never keeps a name that is not one of ours.
"""

from getpatter.telemetry._counter import AtomicCounter
from getpatter.telemetry._tables import EVENT_NAMES

__all__ = ["LOCAL_REASONS", "REASONS", "UNKNOWN_EVENT", "Losses"]

REASONS = (
    "queue_full",
    "rate_limit",
    "sampled_out",
    "bad_dimension",
    "unknown_event",
    "opted_out",
    "endpoint_invalid",
    "network_error",
    "rejected",
    "too_large",
    "spool_full",
    "expired",
    "shutdown",
    "internal_error",
)

#: Reasons that are counted on this machine only: such a run sends nothing, no report either.
LOCAL_REASONS = ("notice_not_shown",)

# What stands for a name that is none of ours: a name could say anything, so it is not kept.
UNKNOWN_EVENT = "unknown"

_KNOWN = frozenset(EVENT_NAMES)


class Losses:
    """Counts losses; hands each loss to one report.

    `count` and `totals` may be called from anywhere, also within themselves; reports are the
    business of one thread at a time, which the worker's own lock sees to.
    """

    __slots__ = ("_adopted", "_counters", "_reported")

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str], AtomicCounter] = {}
        self._reported: dict[tuple[str, str], int] = {}
        # Those of them that are of other runs, whose batches this one has adopted.
        self._adopted: dict[tuple[str, str], int] = {}

    def count(self, event: object, reason: str, times: int = 1, *, is_own: bool = True) -> None:
        """Count `times` losses of `event`; a name that is not ours counts as `unknown`.

        `is_own`: it was recorded in this run. Only the worker counts one that was not.
        """
        name = event if type(event) is str and event in _KNOWN else UNKNOWN_EVENT
        key = (name, reason)
        counter = self._counters.get(key)
        if counter is None:
            # setdefault is one step: two that arrive together get the same counter.
            counter = self._counters.setdefault(key, AtomicCounter())
        for _ in range(times):
            counter.add()
        if not is_own:
            self._adopted[key] = self._adopted.get(key, 0) + times

    def totals(self) -> dict[tuple[str, str], int]:
        """Return how often each (event, reason) was counted since the start."""
        return {key: counter.value() for key, counter in sorted(self._counters.copy().items())}

    def own_totals(self) -> dict[tuple[str, str], int]:
        """Return the same without what was lost of the batches of other runs."""
        totals, adopted = self.totals(), self._adopted.copy()
        own = {key: total - adopted.get(key, 0) for key, total in totals.items()}
        return {key: total for key, total in own.items() if total}

    def take_unreported(self) -> dict[tuple[str, str], int]:
        """Return what no report has had yet; from now on it counts as reported."""
        totals = self.totals()
        fresh = {
            key: total - self._reported.get(key, 0)
            for key, total in totals.items()
            if key[1] not in LOCAL_REASONS and total > self._reported.get(key, 0)
        }
        self._reported.update(totals)
        return fresh

    def give_back(self, report: "dict[tuple[str, str], int]") -> None:
        """Return a report that reached nobody: the next one says it again."""
        for key, times in report.items():
            # It may be of another run, and name what was never lost here.
            self._counters.setdefault(key, AtomicCounter())
            self._reported[key] = self._reported.get(key, 0) - times


def header(report: "dict[tuple[str, str], int]") -> str:
    """Return `report` as the value of the `Patter-Client-Report` header."""
    return ", ".join(f"{event}:{reason}={times}" for (event, reason), times in report.items())
