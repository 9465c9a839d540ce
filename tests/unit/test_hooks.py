"""What a process leaves behind for each client, and what its clients learn of it."""

import os
import weakref

import pytest
from conftest import Run

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
UNTOLD = """
import ctypes, os, threading
import requests
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
start = threading.Thread.start
def refuse(self):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
client.record("agent_configured", builtin_tool_count=1)
{before}
child = ctypes.PyDLL(None).fork()
if child == 0:
    threading.Thread.start = start
    {in_child}
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("before", ["", "assert client.flush(10)"])
@pytest.mark.parametrize(
    "in_child", ["client.flush(5)", "client.close(5)", "client.flush_pending()", "client.stats()"]
)
def test_a_fork_that_python_is_not_told_of_sends_nothing_twice(
    run: Run, receiver: Receiver, in_child: str, before: str
) -> None:
    done = run(UNTOLD.format(before=before, in_child=in_child))
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
    done = run(UNTOLD.format(before=before, in_child=in_child))
    assert done.returncode == 0, done.stderr
    assert sorted(event["builtin_tool_count"] for event in receiver.events) == [1, 2]
