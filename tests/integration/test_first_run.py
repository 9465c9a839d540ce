"""`first_run` is used up by a start that can send it, and by no other; then it is sent once."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run

from getpatter.telemetry import notice
from getpatter.telemetry.testing import Receiver

START = """
import os, signal, sys
from getpatter import Patter
sys.setswitchinterval(60)  # no thread of ours comes in between
patter = Patter(carrier="none")
"""
ENDS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "exits without its hooks": "os._exit(0)",
    "becomes another program": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "leaves nothing": "",
}
DELIVERS = """
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("cli_command", cli_command="demo")
assert client.flush(60)
"""


def names(receiver: Receiver) -> list[str]:
    return [event["event"] for event in receiver.events]


@pytest.mark.parametrize("how", ENDS)
def test_a_start_that_ends_before_its_notice_was_shown_leaves_it_to_the_next(
    run: Run, receiver: Receiver, home: Path, how: str
) -> None:
    for _ in range(2):
        done = run(START + ENDS[how], PATTER_TELEMETRY_EXIT="none")
        assert done.stderr == ""
    assert receiver.requests == []
    if ENDS[how]:
        assert not list(home.rglob("*"))  # the host's thread makes no file
    assert run(START).stderr == notice.TEXT
    assert names(receiver) == ["first_run", "sdk_initialized"]
    assert run(START).stderr == ""
    assert names(receiver)[2:] == ["sdk_initialized"]
    assert len({event["install_id"] for event in receiver.events}) == 1


def test_an_upgrade_is_said_by_a_start_that_can_say_it(
    run: Run, receiver: Receiver, home: Path
) -> None:
    place = home / ".getpatter"
    place.mkdir(mode=0o700)
    for name, content in (("install-id", "a" * 32), ("first-run", ""), ("version", "0.7.1")):
        (place / name).write_text(content)
    run(START + ENDS["killed"])
    run(START)
    run(START)
    assert names(receiver) == ["sdk_initialized"] * 2
    said = [event.get("previous_sdk_version") for event in receiver.events]
    assert said == ["0.7.1", None]


def test_a_start_that_is_killed_while_it_waits_to_send_has_said_it(
    run: Run, receiver: Receiver
) -> None:
    waits = """
from threading import Event
while not patter.telemetry.stats()["spooled"]:
    Event().wait(0.01)
"""
    done = run(START + waits + ENDS["killed"], PATTER_TELEMETRY_GRACE="600", catch_up=False)
    assert done.stderr == notice.TEXT
    assert receiver.requests == []
    run(START + DELIVERS)
    run(START + DELIVERS)
    assert sorted(names(receiver)) == ["cli_command"] * 2 + ["first_run"] + ["sdk_initialized"] * 3


HOLDS = """
import fcntl, os, sys
held = []
for name in ("lock", "notice.lock", "spool/sender.lock", "spool/any.lock"):
    path = os.path.join(sys.argv[1], name)
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    held.append(open(path, "w"))
    fcntl.flock(held[-1], fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
WATCHED = """
import sys, threading, time
MAIN = threading.get_ident()
sleep, waits = time.sleep, []
def watched(seconds):
    if threading.get_ident() == MAIN:
        waits.append(seconds)
    sleep(seconds)
time.sleep = watched
def audit(event, arguments):
    if event == "fcntl.flock" and threading.get_ident() == MAIN:
        waits.append(event)
sys.addaudithook(audit)
from getpatter import Patter
phone = Patter(carrier="none")
with phone.call(direction="inbound") as call:
    call.answer()
assert waits == [], waits
"""


@pytest.mark.parametrize("kind", ["new", "damaged", "of an earlier version"])
def test_a_lock_that_another_process_holds_is_not_waited_for_by_the_host(
    run: Run, receiver: Receiver, tmp_path: Path, kind: str
) -> None:
    """The thread of ours waits for it; the host's takes none."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    if kind != "new":
        (state / "install-id").write_text("a" * 32 if kind == "of an earlier version" else "torn")
        (state / "notice").write_text("7")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        done = run(WATCHED, PATTER_TELEMETRY_STATE_DIR=str(state), PATTER_TELEMETRY_EXIT="none")
        assert (done.returncode, done.stderr) == (0, "")
        holder.stdin.close()
    run(START, PATTER_TELEMETRY_STATE_DIR=str(state))
    assert "sdk_initialized" in names(receiver)


def test_of_many_starts_at_once_one_is_the_first_and_shows_the_notice(
    child_environment: dict[str, str], tmp_path: Path, receiver: Receiver
) -> None:
    together = "sys.stdin.readline()\n"
    outputs = [(tmp_path / f"stderr-{number}").open("w+") for number in range(6)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", START + together + DELIVERS],
            env=child_environment,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stderr=output,
        )
        for output in outputs
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
    assert [child.wait(60) for child in children] == [0] * 6
    shown = []
    for output in outputs:
        output.seek(0)
        shown.append(output.read())
        output.close()
    assert sorted(shown) == [""] * 5 + [notice.TEXT]
    assert names(receiver).count("first_run") == 1
    assert names(receiver).count("sdk_initialized") == 6
