"""A simulated population: the truth is what the events say where nothing is sampled or lost."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collector_process import Collector, command, rows

from getpatter.collector import clock
from getpatter.collector.batch import ReceivedBatch
from getpatter.collector.judge import EventJudge
from getpatter.collector.simulate.program import Simulation
from getpatter.collector.store import Store
from getpatter.telemetry.gate import ratio

DAY = 86_400
NOW = clock.now() // DAY * DAY

pytest_plugins = ("collector_fixtures",)


def simulate(installs: int, days: int, seed: int) -> tuple[Simulation, list[ReceivedBatch]]:
    batches: list[ReceivedBatch] = []
    simulation = Simulation(installs, days, seed, end=NOW, now=NOW, take=batches.append)
    simulation.run(lambda *_: None)
    return simulation, batches


@pytest.fixture(scope="module")
def simulated() -> tuple[dict[str, Any], list[ReceivedBatch]]:
    simulation, batches = simulate(400, 20, 5)
    return simulation.document(), batches


def events(batches: list[ReceivedBatch]) -> Iterator[tuple[ReceivedBatch, dict[str, Any]]]:
    for batch in {id(batch): batch for batch in batches}.values():
        for _, event in batch.events:
            yield batch, event


def test_same_seed_is_the_same_population() -> None:
    one, two, other = (simulate(30, 5, seed)[0].document() for seed in (1, 1, 2))
    assert one == two
    assert one["truth"] != other["truth"]


def test_every_event_is_valid(simulated: tuple[dict[str, Any], list[ReceivedBatch]]) -> None:
    judge, kinds = EventJudge(), Counter[tuple[int, str]]()
    for batch, event in events(simulated[1]):
        assert judge.violation(event, is_legacy=batch.key.is_legacy) is None
        kinds[event["schema_version"], event["sdk"]] += 1
    assert set(kinds) == {(5, "python"), (7, "python"), (8, "python"), (8, "typescript")}


def test_sampled_events_are_of_drawn_runs(
    simulated: tuple[dict[str, Any], list[ReceivedBatch]],
) -> None:
    rates = Counter[float]()
    for batch, event in events(simulated[1]):
        rate = event.get("sample_rate")
        if rate is not None and event.get("error_code") is None:
            assert ratio(event["run_id"]) < rate
            rates[rate] += 1
            assert batch.key.is_legacy or batch.rate == rate
    assert {0.25, 0.1} <= set(rates)


def test_truth_is_delivered_events_and_those_that_are_lost_or_sampled(
    simulated: tuple[dict[str, Any], list[ReceivedBatch]],
) -> None:
    document, batches = simulated
    delivered = Counter(event["event"] for _, event in events(batches))
    assert document["delivery"]["events"] == dict(sorted(delivered.items()))
    lost = Counter(document["delivery"]["lost"])
    true = Counter(document["truth"]["events"])
    never_sampled = set(true) - {"call_started", "call_completed"}
    assert {name: delivered[name] + lost[name] for name in never_sampled} == {
        name: true[name] for name in never_sampled
    }
    assert true["call_completed"] > delivered["call_completed"] + lost["call_completed"]
    # What was reported of the rest is never more than what is missing.
    for key, n in document["delivery"]["reported"].items():
        name = key.partition(":")[0]
        assert n <= true[name] - delivered[name]


def test_truth_of_one_question_agrees_with_that_of_another(
    simulated: tuple[dict[str, Any], list[ReceivedBatch]],
) -> None:
    truth = simulated[0]["truth"]
    ended = truth["events"]["call_completed"]
    assert sum(row["n"] for row in truth["calls"]) == ended
    assert sum(row["calls"]["calls"] for row in truth["releases"].values()) == ended
    assert sum(truth["endings"]["disconnect_reason"].values()) == ended
    assert sum(row.get("call_ends", 0) for row in truth["by_day"].values()) == ended
    assert sum(row.get("call_ends", 0) for row in truth["funnel"]) == ended
    assert sum(truth["shares"]["call_completed"]["outcome"].values()) == ended
    assert (
        sum(row.get("blocked", 0) for row in truth["funnel"])
        == truth["events"]["config_incomplete"]
    )
    for row in truth["after_block"].values():
        assert row["started"] == sum(row["days"].values())
        assert row["started"] + row["never_came_back"] <= row["installs"]
    rates = {name: row["error_rate"] for name, row in truth["releases"].items()}
    assert rates["0.7.1"] > 1.3 * rates["0.7.0"], "that release is the bad one"


def test_command_writes_a_store_that_holds_what_the_truth_says(tmp_path: Path) -> None:
    data = tmp_path / "made"
    flags = ("--installs", "60", "--days", "10", "--seed", "3", "--until", "2026-01-31")
    done = command("simulate", "--out", str(data), *flags)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    document = json.loads((data / "truth.json").read_text())
    assert (document["first_day"], document["last_day"]) == ("2026-01-22", "2026-01-31")
    kept = rows(data, "SELECT event, count(*) FROM events GROUP BY event ORDER BY event")
    assert dict(kept) == document["delivery"]["events"]
    assert document["delivery"]["sent_twice"] > 0, "and yet each counts once"
    (days,) = rows(data, "SELECT min(day)::VARCHAR, max(day)::VARCHAR FROM events")
    assert days == ("2026-01-22", "2026-01-31")
    # A run that has nothing to be sampled is all there, unless a batch was lost.
    (blocked,) = rows(data, "SELECT count(DISTINCT run_id) FROM events WHERE missing IS NOT NULL")
    lost = document["delivery"]["lost"].get("config_incomplete", 0)
    assert blocked[0] == sum(r.get("blocked", 0) for r in document["truth"]["funnel"]) - lost
    store = Store(str(data))
    rolled = store.query("SELECT * FROM runs ORDER BY ALL").rows
    store.rebuild()
    assert store.query("SELECT * FROM runs ORDER BY ALL").rows == rolled
    store.close()


def test_command_sends_to_a_collector(shared: Collector, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command(
        *("simulate", "--out", str(out), "--installs", "25", "--days", "3", "--seed", "9"),
        *("--endpoint", shared.endpoint),
    )
    assert done.returncode == 0, done.stderr
    delivery = json.loads((out / "truth.json").read_text())["delivery"]
    assert [path.name for path in out.iterdir()] == ["truth.json"]
    status = command("status", "--json", "--data", str(shared.data))
    assert json.loads(status.stdout)["events"] == sum(delivery["events"].values())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--installs", "0"), "--installs"),
        (("--installs", "x"), "--installs"),
        (("--days", "400"), "--days"),
        (("--seed", "-1"), "--seed"),
        (("--until", "tomorrow"), "--until"),
        (("--until", "2999-01-01"), "--until"),
        (("--until", "0001-01-01"), "--until"),
        (("--endpoint", "nowhere"), "--endpoint"),
        (("--endpoint", "ftp://127.0.0.1/"), "--endpoint"),
        (("--endpoint", "http://127.0.0.1:1/v1/ingest"), "--days"),
        (("--endpoint", "https://telemetry.getpatter.com/v1/ingest", "--days", "2"), "getpatter"),
    ],
)
def test_what_cannot_be_used_is_one_line(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = command("simulate", "--out", str(tmp_path / "out"), *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_directory_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = command("simulate", "--out", str(tmp_path), "--installs", "5")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_endpoint_that_refuses_is_one_line(shared: Collector, tmp_path: Path) -> None:
    wrong = shared.endpoint.replace("/v1/ingest", "/elsewhere")
    done = command(
        *("simulate", "--out", str(tmp_path / "out"), "--installs", "20", "--days", "2"),
        *("--endpoint", wrong),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "404" in done.stderr
