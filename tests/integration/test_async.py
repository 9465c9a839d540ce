"""`drain` and `aclose` in coroutines: on asyncio, trio and anyio, cancelled and forked."""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from conftest import Run
from in_process import client
from own_threads import own_threads

from getpatter.integrations.asgi import telemetry_app, telemetry_lifespan
from getpatter.telemetry.testing import Answer, Receiver

EVENT = "agent_configured"
Start = Callable[[Callable[[], Awaitable[Any]]], Any]
LIBRARIES: dict[str, Start] = {
    "asyncio": lambda main: asyncio.run(main()),  # type: ignore[arg-type]
    "trio": trio.run,
    "anyio on asyncio": lambda main: anyio.run(main, backend="asyncio"),
    "anyio on trio": lambda main: anyio.run(main, backend="trio"),
}


@pytest.fixture(params=LIBRARIES)
def start(request: pytest.FixtureRequest) -> Start:
    return LIBRARIES[request.param]


@pytest.fixture
def silent() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/ingest"


def others() -> set[FrameType]:
    """The threads that earlier tests left: each goes on until its time is over."""
    return own_threads("drain")


def waiters(before: set[FrameType]) -> int:
    return len(own_threads("drain") - before)


def test_drain_delivers_and_the_client_stays_usable(
    tmp_path: Path, receiver: Receiver, start: Start
) -> None:
    made = client(tmp_path, receiver.endpoint)

    async def main() -> None:
        for number in (1, 2):
            made.record(EVENT, builtin_tool_count=number)
            await made.drain(20)
            assert made.stats()["delivered"] == number

    start(main)
    assert [event["builtin_tool_count"] for event in receiver.events] == [1, 2]


def test_aclose_delivers_and_records_no_more(
    tmp_path: Path, receiver: Receiver, start: Start
) -> None:
    made = client(tmp_path, receiver.endpoint)

    async def main() -> None:
        made.record(EVENT)
        await made.drain(20)
        await made.aclose()
        made.record(EVENT)

    start(main)
    assert made.stats()["lost"] == {EVENT: {"shutdown": 1}}


def test_a_lifespan_delivers(tmp_path: Path, receiver: Receiver, start: Start) -> None:
    made = client(tmp_path, receiver.endpoint)
    sent = []

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError

    async def receive() -> dict[str, object]:
        return {}

    async def send(message: Any) -> None:
        sent.append((message["type"], made.stats()["delivered"]))

    async def main() -> None:
        async with telemetry_lifespan(made, timeout=20)(None):
            made.record(EVENT)
        made.record(EVENT)
        await telemetry_app(nothing, made, timeout=20)({"type": "lifespan"}, receive, send)

    start(main)
    assert sent == [("lifespan.startup.complete", 1), ("lifespan.shutdown.complete", 2)]


def test_the_loop_goes_on_while_a_collector_hangs(
    tmp_path: Path, silent: str, start: Start
) -> None:
    made = client(tmp_path, silent)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def main() -> None:
        made.record(EVENT)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn)
            await made.drain(0.5)
            tasks.cancel_scope.cancel()

    start(main)
    assert turns > 10
    made.close(0)


def test_drains_that_are_cancelled_leave_one_thread(
    tmp_path: Path, silent: str, start: Start
) -> None:
    made, before = client(tmp_path, silent), others()

    async def main() -> None:
        made.record(EVENT)
        for _ in range(200):
            with anyio.move_on_after(0.001):
                await made.drain(5)
        assert waiters(before) <= 1

    start(main)
    made.close(0)


def test_coroutines_wait_side_by_side_each_for_its_own_time(tmp_path: Path, silent: str) -> None:
    made, before = client(tmp_path, silent), others()
    ended = []

    async def drain(seconds: float) -> None:
        await made.drain(seconds)
        ended.append(seconds)

    async def main() -> None:
        made.record(EVENT)
        long = asyncio.ensure_future(drain(30))
        await asyncio.gather(*(drain(seconds) for seconds in (0.8, 0.5, 0.2)))
        assert waiters(before) == 1
        long.cancel()

    asyncio.run(main())
    assert ended == [0.2, 0.5, 0.8]
    made.close(0)


def test_a_collector_to_be_left_alone_is_not_waited_for(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer(Answer(503, headers={"Retry-After": "600"}))
    made = client(tmp_path, receiver.endpoint)
    made.record(EVENT)
    assert not made.flush(20)

    async def main() -> None:
        await asyncio.wait_for(made.drain(300), 60)

    asyncio.run(main())
    made.close(0)


def test_aclose_does_not_block_the_loop_while_the_worker_is_held_up(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here by a stderr that takes its time for the notice."""
    writing, go_on = threading.Event(), threading.Event()

    class Slow:
        def write(self, text: str) -> int:
            writing.set()
            assert go_on.wait(60)
            return len(text)

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stderr", Slow())
    made = client(tmp_path, receiver.endpoint)

    async def main() -> None:
        made.record(EVENT)
        closing = asyncio.ensure_future(made.aclose())
        assert await asyncio.to_thread(writing.wait, 60)
        begun = before = time.monotonic()
        lag = 0.0
        while not closing.done() and before < begun + 2.5:  # it waits two seconds before it closes
            await asyncio.sleep(0)
            now = time.monotonic()
            lag, before = max(lag, now - before), now
        go_on.set()
        await closing
        assert lag < 1.5

    asyncio.run(main())


def test_aclose_closes_though_it_is_cancelled(tmp_path: Path, silent: str) -> None:
    made = client(tmp_path, silent)

    async def main() -> None:
        made.record(EVENT)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(made.aclose(), 0.01)

    asyncio.run(main())
    until = time.monotonic() + 60
    while made.collects()[1] or made.stats()["spooled"] != 1:
        assert time.monotonic() < until
        os.sched_yield()


def test_a_loop_of_another_kind_is_not_waited_for(tmp_path: Path, receiver: Receiver) -> None:
    """Nothing is known of it, so nothing can be awaited; `flush` is there for it."""
    made = client(tmp_path, receiver.endpoint)
    made.record(EVENT)
    for coroutine in (made.drain(), made.aclose()):
        with pytest.raises(StopIteration):
            coroutine.send(None)
    assert made.collects()[1] == frozenset()


FORK = """
import asyncio, json, os, sys
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")

async def drain(number, timeout):
    client.record("agent_configured", builtin_tool_count=number)
    await client.drain(timeout)

async def main():
    waiting = asyncio.ensure_future(drain(1, 20))
    await asyncio.sleep(0.01)
    child = os.fork()
    if child == 0:
        try:
            asyncio.events._set_running_loop(None)
            asyncio.run(drain(2, 20))
            os._exit(0 if client.stats()["delivered"] == 1 else 1)
        finally:
            os._exit(2)
    await waiting
    assert os.waitpid(child, 0)[1] == 0
    print(json.dumps(client.stats()["delivered"]))

asyncio.run(main())
"""


def test_a_fork_beside_a_drain(run: Run, receiver: Receiver) -> None:
    done = run(FORK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == 1
    assert sorted(event["builtin_tool_count"] for event in receiver.events) == [1, 2]
