"""How a program's end is chosen: what detaching needs, and what its setting overrides."""

import os
import sys
from pathlib import Path

import pytest

from getpatter.telemetry.delivery.exits import MODES, choose, is_understood


@pytest.mark.parametrize("mode", MODES)
def test_the_setting_decides(mode: str) -> None:
    for spelt in (mode, mode.upper(), f" {mode} "):
        chosen = choose({"PATTER_TELEMETRY_EXIT": spelt}, is_program=False)
        assert (chosen.mode, chosen.why) == (mode, "set by PATTER_TELEMETRY_EXIT")


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


@pytest.mark.parametrize("mode", ["detach", "spool", ""])
def test_where_nothing_can_be_put_on_disk_it_waits(mode: str) -> None:
    chosen = choose({"PATTER_TELEMETRY_EXIT": mode}, is_program=True, has_spool=False)
    assert (chosen.mode, chosen.why) == ("wait", "nothing can be put on disk")


def test_where_nothing_is_to_be_done_nothing_is_done() -> None:
    assert choose({"PATTER_TELEMETRY_EXIT": "none"}, has_spool=False).mode == "none"


@pytest.mark.parametrize("missing", ["requests", "urllib3", "dotenv"])
def test_packages_that_the_sender_would_not_find_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    """In a zip file, on PYTHONPATH, or where a `.pth` file leads."""
    place = tmp_path / "site-packages"
    for name in ("certifi", "dotenv", "idna", "platformdirs", "requests", "urllib3"):
        (place / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [None, b"x", str(tmp_path), str(place)])
    asked = {"PATTER_TELEMETRY_EXIT": "detach"}
    assert choose(asked, is_program=True).mode == "detach"
    (place / missing).rmdir()
    (tmp_path / missing).mkdir()
    chosen = choose(asked, is_program=True)
    assert chosen.mode == "wait"
    assert "packages are installed" in chosen.why


def test_a_system_that_cannot_start_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_spawn")
    assert choose({"PATTER_TELEMETRY_EXIT": "detach"}, is_program=True).mode == "wait"
