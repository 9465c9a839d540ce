"""The figures of a sample: as the collector's own module estimates them, and by a reference.

What goes into the collector's module are the integer sums that a store keeps, by group of installs.
The reference knows the installs themselves: it deletes one install at a time and takes its
quantiles from scipy.
"""

from __future__ import annotations

from collections import Counter
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from coverage_population import GROUPS, SLOW, TAIL, Sample
from scipy.special import expit, logit
from scipy.stats import beta, t

from getpatter.collector import estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from getpatter.collector.estimate import Estimate, Framed, Share

__all__ = ["FIGURES", "error_rate", "estimates", "references"]

FIGURES = ("total", "error rate", "share above", "funnel step", "p95")
_LEVEL = 0.95


class Kept:
    """What has arrived of a sample: every failed call, and the other calls of drawn runs."""

    def __init__(self, sample: Sample) -> None:
        which = sample.call_error | sample.drawn[sample.call_run]
        self.run = sample.call_run[which]
        self.install = sample.install[self.run]
        self.group = sample.group[self.install]
        self.error, self.ms = sample.call_error[which], sample.call_ms[which]
        #: With which probability each was kept: a failed one always.
        self.probability = np.where(self.error, 1.0, sample.rate[self.run])
        self.installs = len(np.unique(self.install))

    def shares(self, hits: NDArray[np.bool_]) -> list[Share]:
        """Return the share rows of calls."""
        return _shares(self.probability, self.group, hits)


def _shares(
    probability: NDArray[np.float64], group: NDArray[np.int64], hits: NDArray[np.bool_]
) -> list[Share]:
    rows: list[Share] = []
    for kept in np.unique(probability).tolist():
        chosen = probability == kept
        of = np.bincount(group[chosen], minlength=GROUPS)
        hit = np.bincount(group[chosen & hits], minlength=GROUPS)
        rows += [(kept, g, int(hit[g]), int(of[g])) for g in range(GROUPS) if of[g]]
    return rows


def _frame(sample: Sample) -> list[Framed]:
    """Return what is known of the runs of each rate."""
    rows: list[Framed] = []
    for rate in np.unique(sample.rate).tolist():
        runs = sample.rate == rate
        sampled = (sample.calls - sample.errors)[runs & sample.drawn]
        rows.append(
            (rate, int(runs.sum()), len(sampled), int(sampled.sum()), int((sampled**2).sum()))
        )
    return rows


def error_rate(sample: Sample, level: float = _LEVEL) -> Estimate:
    """Return the error rate as the collector estimates it."""
    kept = Kept(sample)
    return estimate.ratio(kept.shares(kept.error), kept.installs, level)


def estimates(sample: Sample) -> dict[str, Estimate]:
    """Return the figures as the collector estimates them."""
    kept, drawn = Kept(sample), sample.drawn
    steps = _shares(
        sample.rate[drawn], sample.group[sample.install[drawn]], sample.calls[drawn] > 0
    )
    counts = Counter(zip(kept.probability.tolist(), kept.ms.tolist(), strict=True))
    histogram = [(probability, ms, n) for (probability, ms), n in counts.items()]
    value = estimate.quantile_at(TAIL, histogram)
    below = kept.shares(kept.ms <= (value or 0))
    return {
        "total": estimate.total(int(sample.errors.sum()), _frame(sample)),
        "error rate": estimate.ratio(kept.shares(kept.error), kept.installs),
        "share above": estimate.ratio(kept.shares(kept.ms > SLOW), kept.installs),
        "funnel step": estimate.step(steps, sample.drawn_installs),
        "p95": estimate.quantile(TAIL, histogram, below),
    }


def references(sample: Sample) -> dict[str, tuple[float, float]]:
    """Return the intervals of the reference."""
    kept = Kept(sample)
    n, weight, ms = sample.cell.installs, 1 / kept.probability, kept.ms

    def by_install(weights: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(kept.install, weights, n)

    of = by_install(weight)
    drawn, run_weight = sample.drawn, 1 / sample.rate
    runs = np.bincount(sample.install, drawn * run_weight, n)
    reached = np.bincount(sample.install, drawn * run_weight * (sample.calls > 0), n)
    order = np.argsort(ms, kind="stable")
    shares = np.cumsum(weight[order]) / weight.sum()
    value = ms[order][np.searchsorted(shares, TAIL - 1e-12)]
    spread = _jackknife(by_install(weight * (ms <= value)), of)
    bounds = _korn_graubard(TAIL, spread, len(ms))
    places = np.minimum(np.searchsorted(shares, np.array(bounds)), len(ms) - 1)
    step = _jackknife(reached, runs)
    return {
        "total": _total(sample),
        "error rate": _logit(_jackknife(by_install(weight * kept.error), of)),
        "share above": _logit(_jackknife(by_install(weight * (ms > SLOW)), of)),
        "funnel step": _korn_graubard(step[0], step, int(drawn.sum())),
        "p95": (float(ms[order][places[0]]), float(ms[order][places[1]])),
    }


Spread = tuple[float, float, float]  # share, variance, degrees of freedom


def _jackknife(hits: NDArray[Any], of: NDArray[Any]) -> Spread:
    there = of > 0
    hits, of = hits[there], of[there]
    share, count = hits.sum() / of.sum(), len(of)
    without = (hits.sum() - hits) / (of.sum() - of)
    effective = of.sum() ** 2 / (of**2).sum()
    return share, ((without - share) ** 2).sum() * (count - 1) / count, effective - 1


def _logit(spread: Spread) -> tuple[float, float]:
    share, variance, df = spread
    half = t.ppf(0.975, df) * np.sqrt(variance) / (share * (1 - share))
    return float(expit(logit(share) - half)), float(expit(logit(share) + half))


def _korn_graubard(share: float, spread: Spread, runs: int) -> tuple[float, float]:
    at, variance, df = spread
    if not variance:
        return nan, nan  # all installs agree: this reference has no interval
    size = at * (1 - at) / variance * (t.ppf(0.975, runs - 1) / t.ppf(0.975, df)) ** 2
    size = min(size, runs)
    return (
        float(beta.ppf(0.025, share * size, size - share * size + 1)),
        float(beta.ppf(0.975, share * size + 1, size - share * size)),
    )


def _total(sample: Sample) -> tuple[float, float]:
    """Return the textbook's interval of a stratified total."""
    total = variance = 0.0
    least = len(sample.drawn)
    for rate in np.unique(sample.rate):
        runs = sample.rate == rate
        sampled = (sample.calls - sample.errors)[runs & sample.drawn]
        n, whole = len(sampled), int(runs.sum())
        total += whole * sampled.mean()
        variance += whole**2 * (1 - n / whole) * sampled.var(ddof=1) / n
        least = min(least, n)
    factor = np.exp(t.ppf(0.975, least - 1) * np.sqrt(variance) / total)
    exact = sample.errors.sum()
    return float(exact + total / factor), float(exact + total * factor)
