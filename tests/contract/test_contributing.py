"""What CONTRIBUTING says of the tree is so: the map, the underscore rule, the state, the tests."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from getpatter.telemetry import places

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "getpatter"
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    table = TEXT.partition(f"{heading}\n")[2].partition("\n| ")[2].partition("\n\n")[0]
    found = [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines()[2:]]
    assert found, heading
    return found


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# Each row of the map: its package folder and the names of its files.
MAP = [(codes(row[0])[0], codes(row[2])) for row in rows("## Where to find things")]
OWN = [(wing, names) for wing, names in MAP if wing.startswith("getpatter/")]


def test_every_wing_is_on_the_map() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("__init__.py")}
    assert {wing for wing, _ in MAP} == {*(f"{folder}/" for folder in folders), "schemas/"}


@pytest.mark.parametrize(("wing", "names"), OWN)
def test_every_module_on_the_map_exists(wing: str, names: list[str]) -> None:
    for name in names:
        place = ROOT / wing / name
        assert place.is_dir() or place.with_suffix(".py").is_file(), f"{wing}{name}"


def test_every_module_stands_on_the_map_once() -> None:
    said = Counter(f"{wing}{name}.py" for wing, names in OWN for name in names)
    assert {place for place, times in said.items() if times > 1} == set()
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*.py")
        if not path.name.startswith("__")
    }
    assert modules - said.keys() == set()


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            folder = ROOT.joinpath(*module.split("."))
            names = {alias.name for alias in node.names}
            found |= {f"{module}.{name}" for name in names} if folder.is_dir() else {module}
    return {name for name in found if name.startswith("getpatter.")}


def test_a_file_with_an_underscore_imports_only_such_files() -> None:
    primitives = sorted(PACKAGE.rglob("_[a-z]*.py"))
    assert len(primitives) > 10
    assert any(imported(path) for path in primitives), "or nothing is looked at"
    for path in primitives:
        others = {name.rpartition(".")[2] for name in imported(path)}
        assert {name for name in others if not name.startswith("_")} == set(), path.name


def test_the_layout_of_the_state_directory_has_every_file() -> None:
    cells = [cell for row in rows("### The state directory") for cell in row]
    said = {part for cell in cells for code in codes(cell) for part in code.split("/")}
    names = {
        value for name, value in vars(places).items() if name.isupper() and isinstance(value, str)
    }
    assert {"install-id", "ledger", "spool"} <= names
    assert {name for name in names if name not in said and f"*{name}" not in said} == set()


def test_the_folders_of_tests_are_those_that_there_are() -> None:
    said = {codes(row[0])[0].rstrip("/") for row in rows("## Tests")}
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert said == {*folders, "typing"}


def test_each_folder_is_run_by_the_target_that_is_named() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    collected = re.search(r"^testpaths = \[(.*)\]$", settings, re.MULTILINE)
    assert collected is not None
    for folder, _, by in rows("## Tests"):
        (name,), (command,) = codes(folder), codes(by.rstrip(" |"))
        name, target = name.rstrip("/"), command.removeprefix("make ")
        if target == "test":
            assert f'"tests/{name}"' in collected[1], name
        elif target not in {"lint", "parity"}:
            recipe = re.search(rf"^{target}:.*\n(?:\t.*\n)+", makefile, re.MULTILINE)
            assert recipe is not None, target
            assert f"tests/{name}" in recipe[0], name
