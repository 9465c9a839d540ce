"""What holds from one version to the next: released files, evolution, and the words for it.

python schemas/governance.py            exit 1 and say what does not hold
python schemas/governance.py accept 9   record that a collector accepts version 9: from then on its
rules never change
python schemas/governance.py release 9  record version 9 as released: from then on its files never
change, not even a word
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
from history import is_retired

from getpatter.telemetry.commands.evolution import diff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from history import Version

    from getpatter.telemetry.commands.evolution import Change

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
    for number, folder in folders.items():
        if f"{number}" not in record:
            continue
        entry = record[f"{number}"]
        if "rules" not in entry and number != max(folders):
            yield f"v{number} is under way, and there is a newer one: record what it accepts"
        # A version under way has no hash of anything yet.
        if "rules" in entry and entry["rules"] != rules_hash(history.load(folder)):
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
    for old, new in itertools.pairwise(numbers):
        changes = diff(versions[old], versions[new])
        for change in changes:
            if change.kind == "breaking":
                yield f"v{old} → v{new} breaks {change.path}: {change.what}"
        widening = [change.path for change in changes if change.kind == "widening"]
        yield from in_words(new, widening, words.get(new, []), changelog)
        yield from narrowing(new, changes, versions, changelog)
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
    in_changelog = named_in(changelog, number)
    for path in widening:
        if path not in named:
            yield f"v{number} collects {path}: changes.json has no line of the notice for it"
        # Of a value its field too, of a field and an event their own names.
        names = re.split(r"[.=]", path)[-2:] if "=" in path else [path.split(".")[-1]]
        if not set(names) <= in_changelog:
            yield f"v{number} collects {path}: no line about schema v{number} in the changelog"


def named_in(changelog: str, number: int) -> set[str]:
    """Return what the lines of the changelog about a version name in backticks."""
    lines = [line for line in changelog.splitlines() if f"chema v{number}" in line]
    return {word for line in lines for word in re.findall(r"`([^`]+)`", line)}


def narrowing(
    number: int, changes: list[Change], versions: dict[int, Version], changelog: str
) -> Iterator[str]:
    """Say which narrowing the changelog does not name, and which mark says what is not so."""
    in_changelog = named_in(changelog, number)
    paths = {c.path.partition("=")[0] for c in changes if c.kind == "narrowing"}
    for path in sorted(paths):
        if path.split(".")[-1] not in in_changelog:
            line = f"no line about schema v{number} in the changelog"
            yield f"v{number} collects less of {path}: {line}"
    for event, schema in versions[number].items():
        for name, rule in schema["properties"].items():
            path = f"{event}.{name}"
            if number in {rule.get("x-retired"), rule.get("x-coarser")} and path not in paths:
                yield f"v{number} {path} is marked as collected less, and is not"
            if is_retired(rule) and rule["x-retired"] != first_retired(versions, event, name):
                yield f"v{number} {path}: x-retired is not the first version that has it"


def first_retired(versions: dict[int, Version], event: str, name: str) -> int:
    """Return since when a field of an event is retired."""
    return min(
        number
        for number, version in versions.items()
        if is_retired(version.get(event, {"properties": {}})["properties"].get(name, {}))
    )


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


def accept(schemas: Path, number: int) -> None:
    """Record that a collector accepts a version: its rules never change, its words may."""
    _record(schemas, number, {"fixed": "accepted by the deployed collector, not released"})


def release(schemas: Path, number: int) -> None:
    """Record a version as released."""
    files = hashes(history.versions(schemas)[number])
    _record(schemas, number, {"fixed": "released"}, {"files": files})


def _record(
    schemas: Path, number: int, words: dict[str, str], files: dict[str, Any] | None = None
) -> None:
    path = schemas / "released.json"
    record = json.loads(path.read_text("ascii"))
    rules = rules_hash(history.load(history.versions(schemas)[number]))
    record[f"{number}"] = {**words, "rules": rules, **(files or {})}
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
    actions = {"accept": accept, "release": release}
    if len(arguments) == 2 and arguments[0] in actions and arguments[1].isdecimal():
        known = [*history.versions(ROOT / "schemas")]
        if int(arguments[1]) not in known:
            sys.stderr.write(
                f"no schemas/v{arguments[1]}; there are {', '.join(map(str, known))}\n"
            )
            return 2
        actions[arguments[0]](ROOT / "schemas", int(arguments[1]))
        return 0
    if arguments:
        sys.stderr.write("usage: governance.py [accept | release VERSION]\n")
        return 2
    from getpatter.telemetry._tables import SCHEMA_VERSION

    found = problems(ROOT, SCHEMA_VERSION)
    sys.stdout.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
