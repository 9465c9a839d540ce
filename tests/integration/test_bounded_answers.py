"""An answer that does not end is given up, and the batch is sent again; the host hears nothing."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import client
from relay import Connection, Relay, relaying

from getpatter.telemetry.testing import Receiver


@pytest.fixture
def relay(receiver: Receiver) -> Iterator[Relay]:
    with relaying(receiver) as made:
        yield made


def drip(connection: Connection) -> None:
    """Each read succeeds, and the head never ends."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while not connection.hang(0.2):
        connection.send(b"X")


def keep_on(connection: Connection) -> None:
    """As a collector that only ever asks for more."""
    connection.read_request()
    while True:
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def be_out_of_order(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 503 So\r\nno header\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("behaviour", [drip, keep_on, be_out_of_order])
def test_the_batch_is_sent_again(
    relay: Relay,
    receiver: Receiver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    behaviour: object,
) -> None:
    caplog.set_level(logging.INFO)
    assert callable(behaviour)
    relay.script(behaviour)
    telemetry = client(tmp_path, relay.endpoint)
    telemetry.record("agent_configured")
    assert telemetry.flush(60)
    assert [event["event"] for event in receiver.events] == ["agent_configured"]
    assert relay.connected == 2
    assert caplog.records == []
    telemetry.close(5)
