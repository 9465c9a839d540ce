"""Losses of diagnostics: how often, where and why; each is reported once. Nobody waits.

Counting and reading take no lock: a signal handler may interrupt either, and wait for the hub's
thread, which does both. A report subtracts what was reported, so that what is counted meanwhile is
in the next one.
"""

from __future__ import annotations

import threading

from getpatter.telemetry._counter import AtomicCounter

__all__ = ["REASONS", "EventLosses"]

#: Why an event did not get to a sink: the first five on its way in, the others at one sink (`exit`:
#: the program ended before). And `bad_value`: an invalid value, as a stage that does not exist.
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


class EventLosses:
    """Counts losses by (where, reason). `count` may run anywhere, also within itself."""

    __slots__ = ("_counters", "_reported", "_reporting")

    def __init__(self) -> None:
        # Taken without waiting while a report is made.
        self._reporting = threading.Lock()
        self._counters: dict[tuple[str, str], AtomicCounter] = {}
        self._reported: dict[tuple[str, str], int] = {}

    def count(self, where: str, reason: str, times: int = 1) -> None:
        """Count `times` losses; 0 leaves no trace."""
        if times < 1:
            return
        counter = self._counters.get((where, reason))
        if counter is None:
            counter = self._counters.setdefault((where, reason), AtomicCounter())
        for _ in range(times):
            counter.add()

    def totals(self) -> dict[str, dict[str, int]]:
        """Return where → reason → how often, since the start."""
        found: dict[str, dict[str, int]] = {}
        for (where, reason), counter in sorted(self._counters.copy().items()):
            found.setdefault(where, {})[reason] = counter.value()
        return found

    def take_unreported(self) -> dict[str, dict[str, int]]:
        """Return what no report has had yet; from now on it counts as reported.

        Nothing where another report is just being made: that, or the next one, says it.
        """
        fresh: dict[str, dict[str, int]] = {}
        if not self._reporting.acquire(blocking=False):
            return fresh
        try:
            for where, reasons in self.totals().items():
                for reason, total in reasons.items():
                    times = total - self._reported.get((where, reason), 0)
                    if times > 0:
                        self._reported[where, reason] = total
                        fresh.setdefault(where, {})[reason] = times
        finally:
            self._reporting.release()
        return fresh
