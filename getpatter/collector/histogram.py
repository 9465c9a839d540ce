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
        counts: defaultdict[int, defaultdict[float, int]] = defaultdict(lambda: defaultdict(int))
        for kept, value, count in rows:
            if kept > 0:
                counts[value][kept] += count
        weights = [
            (value, fsum(n / kept for kept, n in sorted(rates.items())))
            for value, rates in sorted(counts.items())
        ]
        weights = [(value, weight) for value, weight in weights if weight]
        whole = fsum(weight for _, weight in weights)
        self.values = [value for value, _ in weights]
        self.shares = [below / whole for below in accumulate(weight for _, weight in weights)]

    def at(self, p: float) -> int:
        """Return the least value with at least the share `p` at or below it."""
        index = bisect_left(self.shares, p - 1e-12)
        return self.values[min(index, len(self.values) - 1)]
