"""A clock that jumps: what was kept is neither lost nor sent twice, and its age is a possible one.

With libfaketime, for the wall clock alone, as when somebody sets it; a program reads the jump from
a file, so that it can come while it runs.
"""

import glob
import time
from pathlib import Path

import pytest
from behaviours import Behaviour, hang_after_body, reset_at_once
from host import Host
from relay import Connection, Relay
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


@pytest.fixture
def frozen(stage: Stage, clock: Path) -> None:
    """Let every clock of the stage's programs stand still, the monotonic one included."""
    clock.unlink()
    for name in ("FAKETIME_TIMESTAMP_FILE", "FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC"):
        stage.environ.pop(name)
    stage.environ["FAKETIME"] = "2030-01-01 00:00:00"


def test_the_clock_of_a_program_stands_still(stage: Stage, frozen: None) -> None:
    """Else the rest would show nothing."""
    del frozen
    program = stage.script("""
import time
before = time.monotonic()
sum(range(1_000_000))
print(time.monotonic() - before)
""")
    assert stage.finish(program) == 0
    assert stage.output == "0.0\n"


FROZEN = """
import tell as program
from getpatter.telemetry import TelemetryClient
from tell import client, tell

tell("running")
client.flush(0.5)
tell("running")
client.close(0.5)
program.client = TelemetryClient(sdk_version="1")
tell("ending")
"""


@pytest.mark.parametrize("mode", ["wait", "detach", "spool"])
@pytest.mark.parametrize("behaviour", [Connection.pass_on, hang_after_body, reset_at_once])
def test_flush_close_and_exit_end_though_the_clock_stands_still(
    stage: Stage, relay: Relay, frozen: None, behaviour: Behaviour, mode: str
) -> None:
    """However the collector behaves, and nothing is lost. The exit is that of another client, which
    was not closed.
    """
    del frozen
    relay.always(behaviour)
    program = stage.script(FROZEN, PATTER_TELEMETRY_EXIT=mode)
    assert stage.finish(program) == 0, stage.output
    relay.always()
    assert stage.start_next(variables={"LD_PRELOAD": ""}), stage.output
    stage.check()
