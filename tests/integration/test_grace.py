"""After the first notice nothing leaves for a while: there is time to say no.

An endpoint on loopback has no such while unless the environment asks for one.
"""

import os
from contextlib import closing
from pathlib import Path

from conftest import Run
from in_process import client as make_client
from in_process import environment

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.delivery import sender
from getpatter.telemetry.delivery.spool_files import waiting
from getpatter.telemetry.testing import Receiver

LONG = {"PATTER_TELEMETRY_GRACE": "600"}
# Of what is stored in whole seconds: a second or two, as a process waits for it.
SHORT = {"PATTER_TELEMETRY_GRACE": "1"}


def send(client: TelemetryClient, count: int) -> None:
    for number in range(count):
        client.record("agent_configured", builtin_tool_count=number)


def test_nothing_leaves_and_what_is_recorded_waits_on_disk(
    tmp_path: Path, receiver: Receiver
) -> None:
    with closing(make_client(tmp_path, receiver.endpoint, **LONG)) as client:
        send(client, 100)
        assert not client.flush(60)  # it does not wait for so long
        send(client, 3)
        assert not client.close(60)
        assert client.stats() == {"delivered": 0, "waiting": 0, "spooled": 103, "lost": {}}
    assert receiver.requests == []
    assert waiting(str(tmp_path / "state")) == 103


def test_a_no_within_it_means_that_nothing_ever_left(tmp_path: Path, receiver: Receiver) -> None:
    with closing(make_client(tmp_path, receiver.endpoint, **LONG)) as client:
        send(client, 100)
        assert not client.flush(60)
        (tmp_path / "state" / "telemetry-disabled").touch()
        send(client, 3)
        client.close(60)
        assert client.stats()["lost"] == {"agent_configured": {"opted_out": 103}}
    assert receiver.requests == []
    assert waiting(str(tmp_path / "state")) == 0


def test_the_rest_of_it_is_waited_for_by_who_takes_over(tmp_path: Path, receiver: Receiver) -> None:
    directory = str(tmp_path / "state")
    with closing(make_client(tmp_path, receiver.endpoint, **LONG)) as client:
        send(client, 5)
    environ = environment(tmp_path, receiver.endpoint, **LONG)
    sender.send_all(directory, environ)  # its time is shorter than the rest
    assert receiver.requests == []
    assert waiting(directory) == 5
    sender.send_all(directory, environment(tmp_path, receiver.endpoint, **SHORT))
    assert len(receiver.events) == 5
    assert waiting(directory) == 0


def test_a_later_run_waits_for_the_rest_of_it_and_then_sends_all(
    tmp_path: Path, receiver: Receiver
) -> None:
    with closing(make_client(tmp_path, receiver.endpoint, **LONG)) as client:
        send(client, 5)
    with closing(make_client(tmp_path, receiver.endpoint, **SHORT)) as client:
        send(client, 1)
        receiver.wait_for(6, 30)


def test_what_nobody_could_send_later_leaves_with_the_process(run: Run, receiver: Receiver) -> None:
    code = """
from getpatter.telemetry import TelemetryClient
import getpatter.telemetry.network.request  # loading what sending needs is no part of this
client = TelemetryClient(sdk_version="1")
client.record("cli_command", cli_command="demo")
assert not client.flush(20)
"""
    assert run(code, PATTER_TELEMETRY_STATE_DIR="/dev/null", **LONG).returncode == 0
    assert len(receiver.events) == 1


def test_on_loopback_there_is_none(tmp_path: Path, receiver: Receiver) -> None:
    with closing(make_client(tmp_path, receiver.endpoint)) as client:
        send(client, 1)
        assert client.flush(20)
    assert len(receiver.events) == 1
    assert os.path.exists(tmp_path / "state" / "notice")
