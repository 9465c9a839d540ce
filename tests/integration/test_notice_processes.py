"""Programs whose stderr takes nothing, or shows nobody anything: they end in time, nothing leaves,
and the next start is as the first.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from getpatter.telemetry import notice

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

    from getpatter.telemetry.testing import Receiver

STARTS = """
from getpatter import Patter
phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"})
"""
FLUSHES = """
assert phone.telemetry.flush(20)
print(phone.telemetry.stats()["lost"])
"""
# Longer than a program waits for us, and far less than for ever.
SECONDS = 20
# In a job of its own, on a terminal whose foreground is another one, and which stops whoever writes
# to it from the background. Says whether the program was stopped.
IN_BACKGROUND = """
import fcntl, os, subprocess, sys, termios
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
how = termios.tcgetattr(terminal)
how[3] |= termios.TOSTOP
termios.tcsetattr(terminal, termios.TCSANOW, how)
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[2]], preexec_fn=os.setpgrp, stderr=terminal
)
_, status = os.waitpid(child.pid, os.WUNTRACED)
print("stopped" if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
if os.WIFSTOPPED(status):
    child.kill()
"""


@pytest.fixture
def full() -> int:
    """A full pipe that nobody reads; both its ends stay open as long as this process."""
    _, writes = os.pipe()
    os.set_blocking(writes, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writes, b"x" * 4_096)
    os.set_blocking(writes, True)
    return writes


@pytest.mark.parametrize(
    "variables",
    [
        {"PATTER_TELEMETRY_EXIT": "wait"},
        {"PATTER_TELEMETRY_EXIT": "detach"},
        {"PATTER_TELEMETRY_EXIT": "spool"},
        {"PATTER_TELEMETRY_DEBUG": "1"},
    ],
    ids=lambda variables: next(iter(variables.values())),
)
def test_a_program_ends_though_nobody_reads_its_stderr(
    child_environment: dict[str, str],
    receiver: Receiver,
    full: int,
    tmp_path: Path,
    variables: dict[str, str],
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STARTS],
        env={**child_environment, **variables},
        cwd=tmp_path,
        stderr=full,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0
    assert receiver.requests == []
    assert not list(tmp_path.rglob("first-run"))
    assert not list(tmp_path.rglob("spool/*.json"))


@pytest.mark.parametrize("variables", [{}, {"PATTER_TELEMETRY_DEBUG": "1"}], ids=["", "debug"])
def test_a_program_in_the_background_is_not_stopped(
    child_environment: dict[str, str], tmp_path: Path, variables: dict[str, str]
) -> None:
    master, terminal = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", IN_BACKGROUND, os.ttyname(terminal), STARTS + FLUSHES],
            env={**child_environment, **variables},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.stdout.splitlines() == ["{}", "0"], done.stderr
        shown = os.read(master, 65_536).decode().replace("\r", "")
        assert "sdk_initialized" in shown if variables else shown == notice.TEXT
    finally:
        os.close(master)
        os.close(terminal)


@pytest.mark.parametrize(
    "mute",
    [
        "import sys; sys.stderr = None",
        "import sys; sys.stderr.close()",
        "import os; os.close(2)",
        "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 2)",
        "import os, sys; sys.stderr = open(os.devnull, 'w')",
        "import io, sys; sys.stderr = io.StringIO()",
        "import contextlib, io; contextlib.redirect_stderr(io.StringIO()).__enter__()",
    ],
)
def test_a_run_that_can_show_nothing_sends_nothing_and_the_next_one_is_the_first(
    run: Run, receiver: Receiver, home: Path, mute: str
) -> None:
    done = run(f"{mute}\n{STARTS}{FLUSHES}")
    assert done.returncode == 0
    lost = {"sdk_initialized": {"notice_not_shown": 1}}  # the next one says the other
    assert done.stdout == f"{lost}\n"
    assert receiver.requests == []
    assert not list(home.rglob("first-run"))
    code = "from getpatter.telemetry import status; print(status.collect()['lost'])"
    assert run(code).stdout == f"{lost}\n"

    done = run(STARTS + FLUSHES)
    assert done.stderr == notice.TEXT
    assert [event["event"] for event in receiver.events] == ["first_run", "sdk_initialized"]
    assert "notice_not_shown" not in str([request.headers for request in receiver.requests])
    assert run(STARTS + FLUSHES).stderr == ""
    assert [event["event"] for event in receiver.events][2:] == ["sdk_initialized"]


def test_the_notice_of_another_process_lets_this_one_send(
    run: Run, receiver: Receiver, home: Path
) -> None:
    """What it says is of the install, and its first run was claimed once."""
    code = f"""
import sys
stderr, sys.stderr = sys.stderr, None
{STARTS}
from getpatter.telemetry import install_id
install_id.open_state().notice.remember()
{FLUSHES}
"""
    assert run(code).stdout == "{}\n"
    assert [event["event"] for event in receiver.events] == ["first_run", "sdk_initialized"]
    assert list(home.rglob("first-run"))


@pytest.mark.parametrize("kind", ["file", "open to others", "gone"])
def test_nothing_is_made_in_the_working_directory_where_no_state_can_be_kept(
    run: Run, receiver: Receiver, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "place"
    named = str(place)
    before = ""
    if kind == "file":
        place.touch()
    elif kind == "open to others":
        place.mkdir()
        place.chmod(0o777)
    else:
        named = "relative"
        before = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())"
    code = f"{before}\n{STARTS}\nimport os; os.chdir({str(tmp_path / 'work')!r})\n{FLUSHES}"
    done = run(code, PATTER_TELEMETRY_STATE_DIR=named)
    assert done.stderr == notice.TEXT
    assert [event["event"] for event in receiver.events] == ["sdk_initialized"]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_program_whose_stderr_hangs_ends(
    child_environment: dict[str, str], tmp_path: Path
) -> None:
    code = f"""
import io, sys, threading
class Hangs(io.StringIO):
    def write(self, text):
        threading.Event().wait()
sys.stderr = Hangs()
{STARTS}
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=child_environment,
        cwd=tmp_path,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0
