"""What a process leaves behind for each client, and what its clients learn of it."""

import os
import weakref

import pytest
from conftest import Run
from own_threads import NO_THREADS

from getpatter.telemetry.delivery import process_hooks as _hooks
from getpatter.telemetry.testing import Receiver


class Told:
    """A worker that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def end(self) -> None:
        self.told.append("end")

    def before_fork(self) -> None:
        self.told.append("before")

    def after_fork_in_parent(self) -> None:
        self.told.append("parent")

    def after_fork_in_child(self) -> None:
        self.told.append("child")


class Failing(Told):
    """A worker in which everything fails."""

    def before_fork(self) -> None:
        raise RuntimeError

    after_fork_in_parent = before_fork


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_each_worker_is_told_of_a_fork_for_as_long_as_it_lives() -> None:
    failing, first, second = Failing(), Told(), Told()
    for worker in (failing, first, second, second):
        _hooks.install(worker)
    gone = weakref.ref(first)
    fork()
    assert first.told == second.told == ["before", "parent"]
    del first
    assert gone() is None
    fork()
    assert second.told == ["before", "parent"] * 2


def test_a_client_that_is_forgotten_leaves_nothing(run: Run) -> None:
    """In a process of its own, in which no thread does anything else."""
    code = """
import gc, tracemalloc
from getpatter.telemetry import TelemetryClient
def make(times):
    for _ in range(times):
        TelemetryClient(sdk_version="1").stats()
    gc.collect()
make(20)
tracemalloc.start()
make(20)
before = tracemalloc.get_traced_memory()[0]
make(200)
print((tracemalloc.get_traced_memory()[0] - before) / 200)
"""
    assert float(run(code).stdout) < 64


def test_the_end_is_told_once_in_the_order_of_the_clients(run: Run) -> None:
    code = """
import atexit
from getpatter.telemetry.delivery import process_hooks as _hooks
class Told:
    def __init__(self, name): self.name = name
    def end(self):
        print(self.name)
        if self.name == 1: raise RuntimeError
workers = [Told(0), Told(1), Told(2)]
for worker in workers: _hooks.install(worker)
del workers[0], worker
"""
    done = run(code)
    assert (done.stdout, done.stderr) == ("1\n2\n", "")


# No thread of ours runs at the moment of the fork: what one holds then, the interpreter's own lock
# included, is held in such a child for ever, and only Python could mend that.
UNTOLD = (
    NO_THREADS
    + """
import ctypes, os, sys
import requests
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("agent_configured", builtin_tool_count=1)
BEFORE
child = ctypes.PyDLL(None).fork()
if child == 0:
    allow_threads()
    IN_CHILD
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
)


def untold(before: str, in_child: str) -> str:
    return UNTOLD.replace("BEFORE", before).replace("IN_CHILD", in_child)


@pytest.mark.parametrize("before", ["", "assert client.flush(10)"])
@pytest.mark.parametrize(
    "in_child", ["client.flush(5)", "client.close(5)", "client.flush_pending()", "client.stats()"]
)
def test_a_fork_that_python_is_not_told_of_sends_nothing_twice(
    run: Run, receiver: Receiver, in_child: str, before: str
) -> None:
    done = run(untold(before, in_child))
    assert done.returncode == 0, done.stderr
    assert [event["builtin_tool_count"] for event in receiver.events] == [1]


@pytest.mark.parametrize(
    ("before", "first"), [("", "client.stats()"), ("assert client.flush(10)", "pass")]
)
def test_the_child_of_a_fork_that_python_is_not_told_of_sends_its_own(
    run: Run, receiver: Receiver, before: str, first: str
) -> None:
    """Whose parent had delivered everything, or who looks at its client before it records."""
    in_child = f"""{first}
    client.record("agent_configured", builtin_tool_count=2)
    assert client.flush(20)"""
    done = run(untold(before, in_child))
    assert done.returncode == 0, done.stderr
    assert sorted(event["builtin_tool_count"] for event in receiver.events) == [1, 2]


# The parent has delivered one event, another is pending; nothing has looked at the client since.
PENDING = """assert client.flush(10)
client.record("agent_configured", builtin_tool_count=2)"""
RECORDS = """for number in range(3):
        client.record("agent_configured", builtin_tool_count=10 + number)"""


@pytest.mark.parametrize(
    "end",
    [
        "assert client.flush(20)",
        "assert client.stats()['waiting'] == 3; assert client.close(20)",
        "import asyncio; asyncio.run(client.drain(20))",
        "sys.exit()",
        "client.flush_pending(); assert client.flush(20)",
    ],
)
def test_such_a_child_loses_none_of_its_own_however_it_goes_on(
    run: Run, receiver: Receiver, end: str
) -> None:
    """Its parent's are its parent's; its own begin with its first, though it only records."""
    code = untold(PENDING, f"{RECORDS}\n    {end}")
    done = run(code, PATTER_TELEMETRY_EXIT="wait")
    assert done.returncode == 0, done.stderr
    counts = sorted(event["builtin_tool_count"] for event in receiver.events)
    assert counts == [1, 2, 10, 11, 12]


def test_a_child_of_such_a_child_loses_none_either(run: Run, receiver: Receiver) -> None:
    again = f"""{RECORDS}
    assert client.flush(20)
    client.record("agent_configured", builtin_tool_count=20)
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        client.record("agent_configured", builtin_tool_count=30)
        assert client.flush(20)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert client.flush(20)"""
    done = run(untold(PENDING, again).replace("    allow_threads()\n", ""))
    assert done.returncode == 0, done.stderr
    counts = sorted(event["builtin_tool_count"] for event in receiver.events)
    assert counts == [1, 2, 10, 11, 12, 20, 30]


def test_many_clients_of_such_a_child_lose_none_either(run: Run, receiver: Receiver) -> None:
    """Each notices by itself, whichever records first."""
    before = f"""{PENDING}
others = [TelemetryClient(sdk_version="1") for _ in range(3)]
for other in others:
    other.record("agent_configured", builtin_tool_count=3)
    assert other.flush(10)
    other.record("agent_configured", builtin_tool_count=4)"""
    in_child = """for other in others:
        other.record("agent_configured", builtin_tool_count=5)
    for other in others:
        assert other.flush(20)"""
    done = run(untold(before, in_child))
    assert done.returncode == 0, done.stderr
    counts = sorted(event["builtin_tool_count"] for event in receiver.events)
    assert counts == [1, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
