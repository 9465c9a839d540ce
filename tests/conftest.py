"""What every test may use. Child processes get an environment made from scratch."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from getpatter.telemetry.testing import Receiver

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home directory."""
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def child_environment(home: Path, receiver: Receiver) -> dict[str, str]:
    """The environment of a user's program: no CI, no test run, its events go to `receiver`."""
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PATTER_TELEMETRY_ENDPOINT": receiver.endpoint,
    }


@pytest.fixture
def run(child_environment: dict[str, str], tmp_path: Path) -> Run:
    """Run Python code as a user's program: `run("code", NAME="value")` in an empty directory.

    A value of None takes a variable away.
    """
    directory = tmp_path / "work"
    directory.mkdir()

    def run_code(
        code: str, *, cwd: Path = directory, timeout: float = 30, **variables: str | None
    ) -> "subprocess.CompletedProcess[str]":
        chosen = {**child_environment, **variables}
        return subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            env={name: value for name, value in chosen.items() if value is not None},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run_code


@pytest.fixture
def run_loaded(run: Run) -> Run:
    """`run`, for programs whose last events must arrive as they end: what sending needs is loaded
    before, for which half a second can be too short on a busy machine.
    """

    def run_code(code: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return run(f"import requests\n{code}", **options)

    return run_code


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below `directory`: path → (mode, content), to compare before and after."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in sorted(directory.rglob("*"))
    }
