"""How a program's end is chosen: what detaching needs, and what its setting overrides."""

import os
import sys

import pytest

from getpatter.telemetry.exits import MODES, choose, is_understood


@pytest.mark.parametrize("mode", MODES)
def test_the_setting_decides(mode: str) -> None:
    for spelt in (mode, mode.upper(), f" {mode} "):
        chosen = choose({"PATTER_TELEMETRY_EXIT": spelt}, is_program=False)
        assert (chosen.mode, chosen.why) == (mode, "PATTER_TELEMETRY_EXIT says so")


@pytest.mark.parametrize("typo", ["deatch", "1", "detach,wait"])
def test_a_typo_in_the_setting_does_not_count(typo: str) -> None:
    assert choose({"PATTER_TELEMETRY_EXIT": typo}, is_program=False).mode == "wait"
    assert not is_understood({"PATTER_TELEMETRY_EXIT": typo})
    assert is_understood({"PATTER_TELEMETRY_EXIT": ""})
    assert is_understood({})


def test_what_runs_no_script_waits() -> None:
    chosen = choose({}, is_program=False)
    assert (chosen.mode, chosen.why) == ("wait", "no script runs")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("KUBERNETES_SERVICE_HOST", "this is a container"),
        ("AWS_LAMBDA_FUNCTION_NAME", "serverless"),
    ],
)
def test_where_a_process_outlives_nothing_it_waits(name: str, why: str) -> None:
    chosen = choose({name: "x"}, is_program=True)
    assert chosen.mode == "wait"
    assert why in chosen.why or chosen.why == "this is a container"  # this machine may be one


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("executable", "", "embedded"),
        ("executable", None, "embedded"),
        ("executable", "python3", "embedded"),
        ("executable", "/bin/sh", "embedded"),
        ("frozen", True, "frozen"),
    ],
)
def test_what_makes_it_impossible_is_not_overridden(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, why: str
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    chosen = choose({"PATTER_TELEMETRY_EXIT": "detach"}, is_program=True)
    assert chosen.mode == "wait"
    assert why in chosen.why


def test_a_system_that_cannot_start_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_spawn")
    assert choose({"PATTER_TELEMETRY_EXIT": "detach"}, is_program=True).mode == "wait"
