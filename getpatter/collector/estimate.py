"""Every figure with its interval: pure functions from integers to `Estimate`, no effects.

Rows are integer sums by (cell, rate, group): a row may come in parts, of days for instance, and in
any order; the figure is the same to the last digit. A group is one of 64 groups of installs.

A *share row* is (kept, group, hits, of): of events or runs that were kept with that probability,
how many there are and how many of them count. Its weight is 1 / kept; at kept = 0 nothing can be
said and the row is left out of both.
"""

from __future__ import annotations

from collections import defaultdict
from math import exp, fsum, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

from getpatter.collector.distributions import beta_quantile, t_quantile
from getpatter.collector.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "FEW_GROUPS",
    "FEW_INSTALLS",
    "Estimate",
    "Framed",
    "Share",
    "Unframed",
    "if_all_failed",
    "is_few",
    "none_seen",
    "quantile",
    "quantile_at",
    "ratio",
    "step",
    "total",
    "weigh",
]

Share = tuple[float, int, int, int]
#: Of runs whose rate is known: rate, runs, drawn among them, and over the drawn ones the sum of
#: their sampled events and of its squares.
Framed = tuple[float, int, int, int, int]
#: Of runs whose rate is not known (legacy), or not constant (mixed): the probability with which
#: their events were kept, the sum of those events by run, and of its squares.
Unframed = tuple[float, int, int]

FEW_INSTALLS = 50  # drawn: below, an interval is rough and a quantile is not shown
FEW_GROUPS = 10.0  # effective
_LEAST_DF = 0.5  # below that there is one group, in effect, and nothing to compare it with


class Estimate(NamedTuple):
    """A figure. None: it is not known.

    `groups` is G*, the effective number of groups (of runs, in a total); `drawn` is how many runs
    or events it rests on.
    """

    estimate: float | None
    lower: float | None
    upper: float | None
    method: str
    groups: float
    drawn: int


_NOTHING = Estimate(None, None, None, "nothing drawn", 0.0, 0)


class _Jackknife(NamedTuple):
    share: float
    variance: float
    groups: float
    drawn: int


def is_few(installs: int, groups: float) -> bool:
    """Return whether too little was drawn for a good interval. The outcome plays no part in it."""
    return installs < FEW_INSTALLS or groups < FEW_GROUPS


def weigh(rows: Iterable[Share]) -> tuple[dict[int, tuple[float, float]], int]:
    """Return group → weighted (hits, of), and how many there are unweighted."""
    counts: defaultdict[int, defaultdict[float, list[int]]]
    counts = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for kept, group, hits, of in rows:
        if kept > 0:
            counts[group][kept][0] += hits
            counts[group][kept][1] += of
    drawn = sum(of for rates in counts.values() for _, of in rates.values())
    weighed = {
        group: (
            fsum(hits / kept for kept, (hits, _) in sorted(rates.items())),
            fsum(of / kept for kept, (_, of) in sorted(rates.items())),
        )
        for group, rates in sorted(counts.items())
        if any(of for _, of in rates.values())
    }
    return weighed, drawn


def _jackknife(rows: Iterable[Share]) -> _Jackknife | None:
    """Delete one group at a time. None without any event."""
    weighed, drawn = weigh(rows)
    hits = fsum(y for y, _ in weighed.values())
    of = fsum(x for _, x in weighed.values())
    if not of:
        return None
    share = hits / of
    count = len(weighed)
    if count == 1:
        return _Jackknife(share, 0.0, 1.0, drawn)
    spread = fsum(((hits - y) / (of - x) - share) ** 2 for y, x in weighed.values())
    groups = of**2 / fsum(x**2 for _, x in weighed.values())
    return _Jackknife(share, spread * (count - 1) / count, groups, drawn)


def none_seen(installs: int, level: float = 0.95) -> float:
    """Return the largest share that agrees with seeing none in so many installs."""
    return 1.0 - float((1.0 - level) ** (1.0 / max(installs, 1)))


def _at_an_end(found: _Jackknife, installs: int, level: float) -> Estimate:
    bound = none_seen(installs, level)
    bounds = (0.0, bound) if found.share < 0.5 else (1.0 - bound, 1.0)
    method = "none seen" if found.share < 0.5 else "all seen"
    return Estimate(float(round(found.share)), *bounds, method, found.groups, found.drawn)


def ratio(rows: Iterable[Share], installs: int, level: float = 0.95) -> Estimate:
    """Return a share of events (error rate, share above a bound), its interval on the logit scale.

    `installs` is how many installs the rows come from.
    """
    found = _jackknife(rows)
    if found is None:
        return _NOTHING
    share, variance, groups, drawn = found
    if not 0.0 < share < 1.0:
        return _at_an_end(found, installs, level)
    if groups - 1 < _LEAST_DF:
        return Estimate(share, 0.0, 1.0, "one group", groups, drawn)
    variance = variance or share * (1 - share) / drawn  # all groups agree: as if independent
    half = t_quantile((1 + level) / 2, groups - 1) * sqrt(variance) / (share * (1 - share))
    middle = log(share / (1 - share))
    lower, upper = (1 / (1 + exp(min(-(middle + d), 700.0))) for d in (-half, half))
    return Estimate(share, lower, upper, "jackknife", groups, drawn)


def _korn_graubard(
    share: float, effective: float, drawn: int, df: float, level: float
) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson for so many runs as these are worth."""
    tail = (1 - level) / 2
    if drawn > 1:
        effective *= (t_quantile(1 - tail, drawn - 1) / t_quantile(1 - tail, df)) ** 2
    effective = min(effective, drawn)
    hits = share * effective
    return (
        beta_quantile(tail, hits, effective - hits + 1),
        beta_quantile(1 - tail, hits + 1, effective - hits),
    )


def if_all_failed(rows: Iterable[Share], lost: int) -> Estimate:
    """Return the share if each of `lost` events had counted: a bound, not a correction."""
    weighed, drawn = weigh(rows)
    hits = fsum(y for y, _ in weighed.values()) + lost
    of = fsum(x for _, x in weighed.values()) + lost
    return Estimate(hits / of, None, None, "bound", 64.0, drawn) if of else _NOTHING


def step(rows: Iterable[Share], installs: int, level: float = 0.95) -> Estimate:
    """Return a share of drawn runs or of installs, with the interval of Korn and Graubard.

    With one rate it is the plain share of those that were drawn.
    """
    found = _jackknife(rows)
    if found is None:
        return _NOTHING
    share, variance, groups, drawn = found
    if not 0.0 < share < 1.0:
        return _at_an_end(found, installs, level)
    if groups - 1 < _LEAST_DF:
        return Estimate(share, 0.0, 1.0, "one group", groups, drawn)
    effective = share * (1 - share) / variance if variance else drawn
    bounds = _korn_graubard(share, effective, drawn, groups - 1, level)
    return Estimate(share, *bounds, "korn-graubard", groups, drawn)


def _histogram(rows: Histogram | Iterable[tuple[float, int, int]]) -> Histogram:
    return rows if isinstance(rows, Histogram) else Histogram(rows)


def quantile_at(p: float, histogram: Histogram | Iterable[tuple[float, int, int]]) -> int | None:
    """Return the least value with at least the share `p` at or below it; None of nothing."""
    found = _histogram(histogram)
    return found.at(p) if found.values else None


def quantile(
    p: float,
    histogram: Histogram | Iterable[tuple[float, int, int]],
    below: Iterable[Share],
    level: float = 0.95,
) -> Estimate:
    """Return the `p` quantile with Woodruff's interval: that of the share below, mapped back.

    `below` are the share rows of the events at or below `quantile_at(p, histogram)`.
    """
    shape = _histogram(histogram)
    found = _jackknife(below)
    if not shape.values or found is None:
        return _NOTHING
    share, variance, groups, drawn = found
    value = shape.at(p)
    if groups - 1 < _LEAST_DF:
        return Estimate(value, None, None, "one group", groups, drawn)
    # Where the quantile is the largest value, the groups say nothing of how far the share varies.
    effective = share * (1 - share) / variance if variance else groups
    lower, upper = _korn_graubard(p, effective, drawn, groups - 1, level)
    return Estimate(value, shape.at(lower), shape.at(upper), "woodruff", groups, drawn)


def total(
    exact: int,
    framed: Iterable[Framed],
    unframed: Iterable[Unframed] = (),
    level: float = 0.95,
) -> Estimate:
    """Return how many events there were: `exact` that are never sampled, and those that are.

    Hájek on the frame of each rate, Horvitz and Thompson without a frame; clusters are runs. The
    interval is on the log scale, and never below what has arrived.
    """
    strata: defaultdict[float, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for rate, *sums in framed:
        if rate > 0:  # at rate 0 nothing is known
            strata[rate] = [a + b for a, b in zip(strata[rate], sums, strict=True)]
    loose: defaultdict[float, list[int]] = defaultdict(lambda: [0, 0])
    for kept, *pair in unframed:
        loose[kept] = [a + b for a, b in zip(loose[kept], pair, strict=True)]
    parts = [_framed(rate, *sums) for rate, sums in sorted(strata.items())]
    parts += [_unframed(kept, *pair) for kept, pair in sorted(loose.items())]
    arrived = exact + sum(s[2] for s in strata.values()) + sum(p[0] for p in loose.values())
    drawn = sum(s[1] for s in strata.values())
    sampled = fsum(part.total for part in parts)
    deviation = sqrt(fsum(part.variance for part in parts))
    squares = fsum(part.squares for part in parts)
    groups = sampled**2 / squares if squares else 0.0
    method = "hajek" if strata else "horvitz-thompson"
    if all(part.is_whole for part in parts):
        counted = float(arrived)
        return Estimate(counted, counted, counted, "counted", groups, drawn)
    if not sampled or groups - 1 < _LEAST_DF:
        return Estimate(exact + sampled, arrived, None, method, groups, drawn)
    factor = exp(min(t_quantile((1 + level) / 2, groups - 1) * deviation / sampled, 700.0))
    lower, upper = max(exact + sampled / factor, arrived), exact + sampled * factor
    return Estimate(exact + sampled, lower, upper, method, groups, drawn)


class _Part(NamedTuple):
    total: float
    variance: float
    squares: float
    is_whole: bool


def _framed(rate: float, runs: int, drawn: int, events: int, squares: int) -> _Part:
    if drawn == runs:
        return _Part(events, 0.0, squares, is_whole=True)
    if drawn < 2:  # no variance can be had of them: as if there were no frame
        return _unframed(rate, events, squares)
    spread = (squares - events**2 / drawn) / (drawn - 1)
    weight = runs / drawn
    variance = runs**2 * (1 - drawn / runs) * spread / drawn
    return _Part(weight * events, variance, weight**2 * squares, is_whole=False)


def _unframed(kept: float, events: int, squares: int) -> _Part:
    return _Part(
        events / kept, (1 - kept) * squares / kept**2, squares / kept**2, is_whole=kept >= 1
    )
