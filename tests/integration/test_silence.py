"""Off is silent, debug only prints, and nothing of ours ever appears on stdout."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, tree

from getpatter.telemetry.testing import Receiver

# The program tells what it did: audit events from after its imports on, threads and modules.
WATCHED = """
import asyncio, json, sys, threading
import getpatter, getpatter.telemetry
from getpatter.telemetry import TelemetryClient

OURS = ("open", "import", "os.", "shutil.", "socket.", "subprocess.", "tempfile.", "urllib.")
seen = []
is_watching = False

def watch(event, args):
    if is_watching and event.startswith(OURS):
        seen.append((event, str(args[0]) if args else ""))

sys.addaudithook(watch)
before = set(sys.modules)
is_watching = True
"""
USE = """
client = TelemetryClient(sdk_version="1", flag=FLAG)
for _ in range(100):
    client.record("call_started", carrier="twilio")
client.flush_pending()
client.flush(1)
"""
USE_ALL = """
asyncio.run(client.drain())
asyncio.run(client.aclose())
client.close()
"""
REPORT = """
is_watching = False
THIRD_PARTY = {"requests", "urllib3", "jsonschema", "platformdirs", "dotenv", "certifi"}
print(json.dumps({
    "enabled": client.enabled,
    "stats": client.stats(),
    "seen": seen,
    "threads": [thread.name for thread in threading.enumerate()],
    "third_party": sorted(THIRD_PARTY & {name.partition(".")[0] for name in sys.modules}),
}))
"""
# What importing asyncio's parts and our own modules opens.
CODE = (".py", ".pyc", "__pycache__")


def watched(
    run: Run, body: str = USE, *, flag: str = "None", cwd: Path, **env: str
) -> dict[str, Any]:
    done = run(WATCHED + body.replace("FLAG", flag) + REPORT, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def opened(told: dict[str, Any]) -> set[str]:
    """The files that were opened by name, but for code."""
    names = {path for event, path in told["seen"] if event == "open"}
    return {name for name in names if not name.endswith(CODE) and not name.isdigit()}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


BY_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PATTER_TELEMETRY": "0",
    "PATTER_TELEMETRY_DISABLED": "true",
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "PYTEST_VERSION": "9",
    "NODE_ENV": "test",
}


@pytest.mark.parametrize("name", [*BY_ENVIRONMENT, "telemetry=False"])
def test_off_by_environment_or_flag_touches_nothing_at_all(
    run: Run, receiver: Receiver, tmp_path: Path, work: Path, name: str
) -> None:
    # What would be read, if anything were.
    (work / ".env").write_text("PATTER_TELEMETRY=1\n")
    before = tree(tmp_path)
    variables = {name: BY_ENVIRONMENT[name]} if name in BY_ENVIRONMENT else {}
    told = watched(run, flag="None" if variables else "False", cwd=work, **variables)
    assert told["enabled"] is False
    assert told["seen"] == []
    assert told["threads"] == ["MainThread"]
    assert told["third_party"] == []
    assert told["stats"] == {"delivered": 0, "waiting": 0, "spooled": 0, "lost": {}}
    assert tree(tmp_path) == before
    assert receiver.requests == []


def test_off_needs_no_thread_for_coroutines_either(
    run: Run, receiver: Receiver, work: Path
) -> None:
    told = watched(run, USE + USE_ALL, cwd=work, DO_NOT_TRACK="1")
    assert told["threads"] == ["MainThread"]
    assert receiver.requests == []


@pytest.mark.parametrize("by", [".env", "marker"])
def test_off_by_a_file_has_only_read(
    run: Run, receiver: Receiver, tmp_path: Path, work: Path, by: str
) -> None:
    home = tmp_path / "home"
    if by == ".env":
        (work / ".env").write_text("DO_NOT_TRACK=1\n")
    else:
        (home / ".getpatter").mkdir()
        (home / ".getpatter" / "telemetry-disabled").touch()
    before = tree(tmp_path)
    told = watched(run, cwd=work)
    assert told["enabled"] is False
    assert told["threads"] == ["MainThread"]
    assert set(told["third_party"]) <= {"platformdirs", "dotenv"}
    kinds = {event for event, _ in told["seen"]}
    # The import system itself lists and opens the directories of the code.
    assert kinds <= {"open", "import", "os.listdir", "os.scandir"}
    assert opened(told) <= {str(work / ".env")}
    assert tree(tmp_path) == before
    assert receiver.requests == []


HOST = """
client = getpatter.Patter(carrier="none", telemetry=FLAG)
with client.call(direction="inbound", agent=client.agent(stt="deepgram/nova-3")) as call:
    call.turn()
client = client.telemetry
"""


@pytest.mark.parametrize("by", ["DO_NOT_TRACK", "CI", "telemetry=False"])
def test_a_host_object_without_telemetry_is_silent_too(
    run: Run, receiver: Receiver, tmp_path: Path, work: Path, by: str
) -> None:
    before = tree(tmp_path)
    variables = {} if by == "telemetry=False" else {by: "1"}
    told = watched(run, HOST, flag="None" if variables else "False", cwd=work, **variables)
    assert told["threads"] == ["MainThread"]
    assert told["third_party"] == []
    # The configuration of the calls, which is the host object's to read.
    assert opened(told) <= {str(work / ".env")}
    assert tree(tmp_path) == before
    assert receiver.requests == []


# debug

STARTS = """
from getpatter import Patter
Patter(carrier="none")
"""


def test_debug_prints_every_event_sends_nothing_and_changes_nothing(
    run: Run, receiver: Receiver, home: Path, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    for _ in range(2):
        done = run(STARTS, PATTER_TELEMETRY_DEBUG="1")
        assert (done.returncode, done.stdout) == (0, "")
        lines = done.stderr.splitlines()
        assert all(line.startswith("[getpatter telemetry] {") for line in lines)
        events = [json.loads(line.split("] ", 1)[1]) for line in lines]
        assert [event["event"] for event in events] == ["first_run", "sdk_initialized"]
    assert tree(tmp_path) == before
    assert receiver.requests == []
    assert list(home.iterdir()) == []

    done = run(STARTS)
    assert [event["event"] for event in receiver.events] == ["first_run", "sdk_initialized"]
    assert "[getpatter telemetry]" not in done.stderr


def test_debug_by_env_file(run: Run, receiver: Receiver, work: Path) -> None:
    (work / ".env").write_text("PATTER_TELEMETRY_DEBUG=1\n")
    done = run(STARTS, cwd=work)
    assert done.stderr.count("[getpatter telemetry]") == 2
    assert receiver.requests == []


# stderr and stdout

WITHOUT_STDERR = {
    "None": "sys.stderr = None",
    "closed": "sys.stderr.close()",
    "descriptor closed": "import os; os.close(2)",
    "no stream": "sys.stderr = object()",
    "raises": "class Bad:\n    def write(self, text): raise RuntimeError\nsys.stderr = Bad()",
}


@pytest.mark.parametrize("code", WITHOUT_STDERR.values(), ids=WITHOUT_STDERR)
@pytest.mark.parametrize("debug", ["0", "1"])
def test_without_a_stderr_nothing_leaves_and_stdout_stays_empty(
    run: Run, receiver: Receiver, code: str, debug: str
) -> None:
    done = run(f"import sys\n{code}\n{STARTS}", PATTER_TELEMETRY_DEBUG=debug)
    assert done.stdout == ""
    assert receiver.requests == []


def test_a_notice_that_was_not_shown_is_shown_next_time(run: Run, receiver: Receiver) -> None:
    run(f"import sys\nsys.stderr = None\n{STARTS}")
    assert receiver.requests == []
    assert run(STARTS).stderr.startswith("getpatter sends telemetry under a random ID")
    assert len(receiver.events) > 0
    assert run(STARTS).stderr == ""


def test_the_notice_comes_before_anything_leaves(run: Run, receiver: Receiver) -> None:
    code = """
import sys
from getpatter import Patter
class Held:
    def __init__(self, stream): self.stream = stream
    def write(self, text): self.stream.write(text)
    def flush(self): self.stream.write("flushed\\n")
def tell(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        sys.__stderr__.write(f"{event}\\n")
sys.addaudithook(tell)
sys.stderr = Held(sys.__stderr__)
assert Patter(carrier="none").telemetry.flush(30)
"""
    lines = run(code).stderr.splitlines()
    assert lines[0].startswith("getpatter sends")
    assert lines[3] == "flushed"
    assert "socket.connect" in lines[4:]
    assert len(receiver.events) == 2
