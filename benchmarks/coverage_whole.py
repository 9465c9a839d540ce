"""The whole way: simulated clients, a store, the answers, against the truth of each population.

    python benchmarks/coverage_whole.py            100 populations, a quarter of an hour
    python benchmarks/coverage_whole.py --short    three, to show that it works

An interval of a rate says what would happen again, and the truth here is what happened: it is held
more often than 95 %. What this finds is an answer that is biased. For each figure: how often its
interval held the truth, and by how many standard errors it is off on average. Then: how often each
measure of `releases` finds a difference between two releases that have none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from getpatter.collector import clock
from getpatter.collector.answering import ask
from getpatter.collector.simulate.output import IntoStore
from getpatter.collector.simulate.program import Simulation
from getpatter.collector.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400
END = 20_700 * DAY
LEAST, FAR = 0.9, 4.0  # held at least that often; off by at most so many standard errors

SAME = ("0.7.2", "0.7.0")  # releases whose behaviour is the same, though not who has them
FIELDS = ("outcome", "engine", "turn_count_bucket")
MEASURES = {"median": "p50", "p95 within a call": "p95", "share above 800 ms": "above_800"}

Found = tuple[str, dict[str, Any], float]


def population(seed: int, installs: int, days: int) -> tuple[list[Found], list[tuple[str, bool]]]:
    """Return figure, row of an answer and truth, for one population; then the false verdicts."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(directory)
        target = IntoStore(store)
        simulation = Simulation(
            installs, days, seed, end=END, now=clock.now(), take=target.take, loses=False
        )
        simulation.run(lambda *_: None)
        target.end()
        found = list(_figures(store, simulation.document()["truth"]))
        verdicts = list(_verdicts(store))
        store.close()
    return found, verdicts


def _figures(store: Store, truth: dict[str, Any]) -> Iterator[Found]:
    def rows(question: str, **filters: str) -> list[dict[str, Any]]:
        return ask(store, question, filters)["rows"]  # type: ignore[no-any-return] # JSON

    # Of a run at rate 0 nothing is sent but its errors: no answer speaks of its calls.
    silent = truth["events_at_rate_0"]
    for what, event in (("calls begun", "call_started"), ("calls ended", "call_completed")):
        yield what, _row(rows("volume"), what), truth["events"][event] - silent.get(event, 0)
    for question, field in (("endings", "disconnect_reason"), *((f, f) for f in FIELDS)):
        shares = truth["shares"]["call_completed"][field]
        for row in rows(question):
            said = row["cell"][field]
            yield f"{field} {said}", row, shares.get(said, 0) / sum(shares.values())
    for row in rows("latency"):
        true = truth["latency_by_stage"][row["cell"]["stage"]]
        measure = MEASURES.get(row["cell"]["measure"])
        if measure is not None:
            yield f"{row['cell']['stage']} {measure}", row, true[measure]
    failing = {name: row["error_rate"] for name, row in truth["releases"].items()}
    for release, against in (("0.7.1", "0.7.0"), SAME):
        row = _row(rows("releases", release=release, against=against), "calls that failed")
        yield f"failed {release}", row, failing[release] - failing[against]


def _verdicts(store: Store) -> Iterator[tuple[str, bool]]:
    """Yield each measure of two releases that behave alike, and whether a verdict was given."""
    found = ask(store, "releases", {"release": SAME[0], "against": SAME[1]})
    for row in found["rows"]:
        cell = row["cell"]
        yield cell["measure"], cell["verdict"] in {"better", "worse"}


def _row(rows: list[dict[str, Any]], said: str) -> dict[str, Any]:
    return next(row for row in rows if said in row["cell"].values())


def main() -> int:
    """Simulate; print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--short", action="store_true", help="three populations")
    parser.add_argument("--populations", type=int, default=100)
    parser.add_argument("--installs", type=int, default=400)
    parser.add_argument("--days", type=int, default=20)
    options = parser.parse_args()
    count = 3 if options.short else options.populations
    held: defaultdict[str, list[bool]] = defaultdict(list)
    off: defaultdict[str, list[float]] = defaultdict(list)
    false: defaultdict[str, list[bool]] = defaultdict(list)
    for seed in range(1, count + 1):
        figures, verdicts = population(seed, options.installs, options.days)
        for measure, is_false in verdicts:
            false[measure].append(is_false)
        for name, row, true in figures:
            if row["lower"] is not None and row["upper"] is not None:
                held[name].append(row["lower"] <= true <= row["upper"])
                off[name].append(row["estimate"] - true)
        print(f"\r{seed} of {count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    wrong = []
    for name, said in sorted(held.items()):
        spread = stdev(off[name]) / sqrt(len(said)) if len(said) > 1 else 0.0
        far = fmean(off[name]) / spread if spread else 0.0
        is_wrong = len(said) >= 30 and (fmean(said) < LEAST or abs(far) > FAR)
        wrong += [name] * is_wrong
        print(
            f"{name:24} held {fmean(said):6.1%} of {len(said):3}, off by {fmean(off[name]):+.4g} "
            f"({far:+.1f} standard errors){' ✗' if is_wrong else ''}"
        )
    print(f"\nVerdicts between {SAME[1]} and {SAME[0]}, which behave alike:")
    for measure, given in sorted(false.items()):
        print(f"{measure:60} {fmean(given):6.1%} of {len(given)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
