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


STARTS = """
import errno, fcntl
import requests
from getpatter import Patter
def flock(*_):
    raise OSError(errno.ENOLCK, "no locks available")
fcntl.flock = flock
phone = Patter(carrier="none")
"""


@pytest.mark.parametrize("mode", ["wait", "spool", "detach"])
def test_a_first_run_is_said_where_there_are_no_locks(
    run: Run, receiver: Receiver, mode: str
) -> None:
    done = run(f"{STARTS}\nassert phone.telemetry.flush(20)", PATTER_TELEMETRY_EXIT=mode)
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events] == ["first_run", "sdk_initialized"]
    run(f"{STARTS}\nassert phone.telemetry.flush(20)", PATTER_TELEMETRY_EXIT=mode)
    assert [event["event"] for event in receiver.events][2:] == ["sdk_initialized"]
    assert len({event["install_id"] for event in receiver.events}) == 1


@pytest.mark.parametrize("mode", ["spool", "detach"])
@pytest.mark.parametrize("kind", ["a file", "open to others", "cannot be made"])
def test_where_no_state_can_be_kept_it_is_delivered_at_once(
    run: Run, receiver: Receiver, tmp_path: Path, kind: str, mode: str
) -> None:
    place = tmp_path / "place"
    if kind == "open to others":
        place.mkdir()
        place.chmod(0o777)
    else:
        place.touch()
    code = f"""{CLIENT}
client.record("agent_configured")
assert client.flush(20)  # what is connected takes less than the half second of an end
{RECORD}"""
    named = place / "below" if kind == "cannot be made" else place
    done = run(
        code,
        PATTER_TELEMETRY_EXIT=mode,
        PATTER_TELEMETRY_STATE_DIR=str(named),
        catch_up=False,
    )
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events] == ["agent_configured", "cli_command"]


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


# Each look at the disk takes its time, and there are many of them in a first start.
SLOW_DISK = """
for name in ("open", "link", "replace", "mkdir"):
    def slow(*arguments, function=getattr(os, name), **named):
        if threading.current_thread() is not threading.main_thread():
            threading.Event().wait(0.05)
        return function(*arguments, **named)
    setattr(os, name, slow)
"""


@pytest.mark.parametrize(
    ("mode", "meanwhile", "times"),
    [
        *(("wait", "", times) for times in (1, 2)),
        *((mode, SLOW_DISK, 2) for mode in ("wait", "spool", "detach")),
    ],
)
def test_whoever_presses_ctrl_c_as_it_ends_loses_nothing_and_sees_nothing_of_ours(
    run: Run, tmp_path: Path, mode: str, meanwhile: str, times: int
) -> None:
    """While it waits for a collector that never answers, or for a slow disk."""
    code = f"""{CLIENT}
presses = []
def press(*_):
    presses.append(1)
    if len(presses) == {times}:
        signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, press)
{meanwhile}{RECORD}
signal.setitimer(signal.ITIMER_REAL, 0.15, 0.05)
"""
    state = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run(
            code,
            PATTER_TELEMETRY_EXIT=mode,
            PATTER_TELEMETRY_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}/v1/ingest",
            PATTER_TELEMETRY_STATE_DIR=str(state),
            catch_up=False,
        )
    assert "Traceback" not in done.stderr
    assert waiting(str(state)) == 1
