"""A host whose tests freeze the time: what waits for us returns, and the host ends."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import freezegun
import pytest
import time_machine
from conftest import Run
from in_process import client

from getpatter.telemetry.testing import Receiver

EVENT = "agent_configured"
WAYS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "freezegun": lambda: freezegun.freeze_time("2000-01-01"),
    "freezegun, ticking": lambda: freezegun.freeze_time("2000-01-01", auto_tick_seconds=3600),
    "time-machine": lambda: time_machine.travel(0, tick=False),
    "a mock": lambda: mock.patch("time.monotonic", return_value=1.0),
}


@pytest.fixture(params=WAYS)
def frozen(request: pytest.FixtureRequest) -> Iterator[None]:
    with WAYS[request.param]():
        yield


@pytest.fixture
def silent() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/ingest"


@pytest.mark.usefixtures("frozen")
def test_flush_delivers(tmp_path: Path, receiver: Receiver) -> None:
    made = client(tmp_path, receiver.endpoint)
    made.record(EVENT)
    assert made.flush(20)
    assert len(receiver.events) == 1


@pytest.mark.usefixtures("frozen")
def test_flush_returns_beside_a_silent_collector(tmp_path: Path, silent: str) -> None:
    made = client(tmp_path, silent)
    made.record(EVENT)
    assert not made.flush(0.3)
    made.close(0.1)


@pytest.mark.usefixtures("frozen")
def test_drain_returns_beside_a_silent_collector(tmp_path: Path, silent: str) -> None:
    made = client(tmp_path, silent)
    made.record(EVENT)
    asyncio.run(made.drain(0.3))
    made.close(0.1)


PROGRAM = """
{freeze}
import requests
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("agent_configured")
{last}
"""
FREEZES = {
    "freezegun": "import freezegun; freezegun.freeze_time('2000-01-01').start()",
    "time-machine": "import time_machine; time_machine.travel(0, tick=False).start()",
    "a replacement": "import time; time.monotonic = lambda: 1.0",
}


@pytest.mark.parametrize("freeze", FREEZES.values(), ids=FREEZES)
@pytest.mark.parametrize("mode", ["wait", "spool", "detach"])
def test_a_program_that_froze_the_time_before_we_were_loaded_ends(
    run: Run, silent: str, freeze: str, mode: str
) -> None:
    code = PROGRAM.format(freeze=freeze, last="")
    variables = {"PATTER_TELEMETRY_ENDPOINT": silent, "PATTER_TELEMETRY_EXIT": mode}
    assert run(code, catch_up=False, **variables).returncode == 0


@pytest.mark.parametrize("freeze", FREEZES.values(), ids=FREEZES)
def test_such_a_program_delivers(run: Run, receiver: Receiver, freeze: str) -> None:
    done = run(PROGRAM.format(freeze=freeze, last="assert client.flush(20)"))
    assert done.returncode == 0, done.stderr
    assert len(receiver.events) == 1
