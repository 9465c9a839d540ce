"""Coalescing: what the samples between two flushes amount to, per direction and track.

Sums of what was counted, maxima of delays, the first start and the last end, and the mean, the
lowest and the median of the scores. Does no I/O; a `Window` has one owner.
"""

from __future__ import annotations

from math import fsum
from statistics import median
from typing import TYPE_CHECKING

from getpatter.calls.stats.sample import DIRECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from getpatter.calls.stats.track import Delta

    # Direction, whether it is a data channel, id.
    Key = tuple[str, bool, str]

__all__ = ["Window", "in_order", "streams"]


class Window:
    """What one track amounts to since the last flush."""

    __slots__ = (
        "_counts",
        "_end",
        "_jitter",
        "_rtt",
        "_samples",
        "_scores",
        "_start",
    )

    def __init__(self) -> None:
        self._samples = 0
        self._counts: dict[str, float] = {}
        self._start: float | None = None
        self._end: float | None = None
        self._rtt: float | None = None
        self._jitter: float | None = None
        self._scores: list[float] = []

    def add(self, delta: Delta) -> None:
        """Add what one sample adds."""
        self._samples += 1
        counts = self._counts
        for name, count in delta.counts.items():
            counts[name] = counts.get(name, 0) + count
        if self._start is None or delta.start < self._start:
            self._start = delta.start
        if self._end is None or delta.end > self._end:
            self._end = delta.end
        self._rtt = _larger(self._rtt, delta.values.get("rtt"))
        self._jitter = _larger(self._jitter, delta.values.get("jitter"))
        score = delta.values.get("score")
        if score:
            self._scores.append(score)  # type: ignore[arg-type] # a number: it was not refused

    def summary(self) -> dict[str, object]:
        """Return what there is to say; what was never given is absent."""
        said: dict[str, object] = {"samples": self._samples, **self._counts}
        said["start"], said["end"] = self._start, self._end
        if self._rtt is not None:
            said["rtt_max"] = self._rtt
        if self._jitter is not None:
            said["jitter_max"] = self._jitter
        if self._scores:
            said["score_mean"] = fsum(self._scores) / len(self._scores)
            said["score_min"] = min(self._scores)
            said["score_median"] = median(self._scores)
        return said


def _larger(one: float | None, other: object) -> float | None:
    if other is None:
        return one
    return other if one is None or other > one else one  # type: ignore[operator,return-value]


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Return keys up before down, tracks before data channels, each by its id."""
    return sorted(keys, key=lambda key: (DIRECTIONS.index(key[0]), *key[1:]))


def streams(windows: dict[Key, Window]) -> list[dict[str, object]]:
    """Return the summaries, in order."""
    return [
        {
            "track": key[2],
            "direction": key[0],
            **({"media_type": "data"} if key[1] else {}),
            **windows[key].summary(),
        }
        for key in in_order(windows)
    ]
