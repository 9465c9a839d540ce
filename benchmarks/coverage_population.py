"""Draws installs, runs and calls whose true figures are known exactly, a sample after the other.

An install's runs share its faults: it has an error rate, a share of runs that reach a call, and a
latency of its own. None of the three depends on how often it runs, so that the truth is the mean of
what was drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cell", "Sample", "Truth", "draw"]

Ints = NDArray[np.int64]
GROUPS = 64

_RUNS_MEDIAN, _RUNS_SIGMA, _MOST_RUNS = 4.0, 1.0, 500
_REACH, _REACH_SPREAD = 0.65, 8.0  # a beta distribution: mean, alpha + beta
_CALLS = 3.0  # mean, of a run that reaches a call
_ERROR_SPREAD = 10.0
_MS, _MS_SIGMA, _MS_SIGMA_BETWEEN = 500.0, 0.4, 0.35  # lognormal, within and between installs
SLOW = 800  # the bound of "share above"
TAIL = 0.95


@dataclass(frozen=True)
class Cell:
    """What is varied."""

    installs: int
    rate: float
    error: float = 0.1

    @property
    def name(self) -> str:
        """How the table names it."""
        return f"{self.installs}, {self.rate:g}" + (" rare" if self.error < 0.1 else "")


class Truth:
    """What would happen again and again."""

    def __init__(self, cell: Cell) -> None:
        normal = NormalDist(log(_MS), sqrt(_MS_SIGMA**2 + _MS_SIGMA_BETWEEN**2))
        self.error = cell.error
        self.reach = _REACH
        # Whole milliseconds: more than 800 is 800.5 before it was rounded.
        self.slow = 1 - normal.cdf(log(SLOW + 0.5))
        self.p95 = round(exp(normal.inv_cdf(TAIL)))


@dataclass(frozen=True)
class Sample:
    """One population, and which runs of it were drawn. Arrays of runs, and of ended calls."""

    cell: Cell
    group: Ints  # of each install
    install: Ints  # of each run
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


def draw(cell: Cell, chance: np.random.Generator) -> Sample:
    """Draw a population and a sample of it."""
    n = cell.installs
    runs = np.minimum(
        np.ceil(_RUNS_MEDIAN * chance.lognormal(0, _RUNS_SIGMA, n)).astype(np.int64), _MOST_RUNS
    )
    install = np.repeat(np.arange(n), runs)
    reach = chance.beta(_REACH * _REACH_SPREAD, (1 - _REACH) * _REACH_SPREAD, n)
    error = chance.beta(cell.error * _ERROR_SPREAD, (1 - cell.error) * _ERROR_SPREAD, n)
    middle = chance.normal(log(_MS), _MS_SIGMA_BETWEEN, n)
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
        drawn=chance.random(len(install)) < cell.rate,
        calls=calls,
        errors=np.bincount(call_run[call_error], minlength=len(install)),
        call_run=call_run,
        call_error=call_error,
        call_ms=np.maximum(1, np.rint(ms)).astype(np.int64),
    )
