"""Begins the next version of the schemas: all of it that needs no thought. `make schema-version`.

Copies the newest version to the next number, with its vectors and an empty entry in `changes.json`
and `released.json`, and takes the number along in the page, the changelog and what is generated.
The result changes nothing yet, and `make parity` holds for it. Prints what is left to do by hand.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import history

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = ROOT / "schemas"
# Pages that link to the folder of the newest version.
PAGES = ("docs/telemetry.mdx", "README.md", "CONTRIBUTING.md")
# What the changelog says of a version that is begun and changes nothing yet.
BEGUN = "Schema v{new} says what schema v{old} says."


def copy_schemas(old: int, new: int) -> None:
    """Copy the folder, with the new number in `$id`, the title and the constant."""
    folder = SCHEMAS / f"v{new}"
    shutil.copytree(SCHEMAS / f"v{old}", folder)
    for path in folder.iterdir():
        schema = json.loads(path.read_text("ascii"))
        schema["$id"] = schema["$id"].replace(f"/v{old}/", f"/v{new}/")
        schema["title"] = re.sub(rf"\bv{old}\b", f"v{new}", schema["title"])
        schema["properties"]["schema_version"]["const"] = new
        write(path, schema)


def copy_vectors(old: int, new: int) -> None:
    """Copy the vectors; a version that was wrong by one still is."""
    source, folder = (SCHEMAS / "vectors" / f"v{number}" for number in (old, new))
    folder.mkdir()
    for name in ("valid", "invalid"):
        events = json.loads((source / f"{name}.json").read_text("ascii"))
        write_rows(folder / f"{name}.json", [renumbered(event, old, new) for event in events])
    expected = (source / "expected.json").read_text("ascii")
    (folder / "expected.json").write_text(re.sub(rf"\b{old}\b", f"{new}", expected), "ascii")


def renumbered(event: Any, old: int, new: int) -> Any:  # noqa: ANN401 - any JSON
    """Return an event with its version one further, whatever it is."""
    if isinstance(event, list):
        return [renumbered(each, old, new) for each in event]
    if not isinstance(event, dict):
        return event
    changed = dict(event)
    version = event.get("schema_version")
    if isinstance(version, int | float) and not isinstance(version, bool):
        changed["schema_version"] = version + new - old
    elif isinstance(version, str):
        changed["schema_version"] = version.replace(f"{old}", f"{new}")
    return changed


def write_rows(path: Path, rows: list[Any]) -> None:
    """Write an array with one line for each of its values."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    path.write_text(f"[\n{lines}\n]\n", "ascii")


def write(path: Path, value: object) -> None:
    """Write JSON as the files of the repository have it."""
    path.write_text(json.dumps(value, indent=2) + "\n", "ascii")


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file that is there."""
    if path.exists():
        path.write_text(change(path.read_text("utf-8")), "utf-8", newline="\n")


def begin_entries(new: int) -> None:
    """Begin the entries of the version in what is kept by version."""
    for name, entry in (("changes", []), ("released", {"fixed": "under way"})):
        path = SCHEMAS / f"{name}.json"
        write(path, {**json.loads(path.read_text("ascii")), f"{new}": entry})


def in_changelog(text: str, old: int, new: int) -> str:
    """Return the changelog with the new number, and a line about it, under Unreleased."""
    before, heading, rest = text.partition("## Unreleased\n")
    if not heading:
        message = "CHANGELOG.md has no `## Unreleased`"
        raise ValueError(message)
    unreleased, nothing, earlier = rest.partition("\n## ")
    unreleased = re.sub(r"\nEvent schema: v[0-9]+\.\n", "", unreleased)
    unreleased = f"\nEvent schema: v{new}.\n{unreleased}"
    line = f"- {BEGUN.format(old=old, new=new)}\n"
    changed = "\n### Changed\n\n"
    if changed in unreleased:
        unreleased = unreleased.replace(changed, changed + line, 1)
    else:
        unreleased += f"{changed}{line}"
    return before + heading + unreleased + nothing + earlier


def steps(new: int) -> str:
    """Return what is left to do by hand."""
    python = Path(sys.executable)
    shown = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    return f"""v{new} is begun: it is the same as v{new - 1}, and `make parity` passes.
What is left, by hand (schemas/README.md has each step in full):

1. Write down the question that a new field answers. Without one there is no field.
2. Change schemas/v{new}/. Add a field with all of its words (`"x-since": {new}`); retire one with
   `"x-retired": {new}` and out of `required`; allow fewer values with `"x-coarser": {new}`.
3. Compare: {shown.parent / "getpatter"} telemetry schema diff {new - 1} schemas/v{new}
4. Name what is collected more in "{new}" of schemas/changes.json: the lines of the notice.
5. Replace the line about schema v{new} in CHANGELOG.md: name what is more and what is less.
6. Change the vectors in schemas/vectors/v{new}/, then `make generate` and `make parity`.
7. Write the code, and mutants for new rules in schemas/mutants.txt.
8. Once a collector accepts it: {shown} schemas/governance.py accept {new}
9. With the release: {shown} schemas/governance.py release {new}
"""


def main(arguments: list[str]) -> int:
    """Begin the next version."""
    if arguments:
        sys.stderr.write("usage: next_version.py\n")
        return 2
    record = json.loads((SCHEMAS / "released.json").read_text("ascii"))
    old = max(history.versions(SCHEMAS))
    new = old + 1
    if "rules" not in record[f"{old}"]:
        sys.stderr.write(f"v{old} is still under way: change it, there is nothing to copy yet\n")
        return 1
    copy_schemas(old, new)
    copy_vectors(old, new)
    begin_entries(new)
    for page in PAGES:
        edit(ROOT / page, lambda text: text.replace(f"schemas/v{old}", f"schemas/v{new}"))
    edit(ROOT / "CHANGELOG.md", lambda text: in_changelog(text, old, new))
    # In a process of its own: what it reads about the newest version, this one has read before.
    subprocess.run([sys.executable, str(SCHEMAS / "generate.py")], check=True)
    sys.stdout.write(steps(new))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
