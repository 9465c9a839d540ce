"""Processes that fork, by themselves or through the standard library: everything arrives once."""

import pytest
from matrix import check
from stage import Stage

pytest_plugins = ("processes_fixtures",)


def test_one_process(stage: Stage) -> None:
    program = stage.script("""
import sys
from tell import tell
tell("running")
sys.stdin.read()
tell("ending")
""")
    stage.until(running=1)
    assert stage.arrive()
    assert stage.finish(program) == 0
    stage.until(ending=1)
    check("one process", stage.settle())
    assert stage.starts() == stage.runs() == 2  # with the one that settles


FORK = """
import os, sys
from tell import tell
children = []
tell("before")
for _ in range(3):
    child = os.fork()
    if child == 0:
        children = []
        break
    children.append(child)
tell("running")
sys.stdin.read()
tell("ending")
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_fork(stage: Stage) -> None:
    program = stage.script(FORK)
    stage.until(before=1, running=4)
    assert stage.arrive()
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=4)
    check("`os.fork`", stage.settle())
    assert stage.starts() == stage.runs() == 2


def test_fork_while_the_thread_imports(stage: Stage) -> None:
    """A module that is half loaded when the process forks would be locked in the child for ever."""
    program = stage.script("""
import os, sys, time
from tell import client, tell
client.record("config_incomplete", missing="other")  # leaves at once: the thread begins to import
end = time.monotonic() + 1
children = []
while time.monotonic() < end:
    tell("before")
    child = os.fork()
    if child == 0:
        import requests, urllib3, http.cookiejar
        tell("running")
        tell("ending")
        sys.exit(0)
    children.append(child)
    assert os.waitpid(child, 0)[1] == 0
print(len(children))
""")
    assert stage.finish(program) == 0, stage.output
    assert stage.arrive()
    forks = int((stage.directory / "stdout").read_text("utf-8"))
    assert stage.count("before") == stage.count("running") == forks
    check("`os.fork` while the thread imports", stage.settle())


def test_no_lock_is_held_in_a_child(stage: Stage) -> None:
    """Whatever other threads were doing to the client when the process forked."""
    program = stage.script("""
import os, sys, threading
from tell import client, tell
sys.setswitchinterval(1e-5)
ended = threading.Event()
def busy():
    while not ended.is_set():
        client.record("cli_command", cli_command="other")
        client.flush_pending()
        client.stats()
        client.flush(0.001)
threads = [threading.Thread(target=busy) for _ in range(4)]
for thread in threads: thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        tell("running")
        client.stats()
        client.flush(0)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
ended.set()
for thread in threads: thread.join()
""")
    assert stage.finish(program) == 0, stage.output
    stage.until(running=20)
    assert stage.settle() == ("-", "all", "-")
    assert stage.runs() == 2


MULTIPROCESSING = """
import multiprocessing, os, sys
from tell import tell
def work(ended):
    tell("running")
    ended.wait()
    tell("ending")
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    tell("before")
    ended = context.Event()
    children = [context.Process(target=work, args=(ended,)) for _ in range(2)]
    for child in children: child.start()
    sys.stdin.read()
    ended.set()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0]
"""


@pytest.mark.parametrize(("method", "starts"), [("fork", 1), ("forkserver", 3), ("spawn", 3)])
def test_multiprocessing(stage: Stage, method: str, starts: int) -> None:
    program = stage.start(stage.write("program.py", MULTIPROCESSING), method)
    stage.until(before=1, running=2)
    assert stage.arrive()
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=2)
    check(f"`multiprocessing`, {method}", stage.settle())
    assert stage.starts() == stage.runs() == starts + 1


def test_process_pool_executor(stage: Stage) -> None:
    program = stage.script("""
import concurrent.futures, multiprocessing, sys
from tell import tell
if __name__ == "__main__":
    tell("before")
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as pool:
        list(pool.map(tell, ["running"] * 20))
        sys.stdin.read()
        list(pool.map(tell, ["ending"] * 20))
""")
    stage.until(before=1, running=20)
    assert stage.arrive()
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=20)
    check("`ProcessPoolExecutor`", stage.settle())
    assert stage.starts() == stage.runs() == 2
