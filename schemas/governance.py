"""What holds from one version to the next: released files, evolution, and the words for it.

python schemas/governance.py            exit 1 and say what does not hold
python schemas/governance.py release 8  record version 8 as released: from then on its files
never change, not even a word
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import history

from getpatter.telemetry._evolution import diff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from history import Version

ROOT = Path(__file__).resolve().parents[1]


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a version."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def rules_hash(version: Version) -> str:
    """Return the SHA-256 of what a version accepts: everything but its words."""
    rules = {event: without_words(schema) for event, schema in version.items()}
    text = json.dumps(rules, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def without_words(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a schema without what only people read; a field may have such a name."""
    if isinstance(schema, list):
        return [without_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: without_words(rule) for name, rule in value.items()}
        if key == "properties"
        else without_words(value)
        for key, value in schema.items()
        if key not in {"title", "description"} and not key.startswith("x-")
    }


def released(schemas: Path) -> Iterator[str]:
    """Say which released file has changed, and which version is not on record."""
    record = json.loads((schemas / "released.json").read_text("ascii"))
    folders = history.versions(schemas)
    if [*record] != [f"{number}" for number in folders]:
        yield f"released.json has {', '.join(record)}; there is {', '.join(map(str, folders))}"
        return
    for number, folder in folders.items():
        entry = record[f"{number}"]
        if entry["rules"] != rules_hash(history.load(folder)):
            yield f"v{number}: what it accepts has changed since it was {entry['fixed']}"
        if "files" not in entry:
            continue
        found = hashes(folder)
        for name in sorted(found.keys() | entry["files"].keys()):
            if found.get(name) != entry["files"].get(name):
                yield f"v{number}/{name} has changed since it was released"


def evolution(schemas: Path, changelog: str) -> Iterator[str]:
    """Say what breaks between neighbours, and which widening has no words."""
    versions = {n: history.load(folder) for n, folder in history.versions(schemas).items()}
    words = history.texts_of_changes(schemas)
    numbers = [*versions]
    if [*words] != numbers[1:]:
        yield f"changes.json has {[*words]}, and the versions after the first are {numbers[1:]}"
        return
    for old, new in itertools.pairwise(numbers):
        changes = diff(versions[old], versions[new])
        for change in changes:
            if change.kind == "breaking":
                yield f"v{old} → v{new} breaks {change.path}: {change.what}"
        widening = [change.path for change in changes if change.kind == "widening"]
        yield from in_words(new, widening, words[new], changelog)
    for number, version in versions.items():
        yield from since(number, version, versions)


def in_words(
    number: int, widening: list[str], entries: list[dict[str, Any]], changelog: str
) -> Iterator[str]:
    """Say which widening the notice or the changelog does not name, and what they name in vain."""
    named: set[str] = set()
    for entry in entries:
        said = set(re.findall(r"`([^`]+)`", entry["text"]))
        for pattern in entry["collects"]:
            covered = {path for path in widening if fits(path, pattern)}
            if not covered:
                yield f"changes.json, {number}: {pattern} is nothing that v{number} collects more"
            named |= covered
            if not {re.split(r"[.=]", pattern)[-1]} <= said:
                yield f"changes.json, {number}: the words do not name {pattern}"
    lines = [line for line in changelog.splitlines() if f"chema v{number}" in line]
    in_changelog = {word for line in lines for word in re.findall(r"`([^`]+)`", line)}
    for path in widening:
        if path not in named:
            yield f"v{number} collects {path}: no line of changes.json, so of the notice, says so"
        # Of a value its field too, of a field and an event their own names.
        names = re.split(r"[.=]", path)[-2:] if "=" in path else [path.split(".")[-1]]
        if not set(names) <= in_changelog:
            yield f"v{number} collects {path}: no line about schema v{number} in the changelog"


def fits(path: str, pattern: str) -> bool:
    """Return whether a pattern names a change; `*` in it is any event."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[a-z_]+"), path) is not None


def since(number: int, version: Version, versions: dict[int, Version]) -> Iterator[str]:
    """Say where `x-since` is not the first version that has it."""
    for event, schema in version.items():
        first = min(n for n, found in versions.items() if event in found)
        if schema["x-since"] != first:
            yield f"v{number} {event}: x-since is not {first}"
        for name, rule in schema["properties"].items():
            of_field = min(
                n
                for n, found in versions.items()
                if any(name in other["properties"] for other in found.values())
            )
            # An event's name is as old as the event.
            if rule["x-since"] != (first if name == "event" else of_field):
                yield f"v{number} {event}.{name}: x-since is not {of_field}"


def in_force(schemas: Path, changelog: str, client: int) -> Iterator[str]:
    """Say where the changelog or the client does not have the newest version."""
    newest = max(history.versions(schemas))
    named = re.search(r"Event schema: v([0-9]+)\.", changelog)
    if named is None or int(named[1]) != newest:
        yield f"the changelog does not begin with `Event schema: v{newest}.`"
    if client != newest:
        yield f"the client sends v{client}, and the newest schemas are v{newest}"


def release(schemas: Path, number: int) -> None:
    """Record a version as released."""
    path = schemas / "released.json"
    record = json.loads(path.read_text("ascii"))
    folder = history.versions(schemas)[number]
    record[f"{number}"] = {
        "fixed": "released",
        "rules": rules_hash(history.load(folder)),
        "files": hashes(folder),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", "ascii")


def problems(root: Path, client: int) -> list[str]:
    """Return all that does not hold."""
    schemas = root / "schemas"
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    return [
        *released(schemas),
        *evolution(schemas, changelog),
        *in_force(schemas, changelog, client),
    ]


def main(arguments: list[str]) -> int:
    """Check, or record a release."""
    if len(arguments) == 2 and arguments[0] == "release" and arguments[1].isdecimal():
        release(ROOT / "schemas", int(arguments[1]))
        return 0
    if arguments:
        sys.stderr.write("usage: governance.py [release VERSION]\n")
        return 2
    from getpatter.telemetry._tables import SCHEMA_VERSION

    found = problems(ROOT, SCHEMA_VERSION)
    sys.stdout.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
