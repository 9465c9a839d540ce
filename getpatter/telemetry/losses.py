"""Losses: how many events were lost, by event and reason.

Counting never waits and may be interrupted anywhere (a signal handler, a finaliser, another
thread), so it takes no lock. It never keeps a name that is not one of ours.
"""

import itertools
import threading

from getpatter.telemetry._tables import EVENT_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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

#: Reasons that only this machine is told: of such a run nothing leaves, no report either.
LOCAL_REASONS = ("notice_not_shown",)

# What stands for a name that is none of ours: a name could say anything, so it is not kept.
UNKNOWN_EVENT = "unknown"

_KNOWN = frozenset(EVENT_NAMES)


class _Counter:
    """A number that many may raise at once and one reads.

    `next` on `itertools.count` is one step of the interpreter: nothing can come between. Reading
    takes a step too, so the reader, who alone does it, counts its reads.
    """

    __slots__ = ("_reads", "add")

    def __init__(self) -> None:
        self.add: Callable[[], int] = itertools.count().__next__
        self._reads = 0

    def value(self) -> int:
        self._reads += 1
        return self.add() - self._reads + 1


class Losses:
    """Counts losses; hands each loss to one report.

    `count` may be called from anywhere. Who reads holds `_reading`, which `count` never does.
    """

    __slots__ = ("_counters", "_reading", "_reported")

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._counters: dict[tuple[str, str], _Counter] = {}
        self._reported: dict[tuple[str, str], int] = {}

    def count(self, event: object, reason: str, times: int = 1) -> None:
        """Count `times` losses of `event`; a name that is not ours counts as `unknown`."""
        name = event if type(event) is str and event in _KNOWN else UNKNOWN_EVENT
        key = (name, reason)
        counter = self._counters.get(key)
        if counter is None:
            # setdefault is one step: two that arrive together get the same counter.
            counter = self._counters.setdefault(key, _Counter())
        for _ in range(times):
            counter.add()

    def totals(self) -> dict[tuple[str, str], int]:
        """Return how often each (event, reason) was counted since the start."""
        with self._reading:
            return self._totals()

    def _totals(self) -> dict[tuple[str, str], int]:
        return {key: counter.value() for key, counter in sorted(self._counters.copy().items())}

    def take_unreported(self) -> dict[tuple[str, str], int]:
        """Return what no report has said yet; from now on it counts as said."""
        with self._reading:
            totals = self._totals()
            fresh = {
                key: total - self._reported.get(key, 0)
                for key, total in totals.items()
                if key[1] not in LOCAL_REASONS and total > self._reported.get(key, 0)
            }
            self._reported.update(totals)
        return fresh

    def give_back(self, report: "dict[tuple[str, str], int]") -> None:
        """Return a report that reached nobody: the next one says it again."""
        with self._reading:
            for key, times in report.items():
                self._reported[key] = self._reported.get(key, 0) - times


def header(report: "dict[tuple[str, str], int]") -> str:
    """Return `report` as the value of the `Patter-Client-Report` header."""
    return ", ".join(f"{event}:{reason}={times}" for (event, reason), times in report.items())
