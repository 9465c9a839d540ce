"""State where several processes share it, where it must not be touched, and where there is none."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run, tree

from getpatter.telemetry.testing import Receiver

PROCESSES = 32

# What a process does that starts together with others: it is ready, waits for the end of its
# stdin, which all get at the same moment, and then asks.
START_TOGETHER = """
import json, os, sys
from getpatter.telemetry import install_id
import platformdirs
if sys.argv[1] == "no links":
    def refuse(*_): raise PermissionError
    os.link = refuse
print("ready", flush=True)
sys.stdin.read()
if sys.argv[1] == "first run":
    first = install_id.is_first_run()
    found = install_id.install_id()
else:
    found = install_id.install_id()
    first = install_id.is_first_run()
print(json.dumps([found, first, install_id.previous_version("0.8.0")]))
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that any user may pass through: pytest's are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


UNKNOWN_UID = """
import os
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(54321); os.setuid(54321)
"""


def start_together(environment: dict[str, str], how: str, cwd: Path) -> list[list[object]]:
    start, release = os.pipe()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", START_TOGETHER, how],
            env=environment,
            cwd=cwd,
            stdin=start,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    os.close(start)
    answers = []
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        os.close(release)
        release = -1
        for child in children:
            stdout, stderr = child.communicate(timeout=60)
            assert stderr == ""
            answers.append(json.loads(stdout))
    finally:
        if release >= 0:
            os.close(release)
        for child in children:
            child.kill()
            child.communicate()
    return answers


@pytest.mark.parametrize("how", ["identity", "first run", "no links"])
@pytest.mark.parametrize("at_start", ["nothing", "torn", "empty", "earlier"])
def test_processes_that_start_at_once_agree(
    child_environment: dict[str, str], home: Path, tmp_path: Path, how: str, at_start: str
) -> None:
    named = tmp_path / "state"
    environment = {**child_environment, "PATTER_TELEMETRY_STATE_DIR": str(named)}
    if at_start in {"torn", "empty"}:
        named.mkdir(mode=0o700)
        (named / "install-id").write_text("" if at_start == "empty" else "abcdef")
    elif at_start == "earlier":
        del environment["PATTER_TELEMETRY_STATE_DIR"]
        (home / ".getpatter").mkdir()
        (home / ".getpatter" / "install-id").write_text("e" * 32)
    answers = start_together(environment, how, tmp_path)
    assert len({found for found, _, _ in answers}) == 1
    assert sum(bool(first) for _, first, _ in answers) == 1
    assert {version for _, _, version in answers} <= {"", "0.8.0"}
    if at_start == "earlier":
        assert answers[0][0] == "e" * 32
    assert not [name for name in tree(tmp_path) if name.endswith(".tmp")]


def test_killed_writer_leaves_no_torn_file(run: Run, tmp_path: Path) -> None:
    """Killed in the middle of each write in turn, until one start gets through."""
    named = tmp_path / "state"
    code = """
import os, signal
from getpatter.telemetry import install_id
left = int(os.environ["WRITES"])
real = os.write
def write(descriptor, content):
    global left
    left -= 1
    if left < 0:
        real(descriptor, content[:len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return real(descriptor, content)
os.write = write
install_id.install_id()
install_id.is_first_run()
install_id.previous_version("0.8.0")
"""
    killed = 0
    for writes in range(20):
        result = run(code, PATTER_TELEMETRY_STATE_DIR=str(named), WRITES=str(writes))
        for name, (_, content) in tree(named).items():
            if not name.endswith(".tmp"):
                assert {
                    "install-id": len(content) == 32,
                    "install-date": content.isdigit(),
                    "first-run": content == b"8",
                    "version": content == b"0.8.0",
                }[name]
        if result.returncode == 0:
            break
        assert result.returncode == -signal.SIGKILL
        killed += 1
    assert killed >= 2
    check = (
        "from getpatter.telemetry import install_id as i; print(i.install_id(), i.is_first_run())"
    )
    first = run(check, PATTER_TELEMETRY_STATE_DIR=str(named))
    assert first.stdout == f"{(named / 'install-id').read_text()} False\n"


def test_no_home_and_unknown_user(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    """A container that runs under any user id."""
    before = tree(tmp_path)
    code = (
        IMPORTS
        + UNKNOWN_UID
        + """
os.chdir("/")
print(install_id.install_id() == install_id.install_id(), install_id.is_first_run())
print(install_id.install_age_seconds(), install_id.days_since_install_bucket())
print(repr(install_id.previous_version("0.8.0")), install_id.is_opted_out())
client = TelemetryClient(sdk_version="0.8.0")
client.record("call_started", direction="inbound")
print(client.flush(10))
try:
    install_id.set_opt_out(True)
except OSError as error:
    print(error.strerror)
"""
    )
    result = run(code, HOME=None)
    if os.geteuid() == 0:
        assert result.stdout.splitlines() == [
            "True False",
            "None None",
            "'' False",
            "True",
            "there is no home directory",
        ]
        (event,) = receiver.wait_for(1, timeout=60)
        assert event["time_to_first_call_bucket"] == "unknown"
    assert "Traceback" not in result.stderr
    assert tree(tmp_path) == before


IMPORTS = """
import os, sys
from getpatter.telemetry import TelemetryClient, install_id
import platformdirs, requests, json
import getpatter.telemetry.delivery.worker, getpatter.telemetry.run
import getpatter.telemetry.delivery.outbox
import getpatter.telemetry.delivery.uploader, getpatter.telemetry.network.request
"""


def test_home_of_someone_else_that_may_be_read(run: Run, receiver: Receiver, shared: Path) -> None:
    """As on a read-only file system: everything can be looked at and nothing be written."""
    home = shared / "home"
    (home / ".local" / "state").mkdir(parents=True)
    for directory in (home, home / ".local", home / ".local" / "state"):
        directory.chmod(0o755)
    before = tree(home)
    code = (
        IMPORTS
        + UNKNOWN_UID
        + """
print(install_id.install_id() == install_id.install_id(), install_id.is_first_run())
client = TelemetryClient(sdk_version="0.8.0")
client.record("call_started", direction="inbound")
print(client.flush(10))
try:
    install_id.set_opt_out(True)
except OSError as error:
    print(type(error).__name__)
"""
    )
    result = run(code, HOME=str(home), cwd=shared)
    assert "Traceback" not in result.stderr
    if os.geteuid() == 0:
        assert result.stdout.splitlines() == ["True False", "True", "PermissionError"]
        receiver.wait_for(1, timeout=60)
        assert tree(home) == before


def test_state_directory_of_someone_else_is_not_used(run: Run, home: Path, shared: Path) -> None:
    named = shared / "state"
    named.mkdir()
    named.chmod(0o777)
    (named / "install-id").write_text("a" * 32)
    before = tree(named)
    code = (
        IMPORTS
        + UNKNOWN_UID
        + """
from getpatter.telemetry import state
from getpatter.telemetry.places import Places
found = state.State(Places.of(os.environ), "m" * 32)
print(found.directory, found.problem)
print(found.install_id("b" * 32))
"""
    )
    result = run(code, PATTER_TELEMETRY_STATE_DIR=str(named), cwd=shared)
    assert result.stderr == ""
    directory, problem = result.stdout.splitlines()[0].split(" ", 1)
    assert directory == "None"
    if os.geteuid() == 0:
        assert problem == "the state directory belongs to someone else"
    assert result.stdout.splitlines()[1] == "m" * 32
    assert tree(named) == before
    assert home.exists()


def test_debug_changes_nothing(run: Run, home: Path, receiver: Receiver) -> None:
    before = tree(home)
    code = """
from getpatter.telemetry import TelemetryClient, install_id
print(install_id.is_first_run(), install_id.previous_version("0.8.0"))
install_id.install_age_seconds()
client = TelemetryClient(sdk_version="0.8.0")
client.record("first_run")
print(client.enabled, client.flush(10))
"""
    result = run(code, PATTER_TELEMETRY_DEBUG="1")
    assert result.stdout == "True \nTrue True\n"
    assert '"event":"first_run"' in result.stderr
    assert tree(home) == before
    assert receiver.requests == []


@pytest.mark.parametrize("variables", [{"DO_NOT_TRACK": "1"}, {"CI": "1"}], ids=["opt-out", "CI"])
def test_off_changes_nothing(
    run: Run, home: Path, receiver: Receiver, variables: dict[str, str]
) -> None:
    before = tree(home)
    code = """
from getpatter.telemetry import TelemetryClient, install_id
install_id.install_id(); install_id.is_first_run(); install_id.previous_version("0.8.0")
install_id.install_age_seconds()
client = TelemetryClient(sdk_version="0.8.0")
client.record("first_run")
print(client.enabled, client.flush(10))
"""
    result = run(code, **variables)
    assert (result.stdout, result.stderr) == ("False True\n", "")
    assert tree(home) == before
    assert receiver.requests == []


def test_opt_out_of_another_process_counts_and_erases(run: Run, home: Path) -> None:
    code = (
        "from getpatter.telemetry import install_id as i; print(i.install_id(), i.is_opted_out())"
    )
    first = run(code).stdout.split()
    assert first[1] == "False"
    run("from getpatter.telemetry import install_id; install_id.set_opt_out(True)")
    off = run(code).stdout.split()
    assert off[1] == "True"
    assert not [name for name in tree(home) if name.endswith(("install-id", "install-date"))]
    run("from getpatter.telemetry import install_id; install_id.set_opt_out(False)")
    again = run(code).stdout.split()
    assert again[1] == "False"
    assert len({first[0], off[0], again[0]}) == 3


def test_fork_children_share_the_run_id(run: Run) -> None:
    code = """
import os
from getpatter.telemetry import install_id
child = os.fork()
if child == 0:
    print(install_id.run_id(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(install_id.run_id())
"""
    first, second = run(code).stdout.split()
    assert first == second
    assert len(first) == 32
    assert run(code).stdout.split()[0] != first
