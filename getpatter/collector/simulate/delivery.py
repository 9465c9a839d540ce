"""Batches on their way: keys, ages, what is lost, what is sent twice, what arrives late."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from getpatter.collector.batch import ReceivedBatch
from getpatter.collector.keys import Key
from getpatter.collector.limits import DAY, HOUR
from getpatter.collector.simulate.world import LOSSES, Chance

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.collector.simulate.client import SimulatedRun
    from getpatter.telemetry.losses import Losses

__all__ = ["SimulatedDelivery"]

_LONGEST = 6.9 * DAY  # in the spool: a client discards a batch after a week


class SimulatedDelivery:
    """Hands batches to `take`; `end` is the last moment at which one arrives, `now` the real one.

    Keys belong to the hour in which they are written, not to the simulated one: so the store keeps
    as many key tables as it takes hours to write.
    """

    def __init__(
        self,
        chance: Chance,
        end: int,
        now: int,
        take: Callable[[ReceivedBatch], object],
        *,
        loses: bool,
    ) -> None:
        self._chance = chance
        self._end = end
        self._hour = now // HOUR
        self._take = take
        self._loses = loses
        #: What became of events: by name, and by (event, reason) what was reported.
        self.delivered: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.reported: Counter[tuple[str, str]] = Counter()
        self.batches = self.twice = self.lost_batches = self.legacy_batches = 0

    def send(
        self, run: SimulatedRun, events: list[dict[str, Any]], closed: float, losses: Losses
    ) -> None:
        """Deliver the events of a closed batch, or lose them."""
        chance = self._chance
        is_legacy = run.install.legacy is not None
        names = [event["event"] for event in events]
        if chance.random() < LOSSES["lost"] and self._loses:
            self.lost_batches += 1
            self.lost.update(names)
            for name in names:
                losses.count(name, "network_error")
            return
        report = {} if is_legacy else losses.take_unreported()
        key = Key(chance.getrandbits(64), chance.getrandbits(64), self._hour, is_legacy)
        delay = 0 if is_legacy else int(self._delay())
        received = min(int(closed) + delay, max(self._end - 1, int(closed)))
        batch = ReceivedBatch(
            key=key,
            received=received,
            age=received - int(closed),
            rate=None if is_legacy else run.rate,
            events=list(enumerate(events)),
            losses=report,
            size=len(events),
        )
        self.delivered.update(names)
        self.reported.update(report)
        self.batches += 1
        self.legacy_batches += is_legacy
        self._take(batch)
        if not is_legacy and chance.random() < LOSSES["sent_twice"]:
            self.twice += 1
            self._take(batch)

    def _delay(self) -> float:
        if self._chance.random() < LOSSES["spooled"]:
            hours = self._chance.expovariate(1 / LOSSES["spooled_hours"])
            return min(_LONGEST, hours * HOUR)
        return self._chance.expovariate(1 / LOSSES["seconds"])
