"""What the detached sender is beside the program that started it: nobody's child, and like new."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from senders import gone, senders

import getpatter
from getpatter.telemetry.delivery import exits
from getpatter.telemetry.delivery.spool_files import waiting
from getpatter.telemetry.testing import Answer, Receiver

Program = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = """
import atexit, os, resource, signal, sys, time
{before}
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("agent_configured", builtin_tool_count=1)
{after}
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def program(child_environment: dict[str, str], tmp_path: Path, state: Path) -> Program:
    """Run a script that leaves its event to a sender; it ends before the sender does."""

    def run(
        before: str = "", after: str = "", *options: str, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        script = tmp_path / "program.py"
        script.write_text(PROGRAM.format(before=before, after=after))
        environ = {
            **child_environment,
            "PATTER_TELEMETRY_STATE_DIR": str(state),
            "PATTER_TELEMETRY_EXIT": "detach",
            **variables,
        }
        return subprocess.run(
            [sys.executable, *options, str(script)],
            check=False,
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


@pytest.fixture
def held(receiver: Receiver) -> Iterator[threading.Event]:
    """A request of a sender that is held until the test is over; set once it is there."""
    is_there, let_go = threading.Event(), threading.Event()

    def hold(_: object) -> int | None:
        is_there.set()
        return None if let_go.wait(20) else 500

    receiver.answer(hold)
    yield is_there
    let_go.set()


@pytest.fixture(autouse=True)
def no_sender_is_left(state: Path) -> Iterator[None]:
    yield
    for pid in senders(state):
        os.kill(pid, signal.SIGKILL)


REAP = """
def reap():
    try:
        while True:
            os.wait()
    except ChildProcessError:
        print("reaped")
atexit.register(reap)
"""
REAPS = {
    "at its end": REAP,
    "whatever tells of a child": f"{REAP}\nsignal.signal(signal.SIGCHLD, lambda *_: reap())",
    "not at all": f"{REAP}\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "as it likes": f"{REAP}\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
}


@pytest.mark.parametrize("before", REAPS.values(), ids=REAPS)
def test_a_program_that_waits_for_its_children_does_not_wait_for_the_sender(
    program: Program, state: Path, held: threading.Event, before: str
) -> None:
    done = program(before)
    assert done.returncode == 0, done.stderr
    assert "reaped" in done.stdout
    assert held.wait(20)
    (pid,) = senders(state)  # it is at work, and the program has ended
    assert Path(f"/proc/{pid}/stat").read_text().split()[3] != str(os.getpid())


def test_a_program_that_goes_on_after_its_end_has_no_child(
    program: Program, held: threading.Event
) -> None:
    after = """
atexit._run_exitfuncs()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
"""
    assert program("", after).stdout == "no child\n"
    assert held.wait(20)


BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
IGNORE = """
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
"""


@pytest.mark.parametrize(
    "before",
    ["", BLOCK, IGNORE, f"{IGNORE}\n{BLOCK}", "signal.signal(signal.SIGTERM, lambda *_: None)"],
    ids=["as it is", "blocked", "ignored", "both", "handled"],
)
def test_signals_are_those_of_a_new_process(
    program: Program, state: Path, held: threading.Event, before: str
) -> None:
    assert program(before).returncode == 0
    assert held.wait(20)
    (pid,) = senders(state)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ours = sum(1 << number - 1 for number in signal.valid_signals())
    masks = {
        name: int(mask, 16) & ours
        for name, _, mask in (line.partition(":") for line in lines)
        if name in ("SigBlk", "SigIgn", "SigCgt")
    }
    of_python = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert masks == {"SigBlk": 0, "SigIgn": of_python, "SigCgt": 0}
    os.kill(pid, signal.SIGTERM)
    assert gone(state, 10)
    assert waiting(str(state)) == 1


@pytest.mark.parametrize("mebibytes", [40, 63, 64, 200])
def test_a_hard_limit_of_memory_is_kept(
    program: Program, receiver: Receiver, state: Path, mebibytes: int
) -> None:
    most = f"({mebibytes} << 20, {mebibytes} << 20)"
    # The program itself has what it needs already.
    after = f"resource.setrlimit(resource.RLIMIT_DATA, {most})"
    assert program("", after).returncode == 0
    receiver.wait_for(1, 20)
    assert gone(state)


@pytest.mark.parametrize("limit", ["RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_STACK"])
def test_other_limits_of_the_program_do_not_keep_it(
    program: Program, receiver: Receiver, limit: str
) -> None:
    size = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 1 << 20, "RLIMIT_STACK": 1 << 20}[limit]
    assert program("", f"resource.setrlimit(resource.{limit}, ({size}, {size}))").returncode == 0
    receiver.wait_for(1, 20)


def test_its_files_are_the_users_whatever_the_umask(
    program: Program, receiver: Receiver, state: Path
) -> None:
    assert program("os.umask(0)").returncode == 0
    receiver.wait_for(1, 20)
    assert gone(state)
    modes = {path.name: path.stat().st_mode & 0o077 for path in state.rglob("*")}
    assert modes
    assert set(modes.values()) == {0}


# consent


def opt_out_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DO_NOT_TRACK=1\n")


def test_an_opt_out_in_the_dotenv_of_the_program_stops_the_sender(
    program: Program, receiver: Receiver, state: Path, tmp_path: Path
) -> None:
    """It looks into the file that the program had, though its own directory is `/`."""

    def refuse(_: object) -> int:
        opt_out_in_dotenv(tmp_path)
        return 503

    receiver.answer(refuse)
    program()
    assert gone(state)
    assert len(receiver.requests) == 1
    assert receiver.events == []


@pytest.mark.parametrize(
    "variable",
    [
        "DO_NOT_TRACK=1",
        "PATTER_TELEMETRY=0",
        "PATTER_TELEMETRY_DISABLED=yes",
        "CI=1",
        "GITHUB_ACTIONS=true",
        "PYTEST_VERSION=8",
        "NODE_ENV=test",
        "PATTER_ENV=test",
        ".env",
    ],
)
def test_nothing_is_handed_over_after_an_opt_out(
    program: Program,
    receiver: Receiver,
    state: Path,
    child_environment: dict[str, str],
    variable: str,
) -> None:
    receiver.answer(503)  # whoever asks first
    program(PATTER_TELEMETRY_EXIT="spool")
    assert waiting(str(state)) == 1
    environ = {**child_environment, "PATTER_TELEMETRY_STATE_DIR": str(state)}
    if variable == ".env":
        opt_out_in_dotenv(state.parent)
    else:
        name, _, value = variable.partition("=")
        environ[name] = value
    dotenv = str(state.parent / ".env")
    assert not exits.start_sender(str(state), environ, dotenv=dotenv)
    assert senders(state) == []
    assert waiting(str(state)) == 1


SAYS_NO = {
    "DO_NOT_TRACK": "os.environ['DO_NOT_TRACK'] = '1'",
    "PATTER_TELEMETRY": "os.environ['PATTER_TELEMETRY'] = 'off'",
    ".env": "open('.env', 'w').write('DO_NOT_TRACK=1')",
    ".env, and elsewhere": "open('.env', 'w').write('DO_NOT_TRACK=1'); os.chdir('/')",
    "a marker": "open(os.path.join(state, 'telemetry-disabled'), 'w').close()",
}


@pytest.mark.parametrize("says_no", [*SAYS_NO, "nothing"])
def test_a_no_that_is_said_while_a_batch_is_on_disk_comes_before_the_sender(
    program: Program, receiver: Receiver, state: Path, says_no: str
) -> None:
    receiver.answer(Answer(503, headers={"Retry-After": "2"}))
    done = program(
        "",
        f"""
state = {str(state)!r}
assert not client.flush(1)
until = time.monotonic() + 30
while client.stats()["spooled"] != 1:  # a disk of a busy machine is not asked at once
    assert time.monotonic() < until
    time.sleep(0.01)
{SAYS_NO.get(says_no, "")}
""",
    )
    assert done.returncode == 0, done.stderr
    if says_no == "nothing":
        receiver.wait_for(1, 20)
    assert gone(state)
    assert len(receiver.events) == (says_no == "nothing")
    assert len(receiver.requests) == 1 + (says_no == "nothing")


def test_with_consent_it_is_handed_over(
    program: Program, receiver: Receiver, state: Path, child_environment: dict[str, str]
) -> None:
    """The same, so that the above can fail."""
    receiver.answer(503)  # whoever asks first
    program(PATTER_TELEMETRY_EXIT="spool")
    environ = {**child_environment, "PATTER_TELEMETRY_STATE_DIR": str(state)}
    assert exits.start_sender(str(state), environ, dotenv="")
    receiver.wait_for(1, 20)


# where packages are


def test_packages_elsewhere_are_no_means_for_it(program: Program, tmp_path: Path) -> None:
    """`pip install --target`, a zip file, an editable install: the program itself delivers."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    import requests

    packages = Path(requests.__file__).parents[1]
    for path in packages.iterdir():
        (libraries / path.name).symlink_to(path)
    root = Path(getpatter.__file__).parents[1]
    after = """
from getpatter.telemetry.delivery import exits
chosen = exits.choose(os.environ)
print(chosen.mode, chosen.why)
client.flush(20)
"""
    places = os.pathsep.join([str(libraries), str(root)])
    done = program("", after, "-S", PYTHONPATH=places, PATTER_TELEMETRY_EXIT="detach")
    assert done.stdout == "wait what sending needs is not where packages are installed\n"
