"""What every test may use. Child processes get an environment made from scratch."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import internal_errors
import pytest
from hypothesis import HealthCheck, settings
from senders import CATCH_UP

from getpatter.telemetry.testing import Receiver

# A loaded machine is slow, and that is no defect of ours: no timing is asserted.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_NUMBERS = itertools.count()
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def noticed() -> Iterator[internal_errors.Noticed]:
    """The errors of our own that this process notices."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield internal_errors.watching(monkeypatch)


@pytest.fixture(autouse=True)
def no_internal_error(
    request: pytest.FixtureRequest, noticed: internal_errors.Noticed
) -> Iterator[None]:
    """Fail a test in which we made an error that it did not ask for: `pytest.mark.internal_error`.

    Set up first, it looks last, when the children have ended.
    """
    noticed.take()
    arguments = request.node.funcargs
    yield
    found = [*noticed.take(), *internal_errors.of_children(arguments)]
    is_asked = request.node.get_closest_marker("internal_error") is not None
    if found and not is_asked:
        pytest.fail("\n".join(["an error of our own:", *found]), pytrace=False)


@pytest.fixture(autouse=True)
def nobody_s_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home of its own: an opt-out that a test stores is not that of the user who runs it."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("HOME", str(base / f"home-{next(_NUMBERS)}"))  # made by who needs it
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


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

    A value of None takes a variable away. An ending program waits for its collector for half a
    second, which is not always enough on a busy machine: what it leaves on disk is sent after it,
    unless `catch_up` is false.
    """
    directory = tmp_path / "work"
    directory.mkdir()

    def run_code(
        code: str,
        *,
        cwd: Path = directory,
        timeout: float = 60,
        catch_up: bool = True,
        **variables: str | None,
    ) -> "subprocess.CompletedProcess[str]":
        chosen = {**child_environment, **variables}
        environ = {name: value for name, value in chosen.items() if value is not None}

        def child(program: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, "-c", program],
                check=False,
                env=environ,
                cwd=cwd if cwd.exists() else directory,
                capture_output=True,
                text=True,
                timeout=timeout,
            )

        done = child(code)
        is_ours = chosen["PATTER_TELEMETRY_ENDPOINT"] == child_environment.get(
            "PATTER_TELEMETRY_ENDPOINT"
        )
        if catch_up and is_ours and list(tmp_path.rglob("spool/*.json")):
            assert child(CATCH_UP).returncode == 0
        return done

    return run_code


@pytest.fixture
def command(child_environment: dict[str, str], tmp_path: Path) -> Command:
    """Run `getpatter telemetry …` in an empty directory; keywords are variables."""
    directory = tmp_path / "cwd"
    directory.mkdir()

    def run_command(
        *arguments: str, text: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        result = subprocess.run(
            [sys.executable, "-m", "getpatter", "telemetry", *arguments],
            check=False,
            env={**child_environment, **variables},
            cwd=directory,
            capture_output=True,
            input=text,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in result.stderr
        return result

    return run_command


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
