"""Draws installs, runs and calls whose true figures are known exactly, a sample after the other.

An install's runs share its faults: it has an error rate, a share of runs that reach a call, and a
latency of its own. None of the three depends on how often it runs, so that the truth is the mean of
what was drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cell", "Sample", "Truth", "draw"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GROUPS = 64

_RUNS_MEDIAN, _RUNS_SIGMA, _MOST_RUNS = 4.0, 1.0, 500
_REACH, _REACH_SPREAD = 0.65, 8.0  # a beta distribution: mean, alpha + beta
_CALLS = 3.0  # mean, of a run that reaches a call
_ERROR_SPREAD = 10.0
_MS, _MS_SIGMA, _MS_SIGMA_BETWEEN = 500.0, 0.4, 0.35  # lognormal, within and between installs
SLOW = 800  # the bound of "share above"
TAIL = 0.95
_MANY = 4_000_000  # installs of which the mean is the truth, within a thousandth of it


@dataclass(frozen=True)
class Cell:
    """What is varied. Each install has one of the rates."""

    installs: int
    rates: tuple[float, ...]
    error: float = 0.1
    is_informative: bool = False  # installs that run more often fail more often

    @property
    def name(self) -> str:
        """How the table names it."""
        kinds = (" rare" * (self.error < 0.1)) + (" informative" * self.is_informative)
        return f"{self.installs}, {'/'.join(f'{rate:g}' for rate in self.rates)}{kinds}"

    def errors(self, runs: Ints) -> Floats:
        """Return how likely a call fails on average, by install, from how often it runs."""
        if not self.is_informative:
            return np.full(len(runs), self.error)
        return np.minimum(0.5, self.error * np.sqrt(runs / 10))


class Truth:
    """What would happen again and again."""

    def __init__(self, cell: Cell) -> None:
        normal = NormalDist(log(_MS), sqrt(_MS_SIGMA**2 + _MS_SIGMA_BETWEEN**2))
        self.error = _true_error(cell) if cell.is_informative else cell.error
        self.reach = _REACH
        # Whole milliseconds: more than 800 is 800.5 before it was rounded.
        self.slow = 1 - normal.cdf(log(SLOW + 0.5))
        self.p95 = round(exp(normal.inv_cdf(TAIL)))


@lru_cache
def _true_error(cell: Cell) -> float:
    """Return the error rate of calls: by install, each weighs as much as it runs."""
    runs = _runs(_MANY, np.random.default_rng(0))
    return float((runs * cell.errors(runs)).sum() / runs.sum())


@dataclass(frozen=True)
class Sample:
    """One population, and which runs of it were drawn. Arrays of runs, and of ended calls."""

    cell: Cell
    group: Ints  # of each install
    install: Ints  # of each run
    rate: Floats  # of each run
    drawn: NDArray[np.bool_]
    calls: Ints  # that ended, of each run
    errors: Ints  # of them
    call_run: Ints  # of each call
    call_error: NDArray[np.bool_]
    call_ms: Ints

    @property
    def total(self) -> int:
        """How many calls there really were."""
        return int(self.calls.sum())

    @property
    def drawn_installs(self) -> int:
        """Of how many installs a run was drawn."""
        return len(np.unique(self.install[self.drawn]))


def _runs(installs: int, chance: np.random.Generator) -> Ints:
    runs = np.ceil(_RUNS_MEDIAN * chance.lognormal(0, _RUNS_SIGMA, installs))
    return np.minimum(runs, _MOST_RUNS).astype(np.int64)


def draw(cell: Cell, chance: np.random.Generator) -> Sample:
    """Draw a population and a sample of it."""
    n = cell.installs
    runs = _runs(n, chance)
    install = np.repeat(np.arange(n), runs)
    reach = chance.beta(_REACH * _REACH_SPREAD, (1 - _REACH) * _REACH_SPREAD, n)
    errors = cell.errors(runs)
    error = chance.beta(errors * _ERROR_SPREAD, (1 - errors) * _ERROR_SPREAD)
    middle = chance.normal(log(_MS), _MS_SIGMA_BETWEEN, n)
    rate = chance.choice(np.array(cell.rates), n)[install]
    reaches = chance.random(len(install)) < reach[install]
    calls = np.where(reaches, chance.geometric(1 / _CALLS, len(install)), 0)
    call_run = np.repeat(np.arange(len(install)), calls)
    call_install = install[call_run]
    call_error = chance.random(len(call_run)) < error[call_install]
    ms = np.exp(chance.normal(middle[call_install], _MS_SIGMA))
    return Sample(
        cell=cell,
        group=chance.integers(0, GROUPS, n),
        install=install,
        rate=rate,
        drawn=chance.random(len(install)) < rate,
        calls=calls,
        errors=np.bincount(call_run[call_error], minlength=len(install)),
        call_run=call_run,
        call_error=call_error,
        call_ms=np.maximum(1, np.rint(ms)).astype(np.int64),
    )
