"""A fork in the host: from Python 3.12 on the interpreter warns of one in a process with threads.
Ours end before it if they can, so that a program without threads of its own is not warned.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

FORKS = """
import json, os, sys, warnings
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("cli_command", cli_command="demo")
assert client.flush(30)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for number in range(forks):
        child = os.fork()
        if not child:
            client.record("agent_configured", builtin_tool_count=number)
            delivered = client.flush(30)
            os._exit(0 if delivered else 1)
        assert os.waitpid(child, 0)[1] == 0
        if records:
            client.record("agent_configured", builtin_tool_count=100 + number)
            assert client.flush(30)
print(json.dumps([str(warning.message) for warning in warned]))
"""


@pytest.mark.parametrize(("forks", "records"), [(1, False), (3, False), (3, True)])
def test_a_fork_is_not_warned_of_for_our_sake(
    run: Run, receiver: Receiver, forks: int, *, records: bool
) -> None:
    done = run(f"forks, records = {forks}, {records}\n{FORKS}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    configured = [e["builtin_tool_count"] for e in receiver.events if "builtin_tool_count" in e]
    parents = [100 + number for number in range(forks)] if records else []
    assert sorted(configured) == sorted([*range(forks), *parents])


WAITING = """
import json, os, warnings
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
assert client.flush(30)
client.record("cli_command", cli_command="demo")
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
assert client.flush(30)
"""


def test_what_waits_at_a_fork_is_delivered_by_the_parent_once(run: Run, receiver: Receiver) -> None:
    done = run(WAITING)
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events] == ["cli_command"]
