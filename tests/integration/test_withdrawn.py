"""Consent that is withdrawn at a bad moment: nothing leaves, and what is lost is counted."""

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from in_process import client as make_client
from in_process import environment

from getpatter.telemetry import TelemetryClient, opt_out
from getpatter.telemetry.delivery import sender
from getpatter.telemetry.delivery.spool_files import waiting
from getpatter.telemetry.testing import Answer, Receiver


def send(client: TelemetryClient, *numbers: int) -> None:
    for number in numbers:
        client.record("agent_configured", builtin_tool_count=number)


def test_while_what_sending_needs_is_loaded(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    code = """
import json, os, sys
from getpatter.telemetry import TelemetryClient
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "requests":
            open(os.environ["MARKER"], "w").close()
            print("loading", flush=True)
sys.meta_path.insert(0, Finder())
client = TelemetryClient(sdk_version="1")
client.record("cli_command", cli_command="demo")
client.flush(20)
print(json.dumps(client.stats()["lost"]))
"""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    done = run(
        code,
        PATTER_TELEMETRY_STATE_DIR=str(directory),
        MARKER=str(directory / "telemetry-disabled"),
    )
    *loading, lost = done.stdout.splitlines()
    assert set(loading) == {"loading"}
    assert json.loads(lost) == {"cli_command": {"opted_out": 1}}
    assert receiver.requests == []


def test_while_the_collector_s_name_is_looked_up(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server may take seconds, in which a person has the time to say no."""
    endpoint = receiver.endpoint.replace("127.0.0.1", "localhost")
    environ = environment(tmp_path, endpoint)
    look_up = socket.getaddrinfo

    def slow(*arguments: Any, **more: Any) -> Any:
        opt_out.set_opt_out(environ, disabled=True)
        return look_up(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with closing(make_client(tmp_path, endpoint)) as client:
        send(client, 1, 2)
        client.flush(20)
        assert client.stats()["lost"] == {"agent_configured": {"opted_out": 2}}
    assert receiver.requests == []


def test_an_opt_out_that_is_taken_back_at_once_ends_the_telemetry_of_that_run(
    tmp_path: Path, receiver: Receiver
) -> None:
    environ = environment(tmp_path, receiver.endpoint)
    with closing(make_client(tmp_path, receiver.endpoint)) as client:
        send(client, 1)
        assert client.flush(20)
        opt_out.set_opt_out(environ, disabled=True)
        opt_out.set_opt_out(environ, disabled=False)
        before = sorted(path.name for path in (tmp_path / "state").iterdir())
        send(client, 2, 3)
        assert client.flush(20)
        send(client, 4)
        assert client.stats()["lost"] == {"agent_configured": {"opted_out": 3}}
        assert sorted(path.name for path in (tmp_path / "state").iterdir()) == before
    assert len(receiver.requests) == 1


def test_another_id_in_the_place_of_ours_is_such_an_opt_out(
    tmp_path: Path, receiver: Receiver
) -> None:
    with closing(make_client(tmp_path, receiver.endpoint)) as client:
        send(client, 1)
        assert client.flush(20)
        (tmp_path / "state" / "install-id").write_text("f" * 32)
        send(client, 2)
        assert client.flush(20)
        assert client.stats()["lost"] == {"agent_configured": {"opted_out": 1}}
    assert len(receiver.requests) == 1
    assert (tmp_path / "state" / "install-id").read_text() == "f" * 32


def test_what_is_on_disk_is_sent_by_no_sender(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer(Answer(503, headers={"Retry-After": "50"}))
    with closing(make_client(tmp_path, receiver.endpoint)) as client:
        send(client, 1)
        assert not client.flush(20)
    directory = str(tmp_path / "state")
    assert waiting(directory) == 1
    environ = environment(tmp_path, receiver.endpoint)
    dotenv = tmp_path / ".env"
    dotenv.write_text("PATTER_TELEMETRY_DISABLED=1\n")
    sender.send_all(directory, environ, dotenv=str(dotenv))
    for refusal in ({"DO_NOT_TRACK": "1"}, {"CI": "true"}, {"PATTER_TELEMETRY": "0"}):
        sender.send_all(directory, {**environ, **refusal})
    assert len(receiver.requests) == 1
    assert waiting(directory) == 1
    sender.send_all(directory, environ)
    assert len(receiver.events) == 1


def test_a_half_that_was_taken_is_not_sent_again_with_the_whole(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The sender ends while one half waits; the next one sends that half alone."""
    receiver.answer(Answer(503, headers={"Retry-After": "50"}))
    with closing(make_client(tmp_path, receiver.endpoint)) as client:
        client.record("no_such_event")
        send(client, *range(6))
        assert not client.flush(20)
    environ = environment(tmp_path, receiver.endpoint)
    receiver.answer(413, 200, Answer(503, headers={"Retry-After": "50"}))
    sender.send_all(str(tmp_path / "state"), environ)
    assert waiting(str(tmp_path / "state")) == 3
    sender.send_all(str(tmp_path / "state"), environ)
    assert [event["builtin_tool_count"] for event in receiver.events] == list(range(6))
    assert receiver.losses == {("unknown", "unknown_event"): 1}
    assert waiting(str(tmp_path / "state")) == 0
