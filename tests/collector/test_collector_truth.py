"""Answers of a simulation through the real client, sampled and with losses: the truth is known."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from collector_story import row, rows

from getpatter.cli import main
from getpatter.collector.store import Store


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, dict[str, Any]]]:
    """A store, and the truth about it."""
    place = tmp_path_factory.mktemp("truth") / "simulation"
    size = ("--installs", "250", "--days", "20", "--seed", "5", "--until", "2026-03-31")
    assert main(["collector", "simulate", *size, "--out", str(place)]) == 0
    truth = json.loads((place / "truth.json").read_text("utf-8"))["truth"]
    store = Store(str(place))
    yield store, truth
    store.close()


def holds(found: dict[str, Any], truth: float) -> bool:
    return bool(found["lower"] <= truth <= found["upper"])


@pytest.mark.parametrize("stage", ["answer", "stt", "llm", "tts", "eou"])
def test_latencies_are_true(simulated: tuple[Store, dict[str, Any]], stage: str) -> None:
    store, truth = simulated
    of_stage = truth["latency_by_stage"][stage]
    assert holds(row(store, "latency", stage=stage, measure="median"), of_stage["p50"])
    assert holds(row(store, "latency", stage=stage, measure="p95 within a call"), of_stage["p95"])
    if stage == "answer":
        found = row(store, "latency", stage=stage, measure="share above 800 ms")
        assert holds(found, of_stage["above_800"])


def test_endings_are_true(simulated: tuple[Store, dict[str, Any]]) -> None:
    store, truth = simulated
    reasons = truth["endings"]["disconnect_reason"]
    stated = sum(n for reason, n in reasons.items() if reason != "None")
    found = {one["cell"]["disconnect_reason"]: one for one in rows(store, "endings")}
    assert set(found) == set(reasons) - {"None"}
    missed = [name for name, one in found.items() if not holds(one, reasons[name] / stated)]
    assert missed == []


def test_runs_come_as_far_as_they_do(simulated: tuple[Store, dict[str, Any]]) -> None:
    store, truth = simulated
    sums = {
        name: sum(cell.get(name, 0) for cell in truth["funnel"])
        for name in ("runs", "started", "call_began")
    }
    assert holds(row(store, "funnel", step="started"), sums["started"] / sums["runs"])
    assert holds(row(store, "funnel", step="a call began"), sums["call_began"] / sums["started"])


def test_blocked_installs_start_later_as_they_do(
    simulated: tuple[Store, dict[str, Any]],
) -> None:
    store, truth = simulated
    for missing in ("carrier_credentials", "llm_key"):
        of_block = truth["after_block"][missing]
        never = row(store, "after_block", missing=missing, then="never came back")
        assert 0 <= of_block["installs"] - never["installs"] <= 2  # lost on the way
        assert holds(never, of_block["never_came_back"] / of_block["installs"])


def test_nothing_is_forged(simulated: tuple[Store, dict[str, Any]]) -> None:
    store, _ = simulated
    assert row(store, "quality", fact="runs not drawn, with sampled events")["estimate"] == 0
    for one in rows(store, "quality"):
        if one["cell"].get("fact") == "drawn runs":
            assert holds(one, float(one["cell"]["rate"]))
