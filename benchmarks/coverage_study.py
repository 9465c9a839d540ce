"""How often the collector's intervals hold the truth, by simulation.

    python benchmarks/coverage_study.py             2,000 simulations a cell: about half an hour
    python benchmarks/coverage_study.py --short     the cells that go wrong first, in half a minute

A cell passes if the 99 % Monte-Carlo interval of its coverage reaches the band, and if its
intervals are at most a quarter wider on average than those of a reference on the same data. Exits
with 1 if one does not.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from math import sqrt
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

import numpy as np
import scipy
from coverage_figures import FIGURES, error_rate, estimates, references
from coverage_population import Cell, Truth, draw

from getpatter.collector.compare import difference
from getpatter.collector.estimate import FEW_GROUPS, FEW_INSTALLS

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = [
    *(Cell(n, (rate,)) for n in (50, 200, 500) for rate in (0.1, 0.25, 1.0)),
    Cell(200, (0.25,), error=0.02),
    Cell(500, (0.1,), error=0.02),
    Cell(500, (0.1, 0.25, 1.0)),
    Cell(500, (0.25,), is_informative=True),
]
SHORT = [Cell(50, (1.0,)), Cell(200, (0.25,), error=0.02), Cell(200, (0.1, 1.0))]
MANY = 200  # drawn installs of the first column of bands
WIDER = 1.25
PARTS = 8  # of a cell, each with a seed of its own: so many processes can share it
VERDICTS = "false verdicts"

Band = tuple[float, float]
# By how much was drawn: from 200 installs on, from 50 on, less. None: no promise is made.
BANDS: dict[str, tuple[Band | None, Band | None, Band | None]] = {
    "total": ((0.93, 0.97), (0.92, 1.0), None),
    "error rate": ((0.93, 0.98), (0.93, 1.0), (0.93, 1.0)),
    "share above": ((0.93, 0.98), (0.93, 1.0), (0.93, 1.0)),
    "funnel step": ((0.94, 0.98), (0.94, 1.0), (0.94, 1.0)),
    "p95": ((0.925, 1.0), (0.90, 1.0), None),
    VERDICTS: ((0.0, 0.07), (0.0, 0.07), None),
}
RARE: Band = (0.92, 0.98)  # error rate of 2 % from 200 drawn installs on


@dataclass
class Tally:
    """What was counted of one cell."""

    trials: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    low: Counter[str] = field(default_factory=Counter)  # the whole interval lies below the truth
    widths: defaultdict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    installs: list[int] = field(default_factory=list)
    groups: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another process counted."""
        self.trials.update(other.trials)
        self.held.update(other.held)
        self.low.update(other.low)
        for name, pairs in other.widths.items():
            self.widths[name] += pairs
        self.installs += other.installs
        self.groups += other.groups


def study(cell: Cell, seed: int, simulations: int) -> Tally:
    """Simulate a cell; two populations each time, for the verdict between identical releases."""
    chance = np.random.default_rng(
        [seed, cell.installs, len(cell.rates), int(sum(cell.rates) * 100), int(cell.error * 100)]
    )
    tally, truth = Tally(), Truth(cell)
    true = {
        "error rate": truth.error,
        "share above": truth.slow,
        "funnel step": truth.reach,
        "p95": float(truth.p95),
    }
    for _ in range(simulations):
        sample = draw(cell, chance)
        found, reference = estimates(sample), references(sample)
        for name, value in (true | {"total": float(sample.total)}).items():
            figure, (lower, upper) = found[name], reference[name]
            if figure.lower is None or figure.upper is None:
                continue
            tally.trials[name] += 1
            tally.held[name] += figure.lower <= value <= figure.upper
            tally.low[name] += figure.upper < value
            if upper - lower > 0:
                tally.widths[name].append((figure.upper - figure.lower, upper - lower))
        tally.installs.append(sample.drawn_installs)
        tally.groups.append(found["error rate"].groups)
        apart = difference(found["error rate"], error_rate(draw(cell, chance)))
        if apart.lower is not None and apart.upper is not None:
            tally.trials[VERDICTS] += 1
            tally.held[VERDICTS] += not apart.lower <= 0 <= apart.upper
    return tally


def column(tally: Tally) -> int:
    """Return which column of bands is meant: by how much was drawn, not by the outcome."""
    installs = fmean(tally.installs)
    if installs < FEW_INSTALLS or fmean(tally.groups) < FEW_GROUPS:
        return 2
    return 0 if installs >= MANY else 1


def interval(share: float, trials: int) -> Band:
    """Return the 99 % Monte-Carlo interval (Wilson) of a share of simulations."""
    z = NormalDist().inv_cdf(0.995)
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return middle - half, middle + half


def judge(cell: Cell, tally: Tally) -> Iterator[tuple[str, str, str]]:
    """Yield figure, what is shown of it, and what is wrong with it, if anything is."""
    at = column(tally)
    for name in (*FIGURES, VERDICTS):
        band = BANDS[name][at]
        if name == "error rate" and cell.error < 0.1 and at == 0:
            band = RARE
        trials = tally.trials[name]
        if not trials or (name == "total" and min(cell.rates) >= 1):
            yield name, "exact" if name == "total" else "-", ""
            continue
        share = tally.held[name] / trials
        shown, wrong = f"{share:.1%}", ""
        pairs = tally.widths[name]
        if pairs:
            ratio = fmean(a for a, _ in pairs) / fmean(b for _, b in pairs)
            shown += f" ({ratio:.2f})"
            if band and ratio > WIDER:
                wrong = f"{ratio:.2f} times as wide as the reference"
        lower, upper = interval(share, trials)
        if band and (upper < band[0] or lower > band[1]):
            wrong = f"{share:.1%} is outside {band[0]:.1%} to {band[1]:.1%}"
        yield name, shown if band else f"[{shown}]", wrong


def run(cells: list[Cell], simulations: int, processes: int = 1, seed: int = 1) -> int:
    """Simulate, print the table; return the exit code."""
    begin = time.perf_counter()
    problems: list[str] = []
    print("| installs, rate | drawn, G* | " + " | ".join((*FIGURES, VERDICTS)) + " |")
    print("|---" * (len(FIGURES) + 3) + "|")
    jobs = [
        (cell, seed * 1_000 + part, simulations // PARTS) for cell in cells for part in range(PARTS)
    ]
    with ProcessPoolExecutor(processes) as pool:
        tallies = iter(pool.map(_study, jobs) if processes > 1 else map(_study, jobs))
        for cell in cells:
            tally = Tally()
            for part in islice(tallies, PARTS):
                tally.add(part)
            row = [f"{fmean(tally.installs):.0f}, {fmean(tally.groups):.0f}"]
            for name, shown, wrong in judge(cell, tally):
                row.append(shown + (" ✗" if wrong else ""))
                if wrong:
                    low = tally.low[name] / max(1, tally.trials[name])
                    problems.append(f"{cell.name}, {name}: {wrong} (too low: {low:.1%})")
            print(f"| {cell.name} | " + " | ".join(row) + " |", flush=True)
    took = time.perf_counter() - begin
    print(
        f"\n{datetime.now(timezone.utc):%Y-%m-%d}, {simulations:,} simulations a cell, "
        f"seed {seed}, {took:,.0f} s on {processes} of {os.cpu_count()} cores; Python "
        f"{platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    )
    print(
        "Of each figure: how often its interval held the truth, and in brackets its mean width as "
        "a multiple of the reference's. In square brackets: too little is drawn for a promise."
    )
    for problem in problems:
        print(f"coverage: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _study(job: tuple[Cell, int, int]) -> Tally:
    return study(*job)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--short", action="store_true", help="three cells, few simulations")
    parser.add_argument("--simulations", type=int, help="a cell (default: 2,000)")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    simulations = options.simulations or (96 if options.short else 2_000)
    cells = SHORT if options.short else LONG
    return run(cells, simulations, options.processes, options.seed)


if __name__ == "__main__":
    sys.exit(main())
