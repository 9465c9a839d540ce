"""Programs that end while a lock, a disk or a person is in the way."""

import socket
from pathlib import Path

import pytest
from conftest import Run

from getpatter.telemetry.delivery.spool_files import waiting
from getpatter.telemetry.testing import Receiver

CLIENT = """
import errno, fcntl, os, signal, sys, threading, time
from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.network import request as _http
client = TelemetryClient(sdk_version="1")
"""
RECORD = """
client.record("cli_command", cli_command="demo")
print(time.monotonic(), flush=True)
"""
# Far above what an ending program may wait (0.5 s), far below what a hang takes.
NO_HANG = 5.0


@pytest.mark.parametrize("mode", ["wait", "spool", "detach"])
def test_where_there_are_no_locks_it_is_delivered_at_once(
    run: Run, receiver: Receiver, tmp_path: Path, mode: str
) -> None:
    code = f"""{CLIENT}
def flock(*_):
    raise OSError(errno.ENOLCK, "no locks available")
fcntl.flock = flock
client.record("agent_configured")
assert client.flush(20)  # what is connected takes less than the half second of an end
{RECORD}"""
    done = run(code, PATTER_TELEMETRY_EXIT=mode, catch_up=False)
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events] == ["agent_configured", "cli_command"]
    assert not list(tmp_path.rglob("spool/*"))


@pytest.mark.parametrize("mode", ["spool", "detach"])
def test_a_lock_that_hangs_holds_up_no_ending_program(run: Run, mode: str) -> None:
    import time

    code = f"""{CLIENT}
def flock(*_):
    threading.Event().wait()
client.record("cli_command", cli_command="demo")
client.flush(0.01)
fcntl.flock = flock
{RECORD}"""
    done = run(
        code,
        PATTER_TELEMETRY_EXIT=mode,
        PATTER_TELEMETRY_ENDPOINT="http://127.0.0.1:9/v1/ingest",
        catch_up=False,
    )
    ended = time.monotonic()  # one clock for all processes
    assert done.returncode == 0, done.stderr
    assert ended - float(done.stdout) < NO_HANG


def test_whoever_presses_ctrl_c_as_it_ends_loses_nothing_and_sees_nothing_of_ours(
    run: Run, tmp_path: Path
) -> None:
    code = f"""{CLIENT}
presses = []
def press(*_):
    presses.append(1)
    if len(presses) == 2:
        signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, press)
{RECORD}
signal.setitimer(signal.ITIMER_REAL, 0.15, 0.05)
"""
    state = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run(
            code,
            PATTER_TELEMETRY_EXIT="wait",
            PATTER_TELEMETRY_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}/v1/ingest",
            PATTER_TELEMETRY_STATE_DIR=str(state),
            catch_up=False,
        )
    assert "Traceback" not in done.stderr
    assert waiting(str(state)) == 1
