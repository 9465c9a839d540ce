"""Which idempotency keys may have been seen in the recent hours: eight bytes each, in memory.

It answers "certainly new" or "look into the table of that hour"; the table decides. A batch
belongs to the hour in which it was closed, so a retry falls into the same hour, or, since the ages
that two attempts state differ a little, into the one beside it. Owned by the thread that commits.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import pairwise

from getpatter.collector.limits import HOUR, RECENT_HOURS

__all__ = ["Key", "RecentKeys"]

# Sorted pieces of an hour: inserting moves what comes after it in one of them, a few microseconds
# at three million keys an hour.
_PIECES = 256


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key: 128 bits in two halves, and the hour in which its batch was closed."""

    high: int
    low: int
    hour: int
    is_legacy: bool = False

    @property
    def hours(self) -> tuple[int, int, int]:
        """The hours in which the first attempt may stand."""
        return self.hour - 1, self.hour, self.hour + 1


class RecentKeys:
    """The first halves of the keys of the recent hours."""

    def __init__(self, now: int) -> None:
        self._hours: dict[int, list[array[int]]] = {}
        #: The oldest hour that is here. It never falls, though a clock may be set back.
        self.oldest = now // HOUR - RECENT_HOURS

    def __len__(self) -> int:
        return sum(len(piece) for pieces in self._hours.values() for piece in pieces)

    def load(self, hour: int, halves: array[int]) -> None:
        """Take the keys of an hour from its table, in ascending order."""
        bounds = [bisect_left(halves, piece << 56) for piece in range(_PIECES)] + [len(halves)]
        self._hours[hour] = [halves[a:b] for a, b in pairwise(bounds)]

    def add(self, key: Key) -> None:
        """Take a key that has been committed; one of an older hour stands in its table only."""
        if key.hour < self.oldest:
            return
        insort(self._pieces(key.hour)[key.high >> 56], key.high)

    def tables(self, key: Key) -> tuple[int, ...]:
        """Return the hours whose tables have to be asked whether they hold `key`."""
        return tuple(
            hour for hour in key.hours if hour < self.oldest or self._may_hold(hour, key.high)
        )

    def forget(self, now: int) -> None:
        """Drop the hours that are no longer recent."""
        self.oldest = max(self.oldest, now // HOUR - RECENT_HOURS)
        for hour in [hour for hour in self._hours if hour < self.oldest]:
            del self._hours[hour]

    def _pieces(self, hour: int) -> list[array[int]]:
        pieces = self._hours.get(hour)
        if pieces is None:
            pieces = self._hours[hour] = [array("Q") for _ in range(_PIECES)]
        return pieces

    def _may_hold(self, hour: int, half: int) -> bool:
        pieces = self._hours.get(hour)
        if pieces is None:
            return False
        piece = pieces[half >> 56]
        at = bisect_left(piece, half)
        return at < len(piece) and piece[at] == half
