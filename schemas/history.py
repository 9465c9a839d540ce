"""Every version on record: its files, and what each version was the first to collect.

Reads the folders `v<n>` beside it and `changes.json`, the words for what a version collects more.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Schema = dict[str, Any]
Version = dict[str, Schema]


def versions(folder: Path) -> dict[int, Path]:
    """Return version → its folder, the oldest first."""
    found = {int(p.name[1:]): p for p in folder.iterdir() if re.fullmatch("v[0-9]+", p.name)}
    return dict(sorted(found.items()))


def read(folder: Path) -> dict[str, str]:
    """Read the files of one version: event name → text, in the order of the names."""
    texts = {path: path.read_text("ascii") for path in sorted(folder.glob("*.schema.json"))}
    return {json.loads(text)["properties"]["event"]["const"]: text for text in texts.values()}


def load(folder: Path) -> Version:
    """Read one version: event name → its schema."""
    return {event: json.loads(text) for event, text in read(folder).items()}


def is_retired(rule: Schema) -> bool:
    """Return whether a field is accepted and no longer sent."""
    return "x-retired" in rule


def sent(schema: Schema) -> Schema:
    """Return the schema of what this client sends: without the fields that are retired."""
    fields = {name: r for name, r in schema["properties"].items() if not is_retired(r)}
    return {**schema, "properties": fields}


def texts_of_changes(folder: Path) -> dict[int, list[dict[str, Any]]]:
    """Return version → what it collects more than the one before, and the words for it."""
    found = json.loads((folder / "changes.json").read_text("ascii"))
    return {int(version): entries for version, entries in found.items()}


def first_seen(
    history: dict[int, Version],
) -> tuple[dict[str, int], dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """Return since when there is what the oldest version did not collect.

    Event → version; event → field → version, of the events that were there before; field →
    value → version, of the enumerations that were there before.
    """
    oldest, *_ = history
    events: dict[str, int] = {}
    fields: dict[str, dict[str, int]] = {}
    values: dict[str, dict[str, int]] = {}
    seen: dict[str, set[str]] = {}
    for version, schemas in history.items():
        for event, schema in schemas.items():
            since = events.setdefault(event, version)
            mine = fields.setdefault(event, {})
            for name, rule in schema["properties"].items():
                if mine.setdefault(name, version) == since and since != oldest:
                    mine[name] = oldest  # it came with its event, which says it all
                if name == "event" or "enum" not in rule:
                    continue
                is_new = name not in seen
                for value in rule["enum"]:
                    if value not in seen.setdefault(name, set()) and not is_new:
                        values.setdefault(name, {}).setdefault(value, version)
                seen[name] |= set(rule["enum"])
    later = {
        event: {name: since for name, since in mine.items() if since != oldest}
        for event, mine in fields.items()
    }
    return (
        {event: since for event, since in events.items() if since != oldest},
        {event: mine for event, mine in later.items() if mine},
        dict(sorted(values.items())),
    )
