"""Runs the simulation: the runs of all installs in the order of time."""

from __future__ import annotations

import heapq
import itertools
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from getpatter.collector.limits import DAY
from getpatter.collector.simulate import story
from getpatter.collector.simulate.client import Client, SimulatedRun
from getpatter.collector.simulate.delivery import SimulatedDelivery
from getpatter.collector.simulate.figures import figures
from getpatter.collector.simulate.population import Install, draw_install, hex_id
from getpatter.collector.simulate.truth import Truth
from getpatter.collector.simulate.world import Chance, parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.collector.batch import ReceivedBatch

__all__ = ["Simulation"]


class Simulation:
    """`installs` installs for `days` days up to `end`, which is midnight or now, in seconds."""

    def __init__(
        self,
        installs: int,
        days: int,
        seed: int,
        *,
        end: int,
        now: int,
        take: Callable[[ReceivedBatch], object],
        loses: bool = True,
    ) -> None:
        self._chance = Chance(seed)
        self._begin, self._end, self._days = end - days * DAY, end, days
        self._seed = seed
        self.truth = Truth()
        self.delivery = SimulatedDelivery(self._chance, end, now, take, loses=loses)
        self._clients: dict[int, Client] = {}
        self._due: list[tuple[float, int, Install]] = []
        for index in range(installs):
            install = draw_install(self._chance, index, self._begin, end)
            first: float | None = install.born
            if install.born < self._begin:
                first = story.next_run(self._chance, install, self._begin)
            if first is not None:
                self._plan(install, first)
        heapq.heapify(self._due)

    def _plan(self, install: Install, moment: float) -> None:
        if moment < self._end:
            heapq.heappush(self._due, (moment, install.index, install))

    def run(self, say: Callable[[float, int], None]) -> None:
        """Simulate all runs; `say` gets the share of time that is over, and the count of events."""
        for count in itertools.count(1):
            if not self._due:
                return
            begin, _, install = heapq.heappop(self._due)
            install.take_release(begin)
            client = self._clients.get(install.index)
            if client is None:
                client = self._clients[install.index] = Client(install, self.truth, self.delivery)
            run = SimulatedRun(client, hex_id(self._chance), begin)
            story.tell(self._chance, install, run, self._end)
            run.end()
            moment = story.next_run(self._chance, install, run.now)
            if moment is not None:
                self._plan(install, moment)
            else:
                del self._clients[install.index]
            if count % 500 == 0:
                say((begin - self._begin) / (self._end - self._begin), self.sent)

    @property
    def sent(self) -> int:
        """How many events have been delivered."""
        return self.delivery.delivered.total()

    def document(self) -> dict[str, Any]:
        """Return the truth file."""
        delivery = self.delivery
        return {
            "about": "what happened in a simulation, before anything was sampled or lost",
            "seed": self._seed,
            "days": self._days,
            "first_day": _day(self._begin),
            "last_day": _day(self._end - 1),
            "parameters": parameters(),
            "delivery": {
                "events": dict(sorted(delivery.delivered.items())),
                "lost": dict(sorted(delivery.lost.items())),
                "reported": {
                    f"{event}:{reason}": n
                    for (event, reason), n in sorted(delivery.reported.items())
                },
                "batches": delivery.batches,
                "legacy_batches": delivery.legacy_batches,
                "lost_batches": delivery.lost_batches,
                "sent_twice": delivery.twice,
            },
            "truth": figures(self.truth),
        }


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).date().isoformat()
