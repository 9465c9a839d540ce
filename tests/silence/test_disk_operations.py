"""How often a short program looks at its `.env` and its state, from start to end: by strace."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from getpatter import Patter
patter = Patter(carrier="none")
patter.telemetry.record("cli_command", cli_command="demo")
"""
# Counted were 97, 97, 93 and 57; the rest is for a busy machine, on which the start before this one
# may have left a batch. Before consent was asked once a step, and startup left to the worker, they
# were 211, 162, 216 and 156.
MOST = {"wait": 160, "detach": 130, "spool": 140, "none": 90}


@pytest.mark.parametrize("mode", MOST)
def test_a_start_one_record_and_the_end_of_a_program(
    tmp_path: Path, child_environment: dict[str, str], mode: str
) -> None:
    work = tmp_path / "program"
    work.mkdir()
    script = work / "program.py"
    script.write_text(PROGRAM)
    (work / ".env").write_text("OTHER=1\n")
    environ = {**child_environment, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(script)]

    def run(how: str, *tracer: str) -> None:
        done = subprocess.run(
            [*tracer, *command],
            env={**environ, "PATTER_TELEMETRY_EXIT": how},
            cwd=work,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    run("wait")  # the install is there, and its notice was shown
    logs = tmp_path / "logs"
    logs.mkdir()
    # -ff: a file for each thread and process; -y: the paths of descriptors.
    run(mode, "strace", "-ff", "-y", "-e", "trace=%file,%desc", "-o", str(logs / "of"))
    found = []
    for log in logs.iterdir():
        lines = log.read_text(errors="replace").splitlines()
        if any('execve("/bin/sh"' in line or "detached.py" in line for line in lines):
            continue  # the sender, and the shell that starts it
        found += [line for line in lines if child_environment["HOME"] in line or ".env" in line]
    assert 20 < len(found) <= MOST[mode], "\n".join(found)
