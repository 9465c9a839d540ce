"""The fixtures of this tier: a venv with the servers, and a stage to run programs on.

The venv is made once, in the directory that PATTER_PROCESSES_CACHE names or in a temporary one. A
module of its own, because a plugin must not be imported by the tests as well.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import Stage

from getpatter.telemetry.testing import Receiver

ROOT = Path(__file__).parents[2]
CACHE = "PATTER_PROCESSES_CACHE"
# What people run a voice library under. The lower bounds are what this tier was written with.
SERVERS = (
    "celery>=5.4,<6",
    "eventlet>=0.36",
    "gevent>=24.2",
    "gunicorn>=23",
    "packaging>=24",
    "starlette>=0.40",
    "uvicorn>=0.30",
)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a venv that has this package, from this folder, and the servers."""
    cache = os.environ.get(CACHE)
    directory = Path(cache).absolute() if cache else tmp_path_factory.mktemp("processes-venv")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    wanted = "\n".join([sys.version, *SERVERS, project])
    stamp, python = directory / "ready", directory / "bin" / "python"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--prefer-binary")
        done = subprocess.run(
            [*pip, "--quiet", "--progress-bar", "off", "-e", ROOT, *SERVERS],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.fail(f"this tier needs PyPI:\n{done.stderr[-2000:]}")
        stamp.write_text(wanted, "utf-8")
    return python


@pytest.fixture
def stage(python: Path, tmp_path: Path, receiver: Receiver) -> Iterator[Stage]:
    """A machine on which nothing ran yet."""
    made = Stage(python, tmp_path, receiver)
    yield made
    made.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket for a server to inherit: so nobody has to guess a free port."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.set_inheritable(True)
        yield made
