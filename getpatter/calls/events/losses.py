"""Losses of diagnostics: how often, where and why; each is reported once. Counting takes no lock.

Who reads (one thread, the hub's) subtracts what it has reported, so that what is counted meanwhile
is said by the next report.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REASONS", "EventLosses"]

#: Why an event did not get to a sink: the first five on its way in, the others at one sink (`exit`:
#: the program ended before). And
#: `bad_value`: a value that is not valid, as a stage that does not exist.
REASONS = (
    "queue_full",
    "rate_limit",
    "type_limit",
    "bad_type",
    "closed",
    "sink_full",
    "sink_failed",
    "exit",
    "internal_error",
    "bad_value",
)


class _LossCounter:
    """A number that anyone may raise and read, anywhere: each is one step of the interpreter."""

    __slots__ = ("_count", "add")

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add: Callable[[], int] = self._count.__next__

    def value(self) -> int:
        return int(repr(self._count)[len("count(") : -1])


class EventLosses:
    """Counts losses by (where, reason). `count` may run anywhere, also within itself."""

    __slots__ = ("_counters", "_reading", "_reported")

    def __init__(self) -> None:
        self._reading = threading.RLock()
        self._counters: dict[tuple[str, str], _LossCounter] = {}
        self._reported: dict[tuple[str, str], int] = {}

    def count(self, where: str, reason: str, times: int = 1) -> None:
        """Count `times` losses; 0 leaves no trace."""
        if times < 1:
            return
        counter = self._counters.get((where, reason))
        if counter is None:
            counter = self._counters.setdefault((where, reason), _LossCounter())
        for _ in range(times):
            counter.add()

    def totals(self) -> dict[str, dict[str, int]]:
        """Return where → reason → how often, since the start."""
        found: dict[str, dict[str, int]] = {}
        with self._reading:
            for (where, reason), counter in sorted(self._counters.copy().items()):
                found.setdefault(where, {})[reason] = counter.value()
        return found

    def take_unreported(self) -> dict[str, dict[str, int]]:
        """Return what no report has said yet; from now on it counts as said."""
        fresh: dict[str, dict[str, int]] = {}
        with self._reading:
            for where, reasons in self.totals().items():
                for reason, total in reasons.items():
                    times = total - self._reported.get((where, reason), 0)
                    if times > 0:
                        self._reported[where, reason] = total
                        fresh.setdefault(where, {})[reason] = times
        return fresh
