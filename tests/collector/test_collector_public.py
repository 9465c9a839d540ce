"""What is published cannot be attacked: nobody learns a count below the threshold from it.

The attacker knows the rules, every cell that there may be, and every published figure. Of a hidden
cell below the threshold he must not be able to exclude a single number below the threshold.
"""

import csv
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from collector_process import Start, command, hex_id
from collector_story import START, failed_call, put
from scipy.optimize import linprog

from getpatter.collector import clock, erasure, public
from getpatter.collector.limits import DAY
from getpatter.collector.store import Store
from getpatter.collector.suppress import OTHERS, Rule, protect

pytest_plugins = ("collector_fixtures",)

# The rule as it is, and on a smaller scale, where all tables that there can be are few enough.
REAL, SMALL = Rule(), Rule(installs=3, others=6, rounded=1)
OFF = Rule(installs=0, others=0, rounded=1)
ONLY_SMALL_CELLS = Rule(installs=10, others=0, rounded=10)  # without complementary suppression


def learned(rule: Rule, cells: int, most: int, below: int) -> list[Any]:
    """Try every table of so many cells: return the hidden numbers below `below` that an attacker
    who has the published table, and the exact total, can exclude.
    """
    order = [f"c{number}" for number in range(cells)]
    possible: dict[Any, list[set[int]]] = defaultdict(lambda: [set() for _ in order])
    for counts in itertools.product(range(most + 1), repeat=cells):
        shown, _ = protect(dict(zip(order, counts, strict=True)), order, rule)
        of_cells = possible[sum(counts), tuple(sorted(shown.items()))]
        for values, count in zip(of_cells, counts, strict=True):
            values.add(count)
    excluded = []
    for (total, shown), of_cells in possible.items():
        if not below <= total <= most:  # a larger number of the cells would not be tried
            continue
        for cell, values in zip(order, of_cells, strict=True):
            if min(values) < below and not set(range(below)) <= values:
                excluded.append((shown, cell, values))
    return excluded


@pytest.mark.parametrize(
    ("rule", "cells", "most", "below"), [(REAL, 3, 48, 10), (SMALL, 4, 16, 3), (SMALL, 5, 11, 3)]
)
def test_no_number_below_the_threshold_can_be_excluded(
    rule: Rule, cells: int, most: int, below: int
) -> None:
    assert learned(rule, cells, most, below) == []


@pytest.mark.parametrize(
    "rule",
    [
        OFF,
        Rule(installs=3, others=0, rounded=1),  # the rest is what others have left
        Rule(installs=3, others=3, rounded=1),  # no larger cell hides it
    ],
)
def test_the_attack_succeeds_where_suppression_is_weaker(rule: Rule) -> None:
    assert learned(rule, 4, 12, 3)


def test_others_take_in_a_larger_cell_always_and_by_a_fixed_order() -> None:
    order = ["a", "b", "c", "d"]
    assert protect({"a": 50, "b": 60, "c": 70}, order, REAL) == (
        {"b": 60, "c": 70, OTHERS: 50},
        ["a", "d"],
    )
    counts = {"a": 14, "b": 3, "c": 70, "d": 26}
    assert protect(counts, order, REAL)[0] == {"d": 30, OTHERS: 90}
    assert protect({"a": 100}, order, REAL) == ({}, order)
    assert protect({}, order, REAL) == ({}, order)


# A store, its files, and an attack on these


def fill(store: Store, seed: int = 1) -> None:
    """Installs of two weeks, with small cells in every table."""
    chance = random.Random(seed)  # noqa: S311 - invented installs
    monday = date(1970, 1, 1) + timedelta(days=clock.now() // DAY)
    monday -= timedelta(days=monday.weekday() + 14 + 7)  # of the week before the last closed one
    ago = (date(1970, 1, 1) + timedelta(days=clock.now() // DAY) - monday).days
    releases = ["0.6.0", "0.7.2", "0.7.10", "0.8.0", "0.9.0"]
    for days in (ago, ago - 7):
        for _ in range(240):
            release = chance.choices(releases, (2, 60, 90, 80, 3))[0]
            events = chance.choices(
                [
                    [START],
                    [START, *failed_call()],
                    [START, *failed_call(error_layer="tts")],
                    [{"event": "config_incomplete", "missing": "llm_key"}],
                    [{"event": "config_incomplete", "missing": "engine_config"}],
                ],
                (120, 60, 4, 40, 3),
            )[0]
            put(
                store,
                events,
                days_ago=days,
                sdk_version=release,
                os=chance.choices(["linux", "darwin", "windows"], (120, 90, 6))[0],
                arch=chance.choices(["x86_64", "arm64"], (100, 60))[0],
                runtime_version=chance.choices(["3.10", "3.11", "3.13"], (4, 80, 60))[0],
            )
    store.fold()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(str(tmp_path_factory.mktemp("public") / "data"))
    fill(made)
    yield made
    made.close()


def truth(store: Store, week: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is really there: (release, outcome, system, runtime), installs."""
    sql = (Path(public.__file__).parent / "public.sql").read_text()
    return store.query(sql, {"since": week["since"], "until": week["until"]}).rows


def published_sums(week: dict[str, Any], true: dict[Any, int]) -> Iterator[tuple[list[Any], int]]:
    """Each published figure as the cells that it is the sum of."""
    tables = week["tables"]
    releases = {name[1] for name in true if name[0] == "outcomes"}
    named = {row["cell"] for row in tables["releases"]} & releases

    def within(row: dict[str, Any], table: str, shown: set[str]) -> list[Any]:
        of_table = [name for name in true if name[0] == table]
        if "release" in row:
            part = {row["release"]} if row["release"] in named else releases - named
            of_table = [name for name in of_table if name[1] in part]
        position = 1 if table == "outcomes" and "release" not in row else -1
        is_others = row["cell"] == OTHERS
        return [
            name
            for name in of_table
            if (name[position] not in shown if is_others else name[position] == row["cell"])
        ]

    for table in ("outcomes", "systems", "runtimes"):
        yield [name for name in true if name[0] == table], week["installs"]
    for table, rows in tables.items():
        for row in rows:
            shown = {other["cell"] for other in rows if other.get("release") == row.get("release")}
            yield within(row, "outcomes" if table == "releases" else table, shown), row["installs"]


def _least(goal: list[float], left: list[list[float]], right: list[int]) -> float:
    done = linprog(goal, A_ub=left, b_ub=right)
    assert done.fun is not None, "the published figures contradict each other"
    return float(done.fun)


def attack(week: dict[str, Any], rows: list[tuple[Any, ...]], rule: Rule) -> list[str]:
    """Bound each small cell by all that is published of a week at once, as sums with their
    rounding; return the cells of which a number below ten could be excluded.

    The attacker is given more than anybody has: which releases and outcomes there are.
    """
    names = {("outcomes", r, o) for r in {row[0] for row in rows} for o in {row[1] for row in rows}}
    true: dict[Any, int] = dict.fromkeys(sorted(names), 0)
    for release, outcome, system, runtime, installs in rows:
        for name in (("outcomes", release, outcome), ("systems", system), ("runtimes", runtime)):
            true[name] = true.get(name, 0) + installs
    place = {name: index for index, name in enumerate(true)}
    left, right = [], []
    for cells, published in published_sums(week, true):
        line = [0.0] * len(true)
        for cell in cells:
            line[place[cell]] = 1.0
        half = rule.rounded // 2
        left += [line, [-value for value in line]]
        right += [published + max(half - 1, 0), -max(published - half, rule.others and 10, 0)]
    found = []
    for name in (name for name, count in true.items() if count < 10):
        goal = [0.0] * len(true)
        goal[place[name]] = 1.0
        low, high = (_least(line, left, right) for line in (goal, [-value for value in goal]))
        if low > 0.5 or -high < 8.5:
            found.append(f"{name}: {true[name]} is between {low:.1f} and {-high:.1f}")
    return found


def test_files_withstand_sums_differences_and_complements(store: Store) -> None:
    weeks = public.weeks(store, (), clock.now())
    assert len(weeks) == 2
    small = 0
    for week in weeks:
        rows = truth(store, week)
        assert attack(week, rows, REAL) == []
        small += sum(row["cell"] == OTHERS for table in week["tables"].values() for row in table)
        for table in week["tables"].values():
            assert all(row["installs"] >= 10 and row["installs"] % 10 == 0 for row in table)
    assert small >= 8  # each table hides something


@pytest.mark.parametrize("rule", [OFF, ONLY_SMALL_CELLS])
def test_files_fall_without_suppression(store: Store, rule: Rule) -> None:
    weeks = public.weeks(store, (), clock.now(), rule)
    assert any(attack(week, truth(store, week), rule) for week in weeks)


def test_tables_are_those_of_the_installs(store: Store) -> None:
    week = public.weeks(store, (), clock.now(), OFF)[0]
    rows = truth(store, week)
    assert week["installs"] == sum(row[4] for row in rows)
    shown = {row["cell"]: row["installs"] for row in week["tables"]["releases"]}
    there = {row[0] for row in rows}
    in_order = ["0.6.0", "0.7.2", "0.7.10", "0.8.0", "0.9.0"]
    assert list(shown)[:-1] == [release for release in in_order if release in there]
    assert shown["0.7.10"] == sum(row[4] for row in rows if row[0] == "0.7.10")
    outcomes = {row[1] for row in rows}
    assert {"started", "failed: llm", "failed: tts", "blocked: llm_key"} <= outcomes


def test_each_install_stands_once_and_throw_away_ones_do_not(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    try:
        lasting, other = hex_id(), hex_id()
        for release in ("0.7.1", "0.7.2"):
            put(store, [START], install=lasting, days_ago=30, sdk_version=release)
        put(store, [START], install=hex_id(), days_ago=30, container=True)
        for _ in range(2):
            blocked = {"event": "config_incomplete", "missing": "llm_key"}
            put(store, [blocked], install=other, days_ago=30, container=True)
        store.fold()
        (week,) = public.weeks(store, (), clock.now(), OFF)
        assert week["installs"] == 2
        counted = {row[1]: row[4] for row in truth(store, week)}
        assert counted == {"started": 1, "blocked: llm_key": 1}
    finally:
        store.close()


def test_week_that_is_not_closed_or_has_few_installs_is_not_published(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    try:
        assert public.weeks(store, (), clock.now()) == []
        for _ in range(40):
            put(store, [START], days_ago=0)
        for _ in range(9):
            put(store, [START], days_ago=40)
        assert public.weeks(store, (), clock.now()) == []
        (week,) = public.weeks(store, (), clock.now() + 20 * DAY)
        assert week["installs"] == 40
        assert week["tables"]["releases"] == []  # one release: there would be others only
        sunday = date.fromisoformat(week["until"])
        for days, closed in ((8, 0), (9, 1)):
            at = (sunday - date(1970, 1, 1)).days + days
            assert len(public.weeks(store, (), at * DAY)) == closed
    finally:
        store.close()


def test_week_is_published_once_with_and_without_a_running_collector(
    start: Start, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    store = Store(str(data))
    fill(store, seed=2)
    victim = str(store.query("SELECT any_value(install_id)::VARCHAR FROM runs").rows[0][0])
    store.close()
    done = command("report", "--public", "--out", str(out), "--data", str(data))
    assert (done.returncode, done.stderr) == (0, "")
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert [Path(line).name for line in done.stdout.splitlines()] == sorted(files)
    weeks = [json.loads(content) for name, content in files.items() if name.endswith("json")]
    assert len(weeks) == 2
    everything = b"".join(files.values()).decode()
    installs = Store(str(data))
    erasure.erase(installs, victim.replace("-", ""))
    ids = installs.query("SELECT DISTINCT install_id::VARCHAR FROM events").rows
    installs.close()
    assert not any(row[0] in everything or row[0].replace("-", "") in everything for row in ids)
    for week in weeks:
        with (out / f"{week['week']}.csv").open() as file:
            rows = list(csv.DictReader(file))
        found = sum(int(row["installs"]) for row in rows)
        tables = week["tables"].values()
        assert found == week["installs"] + sum(r["installs"] for table in tables for r in table)
    # The other way round, after an erasure: what is there stays, what is missing is made.
    for gone in out.glob(f"{weeks[0]['week']}.*"):
        gone.unlink()
    collector = start(data)
    done = command("report", "--public", "--out", str(out), "--data", str(data))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert {path.name for path in out.iterdir()} == set(files)
    kept = [name for name in files if not name.startswith(weeks[0]["week"])]
    assert kept
    assert all((out / name).read_bytes() == files[name] for name in kept)
    done = command("report", "--public", "--out", str(out), "--data", str(data))
    assert (done.returncode, done.stdout.count("nothing new")) == (0, 1)
    assert collector.end() == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [(), ("--public",), ("--out", "/dev/null/x"), ("--public", "--out", "/dev/null/x")],
)
def test_report_that_cannot_be_made_is_exit_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    Store(str(tmp_path / "data")).close()
    done = command("report", *arguments, "--data", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("getpatter collector")


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "clickhouse"])
def test_query_parses_elsewhere(dialect: str) -> None:
    text = (Path(public.__file__).parent / "public.sql").read_text()
    portable = text if dialect == "duckdb" else text.replace("$", ":")
    (statement,) = sqlglot.parse(portable, dialect=dialect)
    assert isinstance(statement, sqlglot.exp.Query)
