"""Every event arrives once, however a program ends; and no program ends later for it."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run
from in_process import wait_until
from own_threads import NO_THREADS

from getpatter.telemetry.testing import Answer, Receiver

COLD = """
import atexit, os, signal, sys
from getpatter.telemetry import TelemetryClient

def record(number, client=None):
    (client or CLIENT).record("agent_configured", builtin_tool_count=number)

CLIENT = TelemetryClient(sdk_version="1")
"""
# On a busy machine the half second of an ending program may be too short to load this as well.
CLIENT = f"import requests\n{COLD}"
# Far above what an ending program may wait (0.5 s), far below what a hang takes.
NO_HANG = 2.0


def numbers(receiver: Receiver) -> list[int]:
    return sorted(event["builtin_tool_count"] for event in receiver.events)


def is_only_the_notice(stderr: str) -> bool:
    return stderr.startswith("getpatter sends") and len(stderr.splitlines()) == 3


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def dead_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


# ways to end

TERMINATE = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
os.kill(os.getpid(), signal.SIGTERM)
"""
ENDS = {
    "normal end": ("", {0}),
    "unhandled exception": ("raise KeyError(1)", {1}),
    "sys.exit": ("sys.exit(7)", {7}),
    # A job in the background inherits that it is ignored, and so would this program.
    "SIGINT": (
        "signal.signal(signal.SIGINT, signal.default_int_handler); signal.raise_signal(2)",
        {1, -signal.SIGINT},
    ),
    "sys.exit in a handler": (TERMINATE, {3}),
}


@pytest.mark.parametrize(("code", "status"), ENDS.values(), ids=ENDS)
def test_each_event_arrives_once_however_the_program_ends(
    run: Run, receiver: Receiver, code: str, status: set[int]
) -> None:
    done = run(f"{CLIENT}\nfor number in range(100): record(number)\n{code}")
    assert done.returncode in status
    assert done.stdout == ""
    assert numbers(receiver) == list(range(100))
    assert receiver.losses == {}


def test_nothing_but_the_notice_is_printed_under_strict_warnings(
    run: Run, receiver: Receiver
) -> None:
    done = run(f"{CLIENT}\nrecord(1)", PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    assert done.returncode == 0
    assert done.stdout == ""
    assert is_only_the_notice(done.stderr), done.stderr
    assert numbers(receiver) == [1]


def test_the_last_event_before_the_end_arrives_after_a_long_idle_time(
    run: Run, receiver: Receiver
) -> None:
    done = run(f"{CLIENT}\nrecord(1)\nassert CLIENT.flush(5)\nrecord(2)")
    assert done.returncode == 0
    assert numbers(receiver) == [1, 2]


@pytest.mark.parametrize("before_the_client", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_record_in_an_exit_hook_arrives(
    run: Run, receiver: Receiver, *, before_the_client: bool, is_first: bool
) -> None:
    first = "" if is_first else "record(0)\nCLIENT.flush(5)\n"
    head, client = CLIENT.split("CLIENT = Tele")
    hook = "atexit.register(record, 1)\n"
    client = f"CLIENT = Tele{client}"
    code = head + (hook + client if before_the_client else client + hook) + first
    done = run(code, PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    assert done.returncode == 0
    assert is_only_the_notice(done.stderr), done.stderr
    assert numbers(receiver) == ([1] if is_first else [0, 1])


def test_a_slow_exit_hook_of_the_host_takes_no_time_from_ours(run: Run, receiver: Receiver) -> None:
    """Hooks run last in, first out: the host's slow one runs after ours, and records then."""
    slow = """
def slow():
    import threading
    threading.Event().wait(0.7)
    record(1)
"""
    head, client = CLIENT.split("CLIENT = Tele")
    code = f"{head}{slow}atexit.register(slow)\nCLIENT = Tele{client}\nrecord(0)"
    assert run(code).returncode == 0
    assert numbers(receiver) == [0, 1]


FINALISER = """
class Last:
    def __del__(self):
        record(1)
last = Last()
record(0)
CLIENT.flush(10)  # loading what sending needs is no part of this
"""


def test_a_record_while_modules_are_torn_down_does_no_harm(run: Run, receiver: Receiver) -> None:
    """It may be too late for it: nothing can be imported any more, so it arrives or is lost."""
    done = run(CLIENT + FINALISER, PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    assert done.returncode == 0
    assert is_only_the_notice(done.stderr), done.stderr
    assert numbers(receiver) in ([0], [0, 1])


def test_a_first_record_while_modules_are_torn_down_does_no_harm(
    run: Run, receiver: Receiver
) -> None:
    done = run(COLD + FINALISER.replace("record(0)", ""), PYTHONDEVMODE="1")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "" or is_only_the_notice(done.stderr)
    assert receiver.refused == []


def test_a_client_that_nobody_refers_to_delivers_what_it_recorded(
    run: Run, receiver: Receiver
) -> None:
    code = """
import gc
record(1, TelemetryClient(sdk_version="1"))
gc.collect()
"""
    assert run(CLIENT + code).returncode == 0
    assert numbers(receiver) == [1]


# threads and loops


def test_threads_lose_nothing_and_say_nothing_twice(run: Run, receiver: Receiver) -> None:
    code = """
import threading
sys.setswitchinterval(1e-5)
def work(base):
    for number in range(base, base + 100):
        record(number)
threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(9)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert CLIENT.flush(20)  # so many requests can take longer than an ending program waits
"""
    done = run(CLIENT + code)
    assert done.returncode == 0, done.stderr
    assert numbers(receiver) == list(range(900))


def test_two_event_loops_one_after_the_other(run: Run, receiver: Receiver) -> None:
    code = """
import asyncio
async def main(base):
    record(base)
    await CLIENT.drain()
    print(CLIENT.stats()["delivered"])
    record(base + 1)
asyncio.run(main(0))
asyncio.run(main(2))
asyncio.run(CLIENT.aclose())
print(CLIENT.stats())
"""
    done = run(CLIENT + code, PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    assert is_only_the_notice(done.stderr), done.stderr
    first, second, stats = done.stdout.splitlines()
    assert first == "1"
    assert second == "3"
    assert stats == "{'delivered': 4, 'waiting': 0, 'spooled': 0, 'lost': {}}"
    assert numbers(receiver) == [0, 1, 2, 3]


def test_drain_does_not_block_the_loop(run: Run, silent_port: int) -> None:
    code = """
import asyncio, time
async def main():
    record(1)
    begun, ticks = time.monotonic(), 0
    draining = asyncio.ensure_future(CLIENT.drain(0.5))
    while not draining.done():
        await asyncio.sleep(0.01)
        ticks += 1
    print(ticks, time.monotonic() - begun)
asyncio.run(main())
"""
    done = run(CLIENT + code, PATTER_TELEMETRY_ENDPOINT=f"http://127.0.0.1:{silent_port}/")
    ticks, seconds = map(float, done.stdout.split())
    assert ticks > 10
    assert 0.4 < seconds < NO_HANG


# fork


def test_after_a_fork_parent_and_child_each_say_their_own(run: Run, receiver: Receiver) -> None:
    code = """
record(0)
child = os.fork()
if child == 0:
    record(10)
    sys.exit(0)
record(1)
assert os.waitpid(child, 0)[1] == 0
"""
    assert run(CLIENT + code).returncode == 0
    assert numbers(receiver) == [0, 1, 10]
    assert len({event["run_id"] for event in receiver.events}) == 1
    assert len({event["install_id"] for event in receiver.events}) == 1


def test_a_fork_of_a_client_that_has_sent_shares_no_connection(
    run: Run, receiver: Receiver
) -> None:
    code = """
record(0)
assert CLIENT.flush(5)
children = []
for number in range(1, 5):
    child = os.fork()
    if child == 0:
        record(number)
        sys.exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
record(9)
"""
    assert run(CLIENT + code).returncode == 0
    assert numbers(receiver) == [0, 1, 2, 3, 4, 9]
    assert receiver.refused == []


def test_a_fork_while_we_load_modules_does_not_hang_the_child(run: Run, receiver: Receiver) -> None:
    """A module that the worker loads at the moment of a fork would be locked in the child."""
    code = """
import time
CLIENT.record("first_run")
end = time.monotonic() + 0.6
while time.monotonic() < end:
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        import requests, urllib3, http.cookiejar
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the child hung"
"""
    done = run(COLD + code)
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events] == ["first_run"]


# a collector that does not answer


def wall(run: Run, code: str, **variables: str) -> float:
    """Return how long the program took to end after its last line: its start is not our doing."""
    done = run(f"{code}\nimport time; print(time.monotonic())", catch_up=False, **variables)
    ended = time.monotonic()  # one clock for all processes
    assert done.returncode == 0, done.stderr
    return ended - float(done.stdout)


@pytest.mark.parametrize("clients", [1, 8])
@pytest.mark.parametrize("is_dead", [True, False])
def test_no_collector_holds_an_ending_program(
    run: Run, silent_port: int, dead_port: int, *, is_dead: bool, clients: int
) -> None:
    port = dead_port if is_dead else silent_port
    code = f"""
clients = [TelemetryClient(sdk_version="1") for _ in range({clients})]
for client in clients: record(1, client)
"""
    # Also after the exit hook has run, and when its half second is spent.
    code = f"import atexit\natexit.register(lambda: [record(2) for _ in range(20)])\n{CLIENT}{code}"
    endpoint = f"http://127.0.0.1:{port}/v1/ingest"
    assert wall(run, code, PATTER_TELEMETRY_ENDPOINT=endpoint) < NO_HANG


@pytest.mark.parametrize("mode", ["wait", "spool", "detach"])
def test_many_clients_beside_a_disk_that_hangs_hold_no_ending_program(
    run: Run, receiver: Receiver, mode: str
) -> None:
    """A process ends once: its clients share one bound."""
    code = """
import threading
is_stuck, opened = threading.Event(), os.open
def open_or_hang(path, *more, **options):
    if threading.current_thread() is not threading.main_thread() and "state" in os.fspath(path):
        is_stuck.set()
        threading.Event().wait()
    return opened(path, *more, **options)
os.open = open_or_hang
clients = [TelemetryClient(sdk_version="1") for _ in range(40)]
for client in clients: record(1, client)
assert is_stuck.wait(20)
"""
    assert receiver.events == []
    assert wall(run, CLIENT + code, PATTER_TELEMETRY_EXIT=mode) < NO_HANG


def test_a_collector_that_is_slow_to_answer_holds_no_ending_program(
    run: Run, receiver: Receiver
) -> None:
    receiver.answer(*[Answer(delay=10)] * 4)
    assert wall(run, f"{CLIENT}\nrecord(1)") < NO_HANG


@pytest.mark.parametrize(("mode", "starts"), [("wait", 4), ("detach", 1)])
def test_what_a_program_has_adopted_is_delivered_as_it_ends(
    run: Run, receiver: Receiver, mode: str, starts: int
) -> None:
    """After an outage: a sender delivers it all, and half a second, on a busy machine, a part."""
    code = f"{CLIENT}\nfor number in range(900): record(number)"
    assert run(code, catch_up=False, PATTER_TELEMETRY_EXIT="spool").returncode == 0
    waited = set(range(900)) - set(numbers(receiver))
    assert len(waited) > 600
    for start in range(starts):
        code = f"{CLIENT}\nrecord({900 + start})\nassert CLIENT.flush(20)"
        assert run(code, catch_up=False, PATTER_TELEMETRY_EXIT=mode).returncode == 0
    wait_until(lambda: waited <= set(numbers(receiver)))
    assert numbers(receiver) == [*range(900 + starts)]


def test_a_collector_that_says_come_back_later_is_not_waited_for(
    run: Run, receiver: Receiver
) -> None:
    receiver.answer(Answer(503, headers={"Retry-After": "60"}))
    code = """
import time
record(1)
begun = time.monotonic()
assert not CLIENT.flush(30)
print(time.monotonic() - begun)
"""
    done = run(CLIENT + code)
    assert float(done.stdout) < 5


def test_no_thread_can_be_started(run: Run, receiver: Receiver) -> None:
    code = "for number in range(100): record(number)"
    done = run(NO_THREADS + CLIENT + code, PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    assert (done.returncode, done.stdout) == (0, "")
    assert is_only_the_notice(done.stderr), done.stderr
    assert numbers(receiver) == list(range(100))


def test_no_thread_can_be_started_and_nobody_answers(run: Run, silent_port: int) -> None:
    code = """
import asyncio
record(1)
async def main():
    await CLIENT.drain()
asyncio.run(main())
"""
    endpoint = f"http://127.0.0.1:{silent_port}/v1/ingest"
    assert wall(run, NO_THREADS + CLIENT + code, PATTER_TELEMETRY_ENDPOINT=endpoint) < NO_HANG


@pytest.mark.parametrize("error", ["RuntimeError", "MemoryError"])
def test_a_second_thread_cannot_be_started(run: Run, receiver: Receiver, error: str) -> None:
    """Then the one that there is makes the requests."""
    one_thread = f"""
import _thread
start, started = _thread.start_new_thread, []
def start_one(*args):
    if started:
        raise {error}
    started.append(args)
    return start(*args)
_thread.start_new_thread = start_one
"""
    code = """
for number in range(3):
    record(number)
    assert CLIENT.flush(30), CLIENT.stats()
"""
    done = run(one_thread + CLIENT + code)
    assert done.returncode == 0, done.stderr
    assert numbers(receiver) == [0, 1, 2]


def test_flush_takes_any_timeout(run: Run, receiver: Receiver) -> None:
    code = """
import json
record(1)
answers = [CLIENT.flush(timeout) for timeout in (float("inf"), 1e300, 0, -1, float("nan"))]
print(json.dumps(answers))
"""
    assert json.loads(run(CLIENT + code).stdout) == [True] * 5
    assert numbers(receiver) == [1]


def test_the_working_directory_is_gone(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    # CPython 3.13.0 raises SystemError for any attribute that a module lacks, once there is no
    # working directory: what asks for some is loaded before.
    load = "import getpatter.telemetry.network.request\n'x'.encode('idna')"
    code = f"{load}\nos.rmdir(os.getcwd())\nrecord(1)"
    assert run(f"{CLIENT}\n{code}", cwd=gone).returncode == 0
    assert numbers(receiver) == [1]
