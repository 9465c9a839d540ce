"""Programs in which a package that we depend on is another one, is broken, or is not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

    from getpatter.telemetry.testing import Receiver

PROGRAM = """
import sys
sys.path.insert(0, "")
from getpatter import Patter
phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"}, **OPTIONS)
import json
found = {"on": phone.telemetry.enabled}
if phone.telemetry.enabled:
    found["delivered"] = phone.telemetry.flush(SECONDS)
    found["stats"] = phone.telemetry.stats()
print(json.dumps(found))
"""
# What can stand where a package of ours should be; `{name}` is the package's.
IMPOSTORS = {
    "a file of the host's": {"{name}.py": "values = {}"},
    "raises": {"{name}.py": "raise RuntimeError"},
    "ends the program": {"{name}.py": "import sys; sys.exit(3)"},
    "hangs": {"{name}.py": "import threading; threading.Event().wait()"},
    "another package": {"{name}/__init__.py": "raise KeyboardInterrupt"},
    "a package that hangs": {
        "{name}/__init__.py": "import threading; threading.Event().wait()",
        "{name}/main.py": "",
    },
    "is not there": {"sitecustomize.py": "", "blocked": ""},
    "a namespace": {"{name}/notes.txt": ""},
}


def run_beside(
    run: Run, work: Path, name: str, impostor: str, **options: object
) -> dict[str, object]:
    before = ""
    for path, content in IMPOSTORS[impostor].items():
        place = work / path.format(name=name)
        place.parent.mkdir(exist_ok=True)
        place.write_text(content)
    if impostor == "is not there":
        before = f"""
import sys
class Blocks:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocks())
"""
    seconds = options.pop("seconds", 10)
    program = PROGRAM.replace("OPTIONS", repr(options)).replace("SECONDS", str(seconds))
    done = run(before + program, cwd=work, catch_up=False, PATTER_TELEMETRY_EXIT="none")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    place = tmp_path / "program"
    place.mkdir()
    return place


# A namespace package does not hide one that is installed.
SHADOWING = [name for name in IMPOSTORS if name != "a namespace"]


@pytest.mark.parametrize("impostor", SHADOWING)
def test_a_dotenv_that_nobody_can_parse_may_say_off(
    run: Run, receiver: Receiver, work: Path, impostor: str
) -> None:
    (work / ".env").write_text("OTHER=1\n")
    assert run_beside(run, work, "dotenv", impostor) == {"on": False}
    assert receiver.requests == []


@pytest.mark.parametrize("options", [{"telemetry": False}, {"telemetry": True}])
def test_the_host_starts_whatever_it_says_of_telemetry(
    run: Run, work: Path, options: dict[str, object]
) -> None:
    (work / ".env").write_text("OTHER=1\n")
    assert run_beside(run, work, "dotenv", "raises", **options) == {"on": False}


@pytest.mark.parametrize("impostor", ["hangs", "a namespace"])
def test_another_dotenv_does_not_matter_without_the_file(
    run: Run, receiver: Receiver, work: Path, impostor: str
) -> None:
    found = run_beside(run, work, "dotenv", impostor)
    assert (found["on"], found["delivered"]) == (True, True)
    assert len(receiver.events) == 2


@pytest.mark.parametrize("impostor", SHADOWING)
def test_a_place_for_state_that_cannot_be_known_may_hold_an_opt_out(
    run: Run, receiver: Receiver, work: Path, impostor: str
) -> None:
    assert run_beside(run, work, "platformdirs", impostor) == {"on": False}
    assert receiver.requests == []


@pytest.mark.parametrize("impostor", SHADOWING)
def test_what_cannot_be_sent_is_kept(
    run: Run, receiver: Receiver, work: Path, impostor: str
) -> None:
    found = run_beside(run, work, "requests", impostor, seconds=1.5)
    assert (found["on"], found["delivered"]) == (True, False)
    stats = found["stats"]
    assert isinstance(stats, dict)
    assert stats["spooled"] + stats["waiting"] == 2
    assert stats["lost"] == {}
    assert receiver.requests == []


@pytest.mark.parametrize("name", ["dotenv", "platformdirs"])
def test_status_says_which_package_it_is(run: Run, work: Path, name: str) -> None:
    (work / ".env").write_text("OTHER=1\n")
    (work / f"{name}.py").write_text("import sys; sys.exit(3)")
    code = """
import sys
sys.path.insert(0, "")
from getpatter.cli import main
main(["telemetry", "status"])
"""
    done = run(code, cwd=work)
    assert done.stderr == ""
    assert done.stdout.startswith("Telemetry is off: ")
    assert f"{name} is another package (" in done.stdout.splitlines()[0]


def test_disable_works_where_the_place_for_state_cannot_be_known(
    run: Run, work: Path, home: Path
) -> None:
    (work / "platformdirs.py").write_text("raise RuntimeError")
    code = """
import sys
sys.path.insert(0, "")
from getpatter.cli import main
sys.exit(main(["telemetry", "disable"]))
"""
    assert run(code, cwd=work).returncode == 0
    assert (home / ".getpatter" / "telemetry-disabled").is_file()


def test_a_module_that_was_made_without_a_file_is_another_one(run: Run, work: Path) -> None:
    """As tests and plugins put one into `sys.modules`."""
    code = """
import sys, types
sys.modules["platformdirs"] = types.ModuleType("platformdirs")
from getpatter.telemetry import is_enabled
print(is_enabled())
"""
    assert run(code, cwd=work).stdout == "False\n"
