"""A clock that jumps: what was kept is neither lost nor sent twice, and its age is a possible one.

With libfaketime, for the wall clock alone, as when somebody sets it; a program reads the jump from
a file, so that it can come while it runs.
"""

import glob
import time
from pathlib import Path

import pytest
from host import Host
from relay import Relay
from stage import Stage

pytest_plugins = ("faults_fixtures",)

DAY = 86_400
PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


@pytest.fixture
def clock(stage: Stage) -> Path:
    """The file that says by how much the clock is wrong, for all programs of the stage."""
    found = [path for place in PLACES for path in glob.glob(place)]
    if not found:
        pytest.fail("this tier needs libfaketime (Debian: apt-get install faketime)")
    file = stage.write("clock", "+0d")
    stage.environ |= {
        "LD_PRELOAD": found[0],
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    return file


def test_the_clock_of_a_program_is_wrong(stage: Stage, clock: Path) -> None:
    """Else the rest would show nothing."""
    clock.write_text("-3d")
    program = stage.script("import time; print(time.time(), time.monotonic())")
    assert stage.finish(program) == 0
    wall, monotonic = map(float, (stage.directory / "stdout").read_text("utf-8").split())
    assert abs(time.time() - 3 * DAY - wall) < DAY / 2
    assert abs(time.monotonic() - monotonic) < DAY / 2


@pytest.mark.parametrize("mode", ["wait", "detach", "spool"])
@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_jump_between_two_starts(
    host: Host, relay: Relay, clock: Path, jump: str, mode: str
) -> None:
    stage = host.stage
    relay.go()
    host.run(PATTER_TELEMETRY_EXIT=mode)
    relay.come()
    clock.write_text(jump)
    assert stage.start_next(), stage.output
    stage.check()
    assert {request.status for request in stage.receiver.requests} == {200}
    ages = [request.batch_age or 0 for request in stage.receiver.requests]
    assert max(ages) <= DAY + 3600


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_jump_while_the_host_runs(
    host: Host, stage: Stage, relay: Relay, clock: Path, jump: str
) -> None:
    relay.go()
    run = host.start(steps=60, after="sys.stdin.read()")
    stage.until(running=20)
    clock.write_text(jump)
    stage.until(running=40)
    relay.come()
    stage.until(running=60)
    assert stage.arrive(), stage.output
    assert run.program.stdin is not None
    run.program.stdin.close()
    run.end()
    assert stage.start_next(), stage.output
    stage.check()
    assert {request.status for request in stage.receiver.requests} == {200}


def test_what_is_older_than_a_week_is_given_up(
    host: Host, stage: Stage, relay: Relay, clock: Path
) -> None:
    relay.go()
    host.run(PATTER_TELEMETRY_EXIT="spool")
    relay.come()
    clock.write_text("+8d")
    assert stage.start_next(set())
    assert stage.start_next(set())
    stage.check()
    assert set(stage.arrived()) == stage.uids("next")
