"""The helpers for ASGI and AWS Lambda: they deliver, and are never in the way."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from in_process import client

from getpatter.integrations.asgi import telemetry_app, telemetry_lifespan
from getpatter.integrations.aws_lambda import flush_after
from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.testing import Receiver

EVENT = "agent_configured"


class Context:
    """What Lambda hands over as `context`, as far as it matters here."""

    def __init__(self, milliseconds: int) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class Broken:
    """A client that fails in everything."""

    def flush(self, timeout: float = 0) -> bool:
        raise RuntimeError(timeout)

    async def drain(self, timeout: float = 0) -> None:
        raise RuntimeError(timeout)


class Asked:
    """A client that keeps how long it was asked to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def flush(self, timeout: float = -1) -> bool:
        self.seconds.append(timeout)
        return True


@pytest.fixture
def telemetry(tmp_path: Path, receiver: Receiver) -> Iterator[TelemetryClient]:
    made = client(tmp_path, receiver.endpoint)
    yield made
    made.close(5)


@pytest.fixture
def unheard(tmp_path: Path) -> Iterator[TelemetryClient]:
    """A client whose collector takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = client(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/v1/ingest")
        yield made
        made.close(0)


# AWS Lambda


def test_each_invocation_delivers_before_it_returns(
    telemetry: TelemetryClient, receiver: Receiver
) -> None:
    @flush_after(telemetry, timeout=30)
    def handler(event: int, context: object) -> tuple[int, object]:
        """Say what came."""
        telemetry.record(EVENT, builtin_tool_count=event)
        return event, context

    for number in range(3):
        assert handler(number, None) == (number, None)
        assert [event["builtin_tool_count"] for event in receiver.events] == [*range(number + 1)]
    assert handler.__name__ == "handler"
    assert handler.__doc__ == "Say what came."


def test_a_handler_that_fails_fails_as_before_and_delivers(
    telemetry: TelemetryClient, receiver: Receiver
) -> None:
    problem = KeyError("of the handler")

    @flush_after(telemetry, timeout=30)
    def handler(event: object, context: object) -> None:  # noqa: ARG001
        telemetry.record(EVENT)
        raise problem

    with pytest.raises(KeyError) as raised:
        handler({}, None)
    assert raised.value is problem
    assert raised.value.__context__ is None
    assert len(receiver.events) == 1


@pytest.mark.parametrize("context", [None, Context(10_000), "no context"])
def test_a_client_that_fails_is_not_noticed(context: object) -> None:
    problem = KeyError("of the handler")

    @flush_after(Broken())
    def handler(event: object, context: object) -> object:
        if context == "no context":
            raise problem
        return event

    if context == "no context":
        with pytest.raises(KeyError) as raised:
            handler(1, context)
        assert raised.value is problem
    else:
        assert handler(1, context) == 1


@pytest.mark.parametrize(
    ("milliseconds", "seconds"), [(60_000, 0.5), (400, 0.3), (100, 0.0), (0, 0.0), (-5, 0.0)]
)
def test_it_waits_no_longer_than_the_invocation_has_left(milliseconds: int, seconds: float) -> None:
    asked = Asked()

    @flush_after(asked)
    def handler(event: object, context: object) -> object:  # noqa: ARG001
        return event

    handler({}, Context(milliseconds))
    handler({}, context=Context(milliseconds))
    assert asked.seconds == pytest.approx([seconds, seconds])


# ASGI


@asynccontextmanager
async def own(app: TelemetryClient) -> AsyncIterator[dict[str, int]]:
    app.record(EVENT, builtin_tool_count=1)
    yield {"state": 1}
    app.record(EVENT, builtin_tool_count=2)


def test_a_lifespan_is_lived_as_before_and_delivers_at_its_end(
    telemetry: TelemetryClient, receiver: Receiver
) -> None:
    async def live() -> None:
        for _ in range(2):
            async with telemetry_lifespan(telemetry, own, timeout=30)(telemetry) as state:
                assert state == {"state": 1}

    asyncio.run(live())
    assert [event["builtin_tool_count"] for event in receiver.events] == [1, 2, 1, 2]


def test_what_a_lifespan_raises_is_raised() -> None:
    problem = KeyError("of the application")

    @asynccontextmanager
    async def failing(app: object) -> AsyncIterator[None]:  # noqa: ARG001
        yield
        raise problem

    async def live() -> None:
        async with telemetry_lifespan(Broken(), failing)(None):
            pass

    with pytest.raises(KeyError) as raised:
        asyncio.run(live())
    assert raised.value is problem


def test_a_delivery_that_takes_its_time_does_not_block_the_loop(unheard: TelemetryClient) -> None:
    async def live() -> int:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async with telemetry_lifespan(unheard, timeout=0.5)(None):
            unheard.record(EVENT)
            turning = asyncio.ensure_future(turn())
        turning.cancel()
        return turns

    assert asyncio.run(live()) > 10


def test_a_request_is_passed_on_untouched() -> None:
    seen = []

    async def app(*arguments: object) -> None:
        seen.append(arguments)

    async def receive() -> dict[str, object]:
        return {}

    async def send(message: object) -> None: ...

    scope = {"type": "http"}

    async def serve() -> None:
        await telemetry_app(app, Broken())(scope, receive, send)

    asyncio.run(serve())
    assert seen == [(scope, receive, send)]
    assert seen[0][0] is scope


# both


def test_they_load_no_package_of_anyone() -> None:
    code = (
        "import sys, getpatter.integrations.asgi, getpatter.integrations.aws_lambda\n"
        "print({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout in ("{'getpatter', '__main__'}\n", "{'__main__', 'getpatter'}\n")
