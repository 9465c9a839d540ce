"""The figures of a sample: as the collector's own module estimates them, and by a reference.

What goes into the collector's module are the integer sums that a store keeps, by group of installs.
The reference knows the installs themselves: it deletes one install at a time and takes its
quantiles from scipy.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from coverage_population import GROUPS, SLOW, TAIL, Sample
from scipy.special import expit, logit
from scipy.stats import beta, t

from getpatter.collector import estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from getpatter.collector.estimate import Estimate, Share

__all__ = ["FIGURES", "error_rate", "estimates", "references"]

FIGURES = ("total", "error rate", "share above", "funnel step", "p95")
_LEVEL = 0.95


class Kept:
    """What has arrived of a sample: every failed call, and the other calls of drawn runs."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.rate = sample.cell.rate
        run_group = sample.group[sample.install]
        self.is_kept = sample.call_error | sample.drawn[sample.call_run]
        self.call_group = run_group[sample.call_run]
        self.run_group = run_group
        # Of one call each: never sampled, or kept with the probability of its run.
        self.is_sampled = ~sample.call_error
        self.installs = len(np.unique(sample.install[sample.call_run[self.is_kept]]))

    def shares(self, hits: NDArray[np.bool_]) -> list[Share]:
        """Return the share rows of calls."""
        rows: list[Share] = []
        for kept, which in ((1.0, ~self.is_sampled), (self.rate, self.is_sampled)):
            chosen = which & self.is_kept
            of = np.bincount(self.call_group[chosen], minlength=GROUPS)
            hit = np.bincount(self.call_group[chosen & hits], minlength=GROUPS)
            rows += [(kept, g, int(hit[g]), int(of[g])) for g in range(GROUPS) if of[g]]
        return rows


def error_rate(sample: Sample, level: float = _LEVEL) -> Estimate:
    """Return the error rate as the collector estimates it."""
    kept = Kept(sample)
    return estimate.ratio(kept.shares(sample.call_error), kept.installs, level)


def estimates(sample: Sample) -> dict[str, Estimate]:
    """Return the figures as the collector estimates them."""
    kept = Kept(sample)
    drawn = sample.drawn
    sampled = (sample.calls - sample.errors)[drawn]
    frame = (kept.rate, len(drawn), int(drawn.sum()), int(sampled.sum()), int((sampled**2).sum()))
    of = np.bincount(kept.run_group[drawn], minlength=GROUPS)
    hits = np.bincount(kept.run_group[drawn & (sample.calls > 0)], minlength=GROUPS)
    steps = [(kept.rate, g, int(hits[g]), int(of[g])) for g in range(GROUPS) if of[g]]
    histogram = [
        row
        for probability, which in ((1.0, ~kept.is_sampled), (kept.rate, kept.is_sampled))
        for row in _histogram(probability, sample.call_ms[which & kept.is_kept])
    ]
    value = estimate.quantile_at(TAIL, histogram)
    below = kept.shares(sample.call_ms <= (value or 0))
    return {
        "total": estimate.total(int(sample.errors.sum()), [frame]),
        "error rate": error_rate(sample),
        "share above": estimate.ratio(kept.shares(sample.call_ms > SLOW), kept.installs),
        "funnel step": estimate.step(steps, sample.drawn_installs),
        "p95": estimate.quantile(TAIL, histogram, below),
    }


def _histogram(kept: float, ms: NDArray[np.int64]) -> list[tuple[float, int, int]]:
    return [(kept, value, count) for value, count in Counter(ms.tolist()).items()]


def references(sample: Sample) -> dict[str, tuple[float, float]]:
    """Return the intervals of the reference."""
    kept = Kept(sample)
    weight = np.where(kept.is_sampled, 1 / kept.rate, 1.0)[kept.is_kept]
    install = sample.install[sample.call_run[kept.is_kept]]
    ms, error = sample.call_ms[kept.is_kept], sample.call_error[kept.is_kept]
    n = sample.cell.installs
    of = np.bincount(install, weight, n)
    reached = np.bincount(sample.install[sample.drawn & (sample.calls > 0)], minlength=n)
    runs = np.bincount(sample.install[sample.drawn], minlength=n)
    order = np.argsort(ms, kind="stable")
    shares = np.cumsum(weight[order]) / weight.sum()
    value = ms[order][np.searchsorted(shares, TAIL - 1e-12)]
    spread = _jackknife(np.bincount(install, weight * (ms <= value), n), of)
    bounds = _korn_graubard(TAIL, spread, len(ms))
    places = np.minimum(np.searchsorted(shares, np.array(bounds)), len(ms) - 1)
    return {
        "total": _total(sample),
        "error rate": _logit(_jackknife(np.bincount(install, weight * error, n), of)),
        "share above": _logit(_jackknife(np.bincount(install, weight * (ms > SLOW), n), of)),
        "funnel step": _steps(_jackknife(reached, runs), int(runs.sum())),
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


def _steps(spread: Spread, runs: int) -> tuple[float, float]:
    return _korn_graubard(spread[0], spread, runs)


def _korn_graubard(share: float, spread: Spread, runs: int) -> tuple[float, float]:
    at, variance, df = spread
    size = at * (1 - at) / variance * (t.ppf(0.975, runs - 1) / t.ppf(0.975, df)) ** 2
    size = min(size, runs)
    return (
        float(beta.ppf(0.025, share * size, size - share * size + 1)),
        float(beta.ppf(0.975, share * size + 1, size - share * size)),
    )


def _total(sample: Sample) -> tuple[float, float]:
    drawn = sample.drawn
    sampled = (sample.calls - sample.errors)[drawn]
    n, whole = len(sampled), len(drawn)
    total = whole * sampled.mean()
    deviation = np.sqrt(whole**2 * (1 - n / whole) * sampled.var(ddof=1) / n)
    factor = np.exp(t.ppf(0.975, n - 1) * deviation / total)
    exact = sample.errors.sum()
    return float(exact + total / factor), float(exact + total * factor)
