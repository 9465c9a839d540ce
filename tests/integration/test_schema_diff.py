"""`getpatter telemetry schema diff` as a maintainer runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from getpatter.telemetry._tables import SCHEMA_VERSION

SCHEMAS = Path(__file__).parents[2] / "schemas"
NEWEST = f"v{SCHEMA_VERSION}"


def schema(
    *arguments: str, cwd: Path = SCHEMAS.parent, home: str = os.devnull
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "getpatter", "telemetry", "schema", *arguments],
        check=False,
        env={"HOME": home, "PATH": os.environ["PATH"]},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the newest version, to change."""
    return Path(shutil.copytree(SCHEMAS / NEWEST, tmp_path / "mine"))


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "config_incomplete.schema.json"
    text = path.read_text("ascii")
    assert old in text
    path.write_text(text.replace(old, new), "ascii")


def test_versions_are_compared_by_number() -> None:
    done = schema("diff", "v5", "7")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(maxsplit=2)[:2] for line in lines[:-1]] == [
        ["widening", "call_completed.call_uid"],
        ["widening", "call_started.call_uid"],
        ["widening", "cli_command.cli_command=hermes"],
        ["widening", "cli_command.cli_command=openclaw"],
    ]
    assert lines[-1] == "0 breaking, 0 narrowing, 4 widening, 0 neutral."


def test_a_breaking_change_is_exit_1_and_comes_first(folder: Path) -> None:
    edit(folder, '"llm_key",', '"model_key",')
    done = schema("diff", NEWEST, str(folder))
    assert done.returncode == 1
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    assert kinds == ["breaking", "widening", "1"]


def test_folders_are_compared_by_path(folder: Path) -> None:
    edit(folder, "The library could not start", "It could not start")
    done = schema("diff", f"schemas/{NEWEST}", str(folder))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "0 breaking, 0 narrowing, 0 widening, 1 neutral."


def test_what_is_retired_is_narrowing_and_exit_0(folder: Path) -> None:
    mark = '"x-identity": "varies",\n      "enum": [\n        "carrier_credentials"'
    edit(folder, mark, mark.replace(",", f', "x-retired": {SCHEMA_VERSION + 1},', 1))
    done = schema("diff", NEWEST, str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "narrowing  config_incomplete.missing  retired",
        "0 breaking, 1 narrowing, 0 widening, 0 neutral.",
    ]


def test_json_has_the_same_rows() -> None:
    rows = json.loads(schema("diff", "7", "8", "--json").stdout)
    assert {row["kind"] for row in rows} == {"widening", "neutral"}
    assert {"kind": "widening", "path": "config_incomplete", "what": "event added"} in rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("diff", "6", "8"), "there is no schema version 6; there are 5, 7, 8"),
        (("diff", "7"), "needs two versions or folders"),
        (("diff",), "needs two versions or folders"),
        (("diff", "7", "8", "8"), "needs two versions or folders"),
        (("diff", "7", "docs"), "docs has no *.schema.json"),
        (("diff", "7", "nowhere"), "nowhere cannot be read"),
        (("first_run", "7"), "takes one event"),
    ],
)
def test_what_cannot_be_compared_is_exit_2_and_one_line(
    arguments: tuple[str, ...], says: str
) -> None:
    done = schema(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"properties": {"event": {"const": "x"}}}', "\xff", "1"]
)
def test_a_folder_of_anything_else_is_exit_2(folder: Path, text: str) -> None:
    (folder / "first_run.schema.json").write_text(text, "latin-1")
    done = schema("diff", NEWEST, str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be compared" in done.stderr
    assert done.stderr.count("\n") == 1


def test_comparing_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert schema("diff", "7", "8", home=str(home)).returncode == 0
    assert list(home.rglob("*")) == []


def test_one_event_is_still_printed() -> None:
    done = schema("first_run")
    assert done.stdout == (SCHEMAS / NEWEST / "first_run.schema.json").read_text("ascii")
