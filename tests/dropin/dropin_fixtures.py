"""The fixtures of this tier: the release, the copy with our folder, and a machine to run them on.

The venv with the release is made once, in the directory that PATTER_DROPIN_CACHE names or in a
temporary one. A module of its own, because a plugin must not be imported by the tests as well.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dropin_library import OURS, RELEASE, Library, Machine, Twins

from getpatter.telemetry.testing import Receiver

CACHE = "PATTER_DROPIN_CACHE"
INSIDE = Path(__file__).parent / "inside"


def _command(*arguments: object) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(list(map(str, arguments)), check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{arguments[1:]} failed; this tier needs PyPI:\n{done.stderr[-2000:]}")
    return done.stdout.strip()


@pytest.fixture(scope="session")
def python_with_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a venv that has the release, and the packages that our telemetry needs."""
    if sys.version_info < (3, 11):
        pytest.fail(f"getpatter {RELEASE} needs Python 3.11 or later")
    cache = os.environ.get(CACHE)
    directory = Path(cache).absolute() if cache else tmp_path_factory.mktemp("dropin-venv")
    needed = [
        requirement
        for requirement in importlib.metadata.requires("getpatter") or []
        if "extra ==" not in requirement
    ]
    wanted = "\n".join([sys.version, f"getpatter=={RELEASE}", *needed])
    stamp, python = directory / "ready", directory / "bin" / "python"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        _command(sys.executable, "-m", "venv", "--clear", directory)
        pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--prefer-binary")
        _command(*pip, "--quiet", f"getpatter=={RELEASE}", *needed)
        stamp.write_text(wanted, encoding="utf-8")
    return python


@pytest.fixture(scope="session")
def released(python_with_release: Path) -> Library:
    """The release, untouched."""
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    root = Path(_command(python_with_release, "-c", find))
    return Library(python_with_release, root, INSIDE)


@pytest.fixture(scope="session")
def dropin(released: Library, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A scratch copy of the release whose `telemetry` folder is ours."""
    root = tmp_path_factory.mktemp("dropin")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(released.root / "getpatter", root / "getpatter", ignore=unwanted)
    shutil.rmtree(root / "getpatter" / "telemetry")
    shutil.copytree(OURS, root / "getpatter" / "telemetry", ignore=unwanted)
    return Library(released.python, root, INSIDE)


@pytest.fixture
def machine(tmp_path: Path, receiver: Receiver) -> Machine:
    """A user's machine on which nothing ran yet."""
    return Machine(tmp_path, receiver)


@pytest.fixture
def twins(machine: Machine, released: Library, dropin: Library) -> Twins:
    """Both on that machine."""
    return Twins(machine, released, dropin)
