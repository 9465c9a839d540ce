"""Compares two figures: their difference with its interval, and the verdict on it. Pure."""

from __future__ import annotations

from math import ceil, fsum, sqrt
from typing import TYPE_CHECKING, NamedTuple

from getpatter.collector.distributions import t_quantile
from getpatter.collector.estimate import Estimate, none_seen, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from getpatter.collector.estimate import Share

__all__ = [
    "BETTER",
    "CANNOT_TELL",
    "NOT_WORSE",
    "WORSE",
    "ReleaseVerdict",
    "difference",
    "paired",
    "verdict",
]

BETTER, WORSE, NOT_WORSE, CANNOT_TELL = "better", "worse", "not worse", "cannot tell yet"


class ReleaseVerdict(NamedTuple):
    """A verdict; `more` is about how many more events or runs it takes; None: not known."""

    word: str
    more: int | None = None


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return `one` minus `other`, of which neither says anything about the other: MOVER."""
    groups, drawn = min(one.groups, other.groups), min(one.drawn, other.drawn)
    if one.estimate is None or other.estimate is None:
        return Estimate(None, None, None, "nothing drawn", groups, drawn)
    middle = one.estimate - other.estimate
    if one.lower is None or one.upper is None or other.lower is None or other.upper is None:
        return Estimate(middle, None, None, "mover", groups, drawn)
    down = sqrt((one.estimate - one.lower) ** 2 + (other.upper - other.estimate) ** 2)
    up = sqrt((one.upper - one.estimate) ** 2 + (other.estimate - other.lower) ** 2)
    return Estimate(middle, middle - down, middle + up, "mover", groups, drawn)


def paired(
    one: Iterable[Share], other: Iterable[Share], installs: int, level: float = 0.95
) -> Estimate:
    """Return the difference of two shares over the same installs: a group leaves both at once."""
    (ones, drawn), (others, others_drawn) = weigh(one), weigh(other)
    drawn = min(drawn, others_drawn)
    nothing = (0.0, 0.0)
    pairs = [
        (*ones.get(group, nothing), *others.get(group, nothing))
        for group in sorted({*ones, *others})
    ]
    sums = [fsum(column) for column in zip(*pairs, strict=True)]
    if not sums or not sums[1] or not sums[3]:
        return Estimate(None, None, None, "nothing drawn", 0.0, drawn)
    middle = sums[0] / sums[1] - sums[2] / sums[3]
    groups = min(
        sums[1] ** 2 / fsum(p[1] ** 2 for p in pairs), sums[3] ** 2 / fsum(p[3] ** 2 for p in pairs)
    )
    if not sums[0] and not sums[2]:
        bound = none_seen(installs, level)
        return Estimate(0.0, -bound, bound, "none seen", groups, drawn)
    without = [[whole - part for whole, part in zip(sums, pair, strict=True)] for pair in pairs]
    if groups < 1.5 or not all(rest[1] and rest[3] for rest in without):
        return Estimate(middle, -1.0, 1.0, "one group", groups, drawn)
    count = len(pairs)
    spread = fsum((a / b - c / d - middle) ** 2 for a, b, c, d in without) * (count - 1) / count
    half = t_quantile((1 + level) / 2, groups - 1) * sqrt(spread)
    return Estimate(middle, middle - half, middle + half, "paired", groups, drawn)


def verdict(worsening: Estimate, matters: float, *, is_few: bool) -> ReleaseVerdict:
    """Judge by how much it got worse; less than `matters` is no matter.

    Too little drawn is never a verdict, whatever the figures look like.
    """
    middle, lower, upper = worsening.estimate, worsening.lower, worsening.upper
    if middle is None or lower is None or upper is None:
        return ReleaseVerdict(CANNOT_TELL)
    if not is_few:
        if upper < 0:
            return ReleaseVerdict(BETTER)
        if upper < matters:
            return ReleaseVerdict(NOT_WORSE)
        if lower > 0:
            return ReleaseVerdict(WORSE)
    # An interval narrows with the root of what it rests on. It says "worse" once it ends above
    # zero, and "not worse" once it ends below what matters: whichever comes first.
    factors = []
    if middle > 0:
        factors.append((middle - lower) / middle)
    if middle < matters:
        factors.append((upper - middle) / (matters - middle))
    more = ceil(worsening.drawn * (min(factors) ** 2 - 1))
    return ReleaseVerdict(CANNOT_TELL, more if more > 0 else None)
