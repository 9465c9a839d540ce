"""Sudden ends: what was on disk is delivered by the next start, once; the rest once or not at all.

The moments are random; what they were is in the output of a test that fails.
"""

import json
import os
import random
import signal
import threading
from contextlib import suppress

import pytest
from behaviours import AGAIN, Behaviour, status
from host import Host
from relay import Connection, Relay
from stage import PATIENCE, Stage

pytest_plugins = ("faults_fixtures",)

MOODS: dict[str, Behaviour] = {
    "fine": Connection.pass_on,
    "hangs": AGAIN["hang_after_body"],
    "loses its answers": AGAIN["lost_answer"],
    "is overloaded": status(503),
}


def on_disk(stage: Stage) -> set[str]:
    """The events in whole batch files of the spool."""
    found: set[str] = set()
    for path in (stage.directory / "state" / "spool").glob("*.json"):
        with suppress(FileNotFoundError):  # delivered meanwhile
            events = json.loads(path.read_bytes())["events"]
            found |= {event["call_uid"] for event in events if "call_uid" in event}
    return found


@pytest.mark.parametrize("mood", MOODS)
def test_killed_at_random_moments(host: Host, stage: Stage, relay: Relay, mood: str) -> None:
    chance = random.SystemRandom()
    moments = [(chance.randint(1, 30), chance.uniform(0, 0.1)) for _ in range(6)]
    print(moments)
    kept: set[str] = set()
    for steps, seconds in moments:
        relay.always(MOODS[mood])
        before = stage.count("running")
        run = host.start(steps=1000)
        stage.until(running=before + steps)
        threading.Event().wait(seconds)
        run.program.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, run.program.pid, os.WSTOPPED | os.WNOWAIT)
        kept |= on_disk(stage)
        run.kill()
        relay.cut()
    relay.always()
    assert stage.start_next(kept), stage.output
    stage.check()


ENDS = {
    "kill -9": signal.SIGKILL,
    "SIGTERM, by default": signal.SIGTERM,
    "os._exit": None,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("mood", ["away", "hangs", "loses its answers", "is overloaded"])
def test_what_was_on_disk_is_delivered(
    host: Host, stage: Stage, relay: Relay, mood: str, end: str
) -> None:
    """Everything gets there by itself while the program does nothing."""
    if mood == "away":
        relay.go()
    else:
        relay.always(MOODS[mood])
    run = host.start(after="sys.stdin.read(); os._exit(9)")
    stage.until(running=20)
    for _ in stage.looks():
        if on_disk(stage) | stage.arrived().keys() >= stage.uids("running"):
            break
    how = ENDS[end]
    if how is None:
        assert run.program.stdin is not None
        run.program.stdin.close()
        assert run.program.wait(PATIENCE) == 9
    else:
        run.program.send_signal(how)
        assert run.program.wait(PATIENCE) == -how
    if mood == "away":
        relay.come()
    else:
        relay.cut()
        relay.always()
    assert stage.start_next(), stage.output
    stage.check()
