"""The sender that takes over when a program ends: what it delivers, and what it is."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from senders import gone, senders

from getpatter.telemetry.delivery.spool_files import waiting
from getpatter.telemetry.testing import Answer, Receiver

PROGRAM = """
import os, sys, time
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
for number in range(int(sys.argv[1])):
    client.record("agent_configured", builtin_tool_count=number)
{code}
"""
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def program(child_environment: dict[str, str], tmp_path: Path, state: Path) -> Program:
    """Run a script, as a user would, that leaves its events to a sender."""
    directory = tmp_path / "project"
    directory.mkdir()
    # Whoever looked there would load it.
    for name in ("requests.py", "json.py", "getpatter_was_loaded.py"):
        (directory / name).write_text("raise SystemExit('loaded from the project')")

    def run(
        code: str = "", events: int = 3, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        script = directory / "program.py"
        (directory / "json.py").unlink(missing_ok=True)  # the program itself needs it
        (directory / "requests.py").unlink(missing_ok=True)
        script.write_text(PROGRAM.format(code=code))
        environ = {
            **child_environment,
            "PATTER_TELEMETRY_STATE_DIR": str(state),
            "PATTER_TELEMETRY_EXIT": "detach",
            **variables,
        }
        return subprocess.run(
            [sys.executable, str(script), str(events)],
            check=False,
            env=environ,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def numbers(receiver: Receiver) -> list[int]:
    return sorted(event["builtin_tool_count"] for event in receiver.events)


@pytest.fixture(autouse=True)
def no_sender_is_left(state: Path) -> Iterator[None]:
    yield
    for pid in senders(state):
        os.kill(pid, signal.SIGKILL)


def test_an_endpoint_that_no_request_can_be_made_for_holds_up_nobody(
    program: Program, receiver: Receiver, state: Path
) -> None:
    # A URL to us, and to the URL's own grammar; not to what makes requests of it.
    left = program(
        PATTER_TELEMETRY_EXIT="spool", PATTER_TELEMETRY_ENDPOINT="https://*.example.com/v1"
    )
    assert left.returncode == 0
    assert waiting(str(state)) == 3
    assert program(events=5).returncode == 0
    receiver.wait_for(5, 20)
    assert numbers(receiver) == list(range(5))
    assert gone(state)
    assert waiting(str(state)) == 3


def test_what_a_program_leaves_arrives(program: Program, receiver: Receiver, state: Path) -> None:
    done = program(events=200)
    assert done.returncode == 0
    assert done.stdout == ""
    receiver.wait_for(200, 20)
    assert numbers(receiver) == list(range(200))
    assert gone(state)
    assert waiting(str(state)) == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise KeyError(1)", 1), ("sys.exit(7)", 7), ("os.kill(os.getpid(), 2)", -2)],
)
def test_however_the_program_ends(
    program: Program, receiver: Receiver, code: str, status: int
) -> None:
    assert program(code).returncode in (status, 1)
    receiver.wait_for(3, 20)
    assert numbers(receiver) == [0, 1, 2]


def test_a_record_in_a_late_exit_hook_arrives_too(program: Program, receiver: Receiver) -> None:
    """Hooks run last in, first out: the sender waits for the end of the program itself."""
    code = """
import atexit
# Registered before the hooks of another client, which so run before it.
atexit.register(client.record, "agent_configured", builtin_tool_count=99)
other = TelemetryClient(sdk_version="1")
other.record("agent_configured", builtin_tool_count=50)
"""
    assert program(code).returncode == 0
    receiver.wait_for(5, 20)
    assert numbers(receiver) == [0, 1, 2, 50, 99]


def test_an_ending_program_does_not_wait_for_its_collector(
    program: Program, receiver: Receiver
) -> None:
    has_ended = threading.Event()

    def hold(_: object) -> int:
        return 200 if has_ended.wait(10) else 400

    receiver.answer(hold)
    assert program().returncode == 0
    has_ended.set()
    receiver.wait_for(3, 20)
    assert [request.status for request in receiver.requests] == [200]


def test_a_collector_that_is_away_for_a_moment_is_asked_again(
    program: Program, receiver: Receiver
) -> None:
    receiver.answer(503, Answer(429, headers={"Retry-After": "1"}))
    program()
    receiver.wait_for(3, 20)
    assert [request.status for request in receiver.requests] == [503, 429, 200]
    assert len({request.idempotency_key for request in receiver.requests}) == 1


def test_what_cannot_be_delivered_waits_for_the_next_program(
    program: Program, receiver: Receiver, state: Path
) -> None:
    receiver.answer(404)
    program()
    assert gone(state)
    assert waiting(str(state)) == 3
    assert receiver.events == []
    program(events=1)
    receiver.wait_for(4, 20)
    assert numbers(receiver) == [0, 0, 1, 2]
    first, *_, again = receiver.requests
    keys = [request.idempotency_key for request in receiver.requests]
    assert keys.count(first.idempotency_key) == 2
    assert gone(state)
    assert waiting(str(state)) == 0
    assert again.status == 200


def test_a_batch_that_is_too_large_arrives_in_parts(program: Program, receiver: Receiver) -> None:
    receiver.answer(413)
    program(events=5)
    receiver.wait_for(5, 20)
    assert [len(request.events) for request in receiver.requests] == [5, 2, 3]


def test_an_opt_out_comes_before_the_sender(program: Program, state: Path) -> None:
    program(
        "from getpatter.telemetry import install_id\n"
        "import atexit\natexit._run_exitfuncs()\ninstall_id.set_opt_out(True)"
    )
    assert gone(state)
    assert waiting(str(state)) == 0


def test_nothing_to_send_starts_nothing(program: Program, receiver: Receiver, state: Path) -> None:
    begun = time.monotonic()
    program("assert client.flush(10)")
    assert senders(state) == []
    assert len(receiver.requests) == 1
    assert time.monotonic() - begun < 20


def test_the_sender_is_on_its_own(program: Program, receiver: Receiver, state: Path) -> None:
    """Its own session, `/`, no descriptors of the host's, none of the host's modules."""
    found: dict[str, object] = {}

    def look(_: object) -> None:
        (pid,) = senders(state)
        place = Path("/proc") / str(pid)
        found["cwd"] = str((place / "cwd").readlink())
        found["session"] = os.getsid(pid) == pid
        found["inherited"] = os.fspath(state.parent / "inherited") in {
            os.readlink(path) for path in (place / "fd").iterdir() if os.path.lexists(path)
        }
        found["streams"] = {str((place / "fd" / n).readlink()) for n in "012"}
        found["arguments"] = (place / "cmdline").read_bytes().decode().split("\0")
        found["environ"] = (place / "environ").read_text()
        found["maps"] = (place / "maps").read_text()
        found["limits"] = (place / "limits").read_text()

    receiver.answer(look)
    inherited = state.parent / "inherited"
    done = program(
        f"os.set_inheritable(os.open({str(inherited)!r}, os.O_RDWR | os.O_CREAT), True)",
        A_SECRET="canary",
    )
    assert done.stderr.startswith("getpatter sends")
    receiver.wait_for(3, 20)
    assert found["cwd"] == "/"
    assert found["session"] is True
    assert found["inherited"] is False
    assert found["streams"] == {os.devnull}
    assert "canary" not in str(found["environ"])
    arguments = found["arguments"]
    assert isinstance(arguments, list)
    assert arguments[1:4] == ["-I", "-S", "-B"]
    assert os.path.isabs(arguments[4])
    assert str(state.parent / "project") not in arguments
    assert f"Max data size {64 << 20} {64 << 20} " in " ".join(str(found["limits"]).split())


def test_one_sender_a_directory(program: Program, receiver: Receiver, state: Path) -> None:
    """Several programs end while a sender is at work: it sends what they leave, too."""
    is_at_work, let_go = threading.Event(), threading.Event()

    def hold(_: object) -> int | None:
        is_at_work.set()
        return None if let_go.wait(20) else 500

    receiver.answer(hold)
    program(events=1)
    assert is_at_work.wait(20)
    for _ in range(3):
        program(events=1)
        assert len(senders(state)) == 1
    let_go.set()
    receiver.wait_for(4, 20)
    assert gone(state)
    assert waiting(str(state)) == 0
    # One that the sender did not wait for any more has come again, under its key.
    assert len({request.idempotency_key for request in receiver.requests}) == 4
    assert len(receiver.events) == 4


def test_it_gives_up_in_time(program: Program, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        port = silent.getsockname()[1]
        program(PATTER_TELEMETRY_ENDPOINT=f"http://127.0.0.1:{port}/v1/ingest")
        assert senders(state) != [] or waiting(str(state)) == 3
        assert gone(state, 15)
    assert waiting(str(state)) == 3
