"""The intervals hold the truth as often as they say, and a wrong one is noticed."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# The interval of whoever takes events one by one, though whole runs are kept or dropped.
NAIVE = """
import sys
from math import sqrt
sys.path.insert(0, sys.argv[1])
from getpatter.collector import estimate
from coverage_population import Cell
from coverage_study import run

def ratio(rows, installs, level=0.95):
    rows = list(rows)
    hits, of = (sum(row[place] / row[0] for row in rows) for place in (2, 3))
    share = hits / of
    half = 1.96 * sqrt(share * (1 - share) / of)
    return estimate.Estimate(share, share - half, share + half, "naive", 64.0, int(of))

estimate.ratio = ratio
sys.exit(run([Cell(200, (0.5,))], 80))
"""


def test_every_interval_holds_the_truth_as_often_as_it_says() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "coverage_study.py"), "--short"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_interval_of_single_events_does_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NAIVE, str(BENCHMARKS)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    for figure in ("error rate", "share above", "false verdicts"):
        assert figure in done.stderr
