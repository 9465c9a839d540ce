"""Test runs other than pytest's: off by themselves, by how the program was started."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from getpatter.telemetry.testing import Receiver

CASE = """
import unittest
from getpatter import Patter
from getpatter.telemetry import status
class Test(unittest.TestCase):
    def test_host(self):
        phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"})
        print(phone.telemetry.enabled, "because", status.collect()["decided_by"]["why"])
"""
SAYS = """
from getpatter.telemetry import is_enabled, status
print(is_enabled(), "because", status.collect()["decided_by"]["why"])
"""


def run(environment: dict[str, str], cwd: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-m", "unittest", "test_host"], "python -m unittest runs"),
        (["-m", "unittest", "discover"], "python -m unittest runs"),
        (["test_host.py"], "a script of test cases runs"),
        (["-m", "test_host"], "a script of test cases runs"),
    ],
)
def test_unittest_is_a_test_run(
    child_environment: dict[str, str],
    receiver: Receiver,
    tmp_path: Path,
    arguments: list[str],
    why: str,
) -> None:
    code = CASE + "if __name__ == '__main__':\n    unittest.main()\n"
    (tmp_path / "test_host.py").write_text(code)
    assert run(child_environment, tmp_path, *arguments) == f"False because {why}"
    assert receiver.requests == []


@pytest.mark.parametrize("name", ["nose2", "ward", "behave", "stestr", "trial"])
def test_other_runners_are_known_as_a_module_and_as_a_script(
    child_environment: dict[str, str], tmp_path: Path, name: str
) -> None:
    """By their names alone, so that what stands in for them here is as good."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "__main__.py").write_text(SAYS)
    said = run(child_environment, tmp_path, "-m", name)
    assert said == f"False because python -m {name} runs"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / name).write_text(SAYS)
    assert run(child_environment, tmp_path, f"bin/{name}") == f"False because {name} runs"


def test_the_tests_of_a_django_project_are_a_test_run(
    child_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "manage.py").write_text(SAYS)
    assert "manage.py test runs" in run(child_environment, tmp_path, "manage.py", "test", "app")
    assert run(child_environment, tmp_path, "manage.py", "runserver").startswith("True")


@pytest.mark.parametrize(
    "before",
    [
        "import unittest, unittest.mock",
        "from unittest import TestCase",
        "import sys; sys.argv = []",
        "import sys; del sys.argv",
        "import sys; sys.argv = [None, 3]",
        "import sys, types; sys.modules['__main__'] = types.SimpleNamespace()",
        "import sys; del sys.modules['__main__']",
        "import doctest; unittest = object()",
    ],
)
def test_a_program_that_only_knows_of_tests_is_none(
    child_environment: dict[str, str], tmp_path: Path, before: str
) -> None:
    (tmp_path / "host.py").write_text(before + SAYS)
    assert run(child_environment, tmp_path, "host.py") == "True because nothing says off"
