"""The answers to a simulated population say what is true of it.

What is never sampled is exact; for everything else the interval holds the truth, but for one in
twenty. Nothing is lost in this population: losses are bounds, and no answer corrects for them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from getpatter.collector import clock
from getpatter.collector.answering import ask
from getpatter.collector.simulate.output import IntoStore
from getpatter.collector.simulate.program import Simulation
from getpatter.collector.store import Store

DAY = 86_400
END = 20_700 * DAY  # the same days in every run: long over, so nothing is provisional


@dataclass(frozen=True)
class Population:
    store: Store
    truth: dict[str, Any]

    def rows(self, question: str, **filters: str) -> list[dict[str, Any]]:
        found = ask(self.store, question, filters)
        assert "problem" not in found
        rows: list[dict[str, Any]] = found["rows"]
        return rows


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Population]:
    store = Store(str(tmp_path_factory.mktemp("population") / "data"))
    target = IntoStore(store)
    simulation = Simulation(900, 28, 11, end=END, now=clock.now(), take=target.take, loses=False)
    simulation.run(lambda *_: None)
    target.end()
    yield Population(store, simulation.document()["truth"])
    store.close()


def value(rows: list[dict[str, Any]], **cell: object) -> dict[str, Any]:
    """The one row whose cell has these values."""
    (row,) = (r for r in rows if all(r["cell"].get(name) == v for name, v in cell.items()))
    return row


def holds(row: dict[str, Any], true: float) -> bool:
    return bool(row["lower"] <= true <= row["upper"])


def test_errors_and_blocks_are_exact(population: Population) -> None:
    fields = ("error_layer", "error_code", "carrier", "provider", "release")
    told: Counter[tuple[Any, ...]] = Counter()
    missing: Counter[tuple[Any, ...]] = Counter()
    for row in population.rows("affected"):
        cell = row["cell"]
        if cell["failed"] == "call":
            told[tuple(cell.get(field) for field in fields)] = row["estimate"]
        else:
            missing[cell["missing"], cell["release"]] = row["estimate"]
    truth = population.truth["affected"]
    names = (*fields[:-1], "sdk_version")
    assert told == {tuple(r[name] for name in names): r["installs"] for r in truth["errors"]}
    assert missing == {(r["missing"], r["sdk_version"]): r["installs"] for r in truth["missing"]}


def test_what_happens_after_a_block_is_exact(population: Population) -> None:
    rows = population.rows("after_block")
    for missing, true in population.truth["after_block"].items():
        told = {r["cell"]["then"]: r for r in rows if r["cell"]["missing"] == missing}
        installs = true["installs"]
        assert {row["installs"] for row in told.values()} == {installs}
        started = sum(row["estimate"] for then, row in told.items() if then.startswith("started"))
        assert round(started * installs) == true["started"]
        assert round(told["never came back"]["estimate"] * installs) == true["never_came_back"]


def test_volume_is_exact_or_held(population: Population) -> None:
    rows, truth = population.rows("volume"), population.truth
    assert value(rows, what="installs")["estimate"] == truth["installs"]
    assert value(rows, what="first runs")["estimate"] == truth["events"]["first_run"]
    assert value(rows, what="starts")["estimate"] == truth["events"]["sdk_initialized"]


def test_first_steps_of_the_funnel_are_exact(population: Population) -> None:
    rows, truth = population.rows("funnel"), Counter[str]()
    for row in population.truth["funnel"]:
        truth.update({step: n for step, n in row.items() if isinstance(n, int)})
    assert value(rows, step="blocked")["estimate"] == truth["blocked"] / truth["runs"]
    assert value(rows, step="started")["estimate"] == truth["started"] / truth["runs"]
    for missing in ("carrier_credentials", "llm_key", "engine_config", "other"):
        share = truth[f"blocked_{missing}"] / truth["runs"]
        assert value(rows, step=f"blocked: {missing}")["estimate"] == share


def sampled(population: Population) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Every estimated figure with what is true."""
    truth, rows = population.truth, population.rows
    ended = truth["events"]["call_completed"]
    calls: Counter[str] = Counter()
    for row in truth["calls"]:
        for field in ("outcome", "disconnect_reason", "engine", "direction"):
            calls[f"{field}:{row[field]}"] += row["n"]
    for question in ("outcome", "engine", "direction"):
        for row in rows(question):
            said = row["cell"][question]
            yield f"{question} {said}", row, calls[f"{question}:{said}"] / ended
    stating = ended - calls["disconnect_reason:None"]
    for row in rows("endings"):
        said = row["cell"]["disconnect_reason"]
        yield f"endings {said}", row, calls[f"disconnect_reason:{said}"] / stating
    latency = rows("latency")
    for stage, true in truth["latency_by_stage"].items():
        for measure, name in (("median", "p50"), ("p95 within a call", "p95")):
            yield f"{stage} {name}", value(latency, stage=stage, measure=measure), true[name]


def test_intervals_hold_what_is_true(population: Population) -> None:
    figures = list(sampled(population))
    missed = [
        f"{name}: {row['lower']} to {row['upper']}, in truth {true}"
        for name, row, true in figures
        if not holds(row, true)
    ]
    assert len(figures) > 20
    assert len(missed) <= len(figures) // 10, missed


def test_worse_release_is_seen_and_the_same_one_is_not(population: Population) -> None:
    def failing(release: str, against: str) -> dict[str, Any]:
        rows = population.rows("releases", release=release, against=against)
        return value(rows, measure="calls that failed")

    truth = population.truth["releases"]
    worse, same = failing("0.7.1", "0.7.0"), failing("0.7.2", "0.7.0")
    assert holds(worse, truth["0.7.1"]["error_rate"] - truth["0.7.0"]["error_rate"])
    assert worse["cell"]["verdict"] == "worse"
    assert same["cell"]["verdict"] != "worse"


def test_new_installs_are_compared_by_their_first_run(population: Population) -> None:
    """A release that is out for a shorter time has a larger share of new installs in its runs."""
    rows = population.rows("releases", release="0.7.2", against="0.7.0")
    found = value(rows, measure="new installs, blocked at first")
    assert found["lower"] <= 0 <= found["upper"]
    assert found["cell"]["verdict"] not in {"better", "worse"}
