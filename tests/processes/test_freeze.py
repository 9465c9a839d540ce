"""Frozen and thawed, as AWS Lambda does it between invocations: nothing stale breaks then."""

import signal
import subprocess
from collections.abc import Iterator

import pytest
from matrix import check
from relay import Connection, Relay, relaying
from stage import Stage

from getpatter.telemetry.testing import Receiver

pytest_plugins = ("processes_fixtures",)

HANDLER = """
import sys
from getpatter.integrations.aws_lambda import flush_after
from tell import client, note, tell

@flush_after(client, timeout=60)
def handler(event, context):
    tell("running")
    return event

for line in sys.stdin:
    assert handler(line, None) == line
    note("frozen", client.stats()["waiting"])
tell("ending")
"""


@pytest.fixture
def relay(receiver: Receiver) -> Iterator[Relay]:
    with relaying(receiver) as made:
        yield made


def invoke(stage: Stage, program: subprocess.Popen[bytes], times: int) -> None:
    """Let the program handle one more invocation, and deliver before it says so."""
    assert program.stdin is not None
    program.stdin.write(b"event\n")
    program.stdin.flush()
    stage.until(frozen=times)


def one_answer_then_silence(connection: Connection) -> None:
    """A connection that a network has forgotten: nothing comes back, not even an end."""
    connection.send(
        connection.ask(connection.read_request()).replace(b"Connection: close", b"X: y")
    )
    connection.hang()


@pytest.mark.parametrize("stale", ["alive", "ended", "forgotten"])
def test_frozen_between_invocations(stage: Stage, relay: Relay, stale: str) -> None:
    if stale == "forgotten":
        relay.script(one_answer_then_silence)
    program = stage.script(HANDLER, PATTER_TELEMETRY_ENDPOINT=relay.endpoint)
    invoke(stage, program, 1)
    program.send_signal(signal.SIGSTOP)
    assert {line.pid for line in stage.told if line.phase == "frozen"} == {0}
    if stale == "ended":
        relay.cut()
    program.send_signal(signal.SIGCONT)
    invoke(stage, program, 2)
    assert {line.pid for line in stage.told if line.phase == "frozen"} == {0}
    assert stage.arrive()
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=1)
    check("frozen and thawed, as on Lambda", stage.settle())
    assert stage.starts() == stage.runs() == 2


def test_frozen_with_events_in_memory(stage: Stage, relay: Relay) -> None:
    """A freeze that came before anything could be delivered: what was recorded is not lost."""
    relay.script(Connection.hang)
    program = stage.script(
        """
import sys
from tell import client, tell
tell("running")
sys.stdin.readline()
client.flush(60)
sys.stdin.readline()
tell("ending")
""",
        PATTER_TELEMETRY_ENDPOINT=relay.endpoint,
    )
    stage.until(running=1)
    relay.wait_for_connections(1)  # the request is under way, and gets no answer
    program.send_signal(signal.SIGSTOP)
    relay.cut()
    program.send_signal(signal.SIGCONT)
    assert program.stdin is not None
    program.stdin.write(b"\n")
    program.stdin.flush()
    assert stage.arrive(), stage.output
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=1)
    assert stage.settle() == ("-", "all", "all")
