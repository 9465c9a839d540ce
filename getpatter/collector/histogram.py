"""A weighted histogram of whole numbers: which share is at or below each value. No effects."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from math import fsum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Histogram"]


class Histogram:
    """Rows (kept, value, count): which share is at or below each value."""

    def __init__(self, rows: Iterable[tuple[float, int, int]]) -> None:
        counts: defaultdict[tuple[int, float], int] = defaultdict(int)
        for kept, value, count in rows:
            if kept > 0:
                counts[value, kept] += count
        weights: dict[int, float] = {}
        for (value, kept), count in sorted(counts.items()):  # in one order, so the same digits
            if count:
                weights[value] = weights.get(value, 0.0) + count / kept
        whole = fsum(weights.values())
        self.values = list(weights)
        self.shares = [below / whole for below in accumulate(weights.values())]

    def at(self, p: float) -> int:
        """Return the least value with at least the share `p` at or below it."""
        index = bisect_left(self.shares, p - 1e-12)
        return self.values[min(index, len(self.values) - 1)]
