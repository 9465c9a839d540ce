"""Whoever upgrades from the release keeps identity and opt-out, and so does who goes back.

The state is made by running the untouched release. "Ours" is once its copy with our `telemetry`,
once our own package.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from dropin_library import PROGRAM, RELEASE, Library, Machine, command

import getpatter

pytest_plugins = ("dropin_fixtures",)

START = PROGRAM + "patter()"
OUR_START = "from getpatter import Patter; Patter(carrier='none', engine='pipeline')"
DAY = 86_400

Start = Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["HOME", "XDG_STATE_HOME"])
def place(request: pytest.FixtureRequest, machine: Machine) -> Path:
    """Where the release keeps its state on this machine."""
    if request.param == "HOME":
        return machine.home / ".getpatter"
    machine.variables["XDG_STATE_HOME"] = str(machine.home / "state")
    return machine.home / "state" / "getpatter"


@pytest.fixture(params=["copy", "package"])
def start(request: pytest.FixtureRequest, machine: Machine, dropin: Library) -> Start:
    """Start ours; return the events."""
    root = Path(getpatter.__file__).parent.parent
    package = Library(Path(sys.executable), root, dropin.inside)

    def run() -> list[dict[str, Any]]:
        is_copy = request.param == "copy"
        done = machine.run(*((dropin, START) if is_copy else (package, OUR_START)))
        assert done.status == 0, done.stderr
        assert machine.receiver.refused == []
        return done.events

    return run


def run_release(machine: Machine, released: Library, code: str = START) -> list[dict[str, Any]]:
    done = machine.run(released, code)
    assert done.status == 0, done.stderr
    return done.events


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def install_ids(*runs: list[dict[str, Any]]) -> set[str]:
    return {event["install_id"] for events in runs for event in events}


def make_older(place: Path, days: int) -> None:
    then = time.time() - days * DAY
    os.utime(place / "install-id", (then, then))


def test_an_upgrade_is_the_same_install_and_no_first_run(
    machine: Machine, place: Path, released: Library, start: Start
) -> None:
    before = run_release(machine, released)
    assert names(before) == ["first_run", "sdk_initialized"]
    after, again = start(), start()
    assert names(after)[0] == "sdk_initialized"
    assert {"first_run"}.isdisjoint(names(after + again))
    assert install_ids(before, after, again) == {(place / "install-id").read_text().strip()}


@pytest.fixture(params=["default", "named"])
def wide_place(request: pytest.FixtureRequest, machine: Machine) -> Path:
    """A state directory that the release made, which others may read; where ours looks first."""
    machine.variables["XDG_STATE_HOME"] = str(machine.home / "state")
    directory = machine.home / "state" / "getpatter"
    if request.param == "named":
        machine.variables["PATTER_TELEMETRY_STATE_DIR"] = str(directory)
    return directory


def test_a_directory_that_the_release_made_is_used_as_it_is(
    machine: Machine, wide_place: Path, released: Library, start: Start
) -> None:
    """It has mode 0755: others may look into it, but nobody else may write there."""
    before = run_release(machine, released)
    wide_place.chmod(0o755)
    after, again = start(), start()
    assert {"first_run"}.isdisjoint(names(after + again))
    assert install_ids(before, after, again) == {(wide_place / "install-id").read_text().strip()}
    assert machine.stderr == "", "the notice was shown before"
    files = [path for path in wide_place.rglob("*") if path.is_file()]
    ours = [path for path in files if path.name not in {"install-id", "first-run", "version"}]
    assert {path.stat().st_mode & 0o777 for path in ours} <= {0o600}


@pytest.mark.parametrize("age", [(0, "0"), (3, "1_7"), (10, "8_30"), (99, "30_plus")])
def test_an_upgrade_keeps_the_install_date_from_then_on(
    machine: Machine, place: Path, released: Library, start: Start, age: tuple[int, str]
) -> None:
    days, bucket = age
    run_release(machine, released)
    make_older(place, days)
    assert start()[0]["days_since_install_bucket"] == bucket
    # Stored now: what happens to the old file's time, a restored backup say, no longer counts.
    make_older(place, 15)
    assert start()[0]["days_since_install_bucket"] == bucket


def test_an_upgrade_knows_which_version_ran_before(
    machine: Machine, place: Path, released: Library, start: Start
) -> None:
    run_release(machine, released)
    assert (place / "version").read_text().strip() == RELEASE
    assert start()[0]["previous_sdk_version"] == RELEASE


@pytest.mark.parametrize("after_a_start", [True, False])
def test_an_opt_out_of_the_release_is_one_of_ours(
    machine: Machine, place: Path, released: Library, start: Start, *, after_a_start: bool
) -> None:
    if after_a_start:
        run_release(machine, released)
    run_release(machine, released, command("telemetry disable"))
    assert (place / "telemetry-disabled").exists()
    before = tree(machine.home)
    assert start() == []
    assert tree(machine.home) == before


def test_the_release_s_opt_out_can_be_taken_back_with_ours(
    machine: Machine, place: Path, released: Library, dropin: Library
) -> None:
    run_release(machine, released, command("telemetry disable"))
    machine.run(dropin, command("telemetry enable"))
    assert not (place / "telemetry-disabled").exists()
    assert "ENABLED" in machine.run(released, command("telemetry status")).stdout
    assert "sdk_initialized" in names(machine.run(dropin, START).events)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("upgraded", [True, False])
def test_our_opt_out_is_one_of_the_release(
    machine: Machine, released: Library, dropin: Library, start: Start, *, upgraded: bool
) -> None:
    if upgraded:
        run_release(machine, released)
    start()
    machine.run(dropin, command("telemetry disable"))
    assert "DISABLED" in machine.run(released, command("telemetry status")).stdout
    assert run_release(machine, released) == []
    assert list(machine.home.rglob("install-id")) == [], "an opt-out erases the identity"


@pytest.mark.usefixtures("place")
def test_who_goes_back_after_an_upgrade_is_the_same_install_and_no_first_run(
    machine: Machine, released: Library, start: Start
) -> None:
    before, ours = run_release(machine, released), start()
    back = run_release(machine, released)
    assert names(back) == ["sdk_initialized"]
    assert install_ids(before, ours, back) == install_ids(before)
    assert install_ids(start()) == install_ids(before)


def test_ours_first_and_then_the_release_is_one_install_where_both_look(
    machine: Machine, released: Library, start: Start
) -> None:
    """Only with XDG_STATE_HOME: without it the release does not look where state belongs today."""
    machine.variables["XDG_STATE_HOME"] = str(machine.home / "state")
    ours = start()
    make_older(machine.home / "state" / "getpatter", 10)
    back = run_release(machine, released)
    assert names(back) == ["sdk_initialized"]
    assert install_ids(back) == install_ids(ours)
    assert back[0]["days_since_install_bucket"] == "8_30"
