"""Where a test of the host has replaced the network nothing is sent, and nothing counts as sent."""

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
import requests_mock
import responses
import urllib3
import vcr
from conftest import Run
from in_process import client, environment, wait_until

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.delivery import exits
from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.transport import HttpTransport, erase
from getpatter.telemetry.testing import Receiver

KEY = "0123456789abcdef" * 2
Replaced = Callable[[Path], AbstractContextManager[Any]]


@contextmanager
def with_responses(_: Path) -> Iterator[Callable[[], int]]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as replaced:
        replaced.post("http://127.0.0.1:9/host", body="{}")
        yield lambda: len(replaced.calls)


@contextmanager
def with_requests_mock(_: Path) -> Iterator[Callable[[], int]]:
    with requests_mock.Mocker() as replaced:
        replaced.register_uri(requests_mock.ANY, requests_mock.ANY, text="{}")
        yield lambda: len(replaced.request_history)


@contextmanager
def with_vcr(directory: Path) -> Iterator[Callable[[], int]]:
    recorder = vcr.VCR(record_mode="none")
    with recorder.use_cassette(str(directory / "cassette.yaml")) as cassette:
        yield lambda: len(cassette)


def with_mock(owner: object, name: str) -> Replaced:
    @contextmanager
    def replaced(_: Path) -> Iterator[Callable[[], int]]:
        with mock.patch.object(owner, name) as double:
            yield lambda: int(double.call_count)

    return replaced


def with_function(owner: Any, name: str) -> Replaced:
    """A double by hand, as a fixture of the host's makes one."""

    @contextmanager
    def replaced(_: Path) -> Iterator[Callable[[], int]]:
        calls: list[object] = []

        def double(*_: object, **__: object) -> None:
            calls.append(1)

        with mock.patch.object(owner, name, double):
            yield lambda: len(calls)

    return replaced


REPLACED = {
    "responses": with_responses,
    "requests_mock": with_requests_mock,
    "vcr": with_vcr,
    "a mock for requests.post": with_mock(requests, "post"),
    "a mock for Session.send": with_mock(requests.Session, "send"),
    "a mock for Session": with_mock(requests.sessions, "Session"),
    "a mock for urlopen": with_mock(urllib3.HTTPConnectionPool, "urlopen"),
    "a mock for HTTPConnection": with_mock(http.client, "HTTPConnection"),
    "a mock for sockets": with_mock(socket, "create_connection"),
    "an adapter by hand": with_function(requests.adapters.HTTPAdapter, "send"),
    "get_adapter by hand": with_function(requests.Session, "get_adapter"),
}


@pytest.mark.parametrize("replaced", REPLACED.values(), ids=REPLACED.keys())
def test_nothing_is_sent_and_the_hosts_double_sees_nothing(
    receiver: Receiver, tmp_path: Path, replaced: Replaced
) -> None:
    batch = Batch([{"event": "x"}], KEY, 0.0, {})
    with closing(HttpTransport(receiver.endpoint)) as transport:
        assert transport.send(batch, 0.0).status == 200  # also with a connection that is open
        with replaced(tmp_path) as calls:
            assert transport.send(batch, 0.0).status is None
            with closing(HttpTransport(receiver.endpoint)) as another:
                assert another.send(batch, 0.0).status is None
            assert erase(receiver.endpoint, KEY, "1") == (None, None)
            assert calls() == 0
        assert len(receiver.requests) == 1
        assert transport.send(batch, 0.0).status == 200
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("replaced", REPLACED.values(), ids=REPLACED.keys())
def test_what_is_recorded_meanwhile_is_dropped_and_counted_and_never_leaves(
    receiver: Receiver, tmp_path: Path, replaced: Replaced
) -> None:
    with closing(client(tmp_path, receiver.endpoint)) as telemetry:
        with replaced(tmp_path) as calls:
            telemetry.record("cli_command", cli_command="demo")
            telemetry.flush(5)
            assert calls() == 0
        telemetry.record("cli_command", cli_command="demo")
        assert telemetry.flush(60)
        said = telemetry.stats()
        assert (said["delivered"], said["spooled"]) == (0, 0)
        assert said["lost"] == {"cli_command": {"opted_out": 2}}
    assert receiver.requests == []
    with closing(client(tmp_path, receiver.endpoint)) as later:
        later.record("agent_configured")
        assert later.flush(60)
    assert [event["event"] for event in receiver.events] == ["agent_configured"]


def test_what_waited_on_disk_when_the_network_was_replaced_is_dropped_too(
    receiver: Receiver, tmp_path: Path
) -> None:
    with closing(client(tmp_path, receiver.endpoint, PATTER_TELEMETRY_GRACE="600")) as telemetry:
        telemetry.record("cli_command", cli_command="demo")
        wait_until(lambda: telemetry.stats()["spooled"] == 1)
        lost = {"agent_configured": {"opted_out": 1}, "cli_command": {"opted_out": 1}}
        with with_responses(tmp_path):
            telemetry.record("agent_configured")
            wait_until(lambda: telemetry.stats()["lost"] == lost)
        assert telemetry.stats()["spooled"] == 0
    assert not list(tmp_path.rglob("spool/*.json"))


def test_what_another_run_left_is_not_dropped_by_a_test_run(
    receiver: Receiver, tmp_path: Path
) -> None:
    ended = client(tmp_path, receiver.endpoint, PATTER_TELEMETRY_GRACE="600")
    ended.record("cli_command", cli_command="demo")
    ended.close(0)
    with closing(client(tmp_path, receiver.endpoint)) as telemetry, with_responses(tmp_path):
        telemetry.record("agent_configured")
        telemetry.flush(5)
    assert len(list(tmp_path.rglob("spool/*.json"))) == 1
    with closing(client(tmp_path, receiver.endpoint)) as later:
        later.record("agent_configured")
        assert later.flush(60)
        wait_until(lambda: len(receiver.events) == 2)
    assert [event["event"] for event in receiver.events] == ["agent_configured", "cli_command"]


def test_a_client_that_is_made_meanwhile_is_off(receiver: Receiver, tmp_path: Path) -> None:
    with with_responses(tmp_path):
        made = TelemetryClient(sdk_version="1", environ=environment(tmp_path, receiver.endpoint))
    assert not made.enabled


@pytest.mark.parametrize("mode", ["detach", "wait", "spool"])
def test_a_test_run_leaves_nothing_behind_however_it_ends(
    run: Run, receiver: Receiver, home: Path, mode: str
) -> None:
    code = """
import responses
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("cli_command", cli_command="demo")
responses.start()
"""
    assert run(code, PATTER_TELEMETRY_EXIT=mode, catch_up=False).returncode == 0
    assert not list(home.rglob("spool/*.json"))
    assert receiver.requests == []


def test_the_hosts_double_still_serves_the_host(receiver: Receiver, tmp_path: Path) -> None:
    with (
        closing(client(tmp_path, receiver.endpoint)) as telemetry,
        responses.RequestsMock() as replaced,
    ):
        replaced.get("http://127.0.0.1:9/host", body="from the double")
        telemetry.record("cli_command", cli_command="demo")
        telemetry.flush(5)
        assert requests.get("http://127.0.0.1:9/host", timeout=5).text == "from the double"
        assert len(replaced.calls) == 1


def test_what_only_wraps_the_network_is_no_double(receiver: Receiver) -> None:
    """As tracing does it, and hosts that set a time limit everywhere."""
    send = requests.Session.send

    def limited(self: requests.Session, request: Any, **kwargs: Any) -> requests.Response:
        return send(self, request, **{"timeout": 5, **kwargs})

    with (
        mock.patch.object(requests.Session, "send", limited),
        closing(HttpTransport(receiver.endpoint)) as transport,
    ):
        assert transport.send(Batch([{"event": "x"}], KEY, 0.0, {}), 0.0).status == 200


@pytest.mark.parametrize("error", [UserWarning, LookupError, AssertionError, OSError])
def test_a_guard_of_the_hosts_tests_may_raise_anything(
    receiver: Receiver, error: type[Exception]
) -> None:
    with (
        mock.patch.object(socket.socket, "connect", side_effect=error("not in a test")),
        closing(HttpTransport(receiver.endpoint)) as transport,
    ):
        assert transport.send(Batch([{"event": "x"}], KEY, 0.0, {}), 0.0).status is None
    assert receiver.requests == []


def test_no_sender_goes_on_for_a_program_whose_network_is_replaced(
    tmp_path: Path, receiver: Receiver
) -> None:
    environ = environment(tmp_path, receiver.endpoint)
    directory = environ["PATTER_TELEMETRY_STATE_DIR"]
    (tmp_path / "state" / "spool").mkdir(mode=0o700)
    with with_responses(tmp_path):
        assert not exits.start_sender(directory, environ)
    assert exits.start_sender(directory, environ)
