"""What `/metrics` shows. Labels are statuses, rules and types of exceptions: no content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from getpatter.collector.commit import Committer
    from getpatter.collector.reserve import Reserve

__all__ = ["Metrics"]


class Metrics:
    """The counters of one process; they start at zero with it."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "patter_collector_requests", "Requests by status.", ["status"], registry=registry
        )
        self.events = Counter("patter_collector_events", "Events taken.", registry=registry)
        self.refused = Counter(
            "patter_collector_refused_events",
            "Events refused, by rule.",
            ["rule"],
            registry=registry,
        )
        self.repeated = Counter(
            "patter_collector_repeated_batches", "Batches whose key was known.", registry=registry
        )
        self.unavailable = Counter(
            "patter_collector_unavailable", "503 by reason.", ["reason"], registry=registry
        )
        self.internal_errors = Counter(
            "patter_collector_internal_errors",
            "Errors of ours, by type.",
            ["type"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "patter_collector_commit_seconds", "How long a group commit takes.", registry=registry
        )
        self._waiting = Gauge(
            "patter_collector_waiting_events", "Events that wait for a commit.", registry=registry
        )
        self._free = Gauge(
            "patter_collector_free_bytes", "Free space of the disk.", registry=registry
        )
        self._reserve = Gauge(
            "patter_collector_reserve_bytes", "How much of it is kept free.", registry=registry
        )

    def text(self, committer: Committer, reserve: Reserve) -> bytes:
        """Return all figures in the format of Prometheus."""
        free, kept = reserve.free()
        self._waiting.set(committer.waiting)
        self._free.set(free)
        self._reserve.set(kept)
        return generate_latest(self._registry)
