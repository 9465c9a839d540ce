"""What is generated from the schema files is what the repository holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from getpatter.telemetry import _schema_documents, _tables

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
DERIVED = (
    "getpatter/telemetry/_tables.py",
    "getpatter/telemetry/_schema_documents.py",
    "docs/telemetry.mdx",
    "docs/calls.mdx",
)

Run = subprocess.CompletedProcess[str]


def generate(root: Path, *arguments: str) -> Run:
    command = [sys.executable, str(root / "schemas" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    for name in DERIVED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_repository_is_up_to_date() -> None:
    run = generate(ROOT, "--check")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "text"),
    list(
        zip(
            DERIVED,
            ('"call_uid"', '"call_uid"', "| `call_uid` |", "| `call_uid` |"),
            strict=True,
        )
    ),
)
def test_a_changed_file_is_named_and_written_anew(copy: Path, name: str, text: str) -> None:
    before = (copy / name).read_text("utf-8")
    assert text in before
    (copy / name).write_text(before.replace(text, text.replace("uid", "id")), "utf-8")
    run = generate(copy, "--check")
    assert run.returncode == 1
    assert run.stdout == f"{name} differs from the schema files\n"
    assert generate(copy).returncode == 0
    assert (copy / name).read_text("utf-8") == before
    assert generate(copy, "--check").returncode == 0


@pytest.mark.parametrize("name", DERIVED)
def test_a_missing_file_is_named_and_written(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert name in generate(copy, "--check").stdout
    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0


def test_a_changed_schema_changes_all_three(copy: Path) -> None:
    path = copy / "schemas" / "v8" / "config_incomplete.schema.json"
    path.write_text(path.read_text("ascii").replace('"llm_key"', '"model_key"'), "ascii")
    run = generate(copy, "--check")
    assert run.returncode == 1
    assert [line.split()[0] for line in run.stdout.splitlines()] == list(DERIVED[:3])


def test_a_changed_schema_of_diagnostics_changes_their_page(copy: Path) -> None:
    path = copy / "schemas" / "diagnostics" / "v1" / "stage_completed.schema.json"
    path.write_text(path.read_text("ascii").replace('"first_ms"', '"first_byte_ms"'), "ascii")
    run = generate(copy, "--check")
    assert (run.returncode, run.stdout) == (1, "docs/calls.mdx differs from the schema files\n")
    assert generate(copy).returncode == 0
    assert "| `first_byte_ms` |" in (copy / "docs" / "calls.mdx").read_text("utf-8")


@pytest.mark.parametrize("name", DERIVED[2:])
def test_prose_around_the_tables_is_kept(copy: Path, name: str) -> None:
    path = copy / name
    text = f"# Before\n\n{path.read_text('utf-8')}\n# After\n"
    path.write_text(text, "utf-8")
    assert generate(copy).returncode == 0
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"minLength": 32', '"minLength": 32, "format": "uuid"'),
        lambda text: text.replace('"maxLength": 32', '"max": 32'),
        lambda text: text.replace('"additionalProperties": false', '"additionalProperties": true'),
        lambda text: text.replace('"if": {', '"else": {}, "if": {'),
        lambda text: text.replace('"not": {}', '"type": "null"'),
        lambda text: text.replace("Processor architecture.", "Processor."),
        lambda text: text.replace("Processor architecture.", "Processor <arch>."),
    ],
)
def test_a_schema_that_the_tables_cannot_express_is_an_error(
    copy: Path, change: Callable[[str], str]
) -> None:
    """Or the client would allow what the file refuses."""
    path = copy / "schemas" / "v8" / "call_completed.schema.json"
    changed = change(path.read_text("ascii"))
    assert changed != path.read_text("ascii")
    path.write_text(changed, "ascii")
    run = generate(copy)
    assert run.returncode == 1
    assert "ValueError" in run.stderr


def test_an_unknown_argument_is_refused() -> None:
    assert generate(ROOT, "--chekc").returncode == 2


def test_the_embedded_schemas_are_the_files() -> None:
    files = {
        path.name.removesuffix(".schema.json"): path.read_text("ascii")
        for path in (ROOT / "schemas" / "v8").iterdir()
    }
    assert files == _schema_documents.TEXTS
    assert _schema_documents.documents() == {n: json.loads(text) for n, text in files.items()}


def test_the_embedded_schemas_are_new_objects_each_time() -> None:
    _schema_documents.documents()["first_run"]["properties"].clear()
    assert _schema_documents.documents()["first_run"]["properties"]


def test_the_tables_import_nothing() -> None:
    code = (
        "import sys; text = open(sys.argv[1]).read(); before = set(sys.modules);"
        "exec(compile(text, 'tables', 'exec'), {}); print(sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT / DERIVED[0])]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "[]\n"


def test_every_field_of_the_tables_has_exactly_one_rule() -> None:
    kinds = (
        *(_tables.ENUMS, _tables.INTEGERS, _tables.NUMBERS, _tables.STRINGS),
        *(_tables.BOOLEANS, _tables.CONSTANTS),
    )
    names = {*_tables.COMMON_FIELDS}.union(*_tables.DIMENSIONS.values())
    for name in names:
        assert sum(name in kind for kind in kinds) == 1, name
    assert set().union(*kinds) == names
