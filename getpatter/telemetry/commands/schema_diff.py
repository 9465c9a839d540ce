"""`schema diff OLD NEW`: what one version of the schemas changes against another."""

import json
import os

from getpatter.telemetry import _schema_history
from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.evolution import KINDS, Change, diff
from getpatter.telemetry.commands.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

__all__ = ["collect", "render", "run"]


def collect(old: str, new: str) -> "list[Change]":
    """Return the changes, the worst first; `old` and `new` are versions or folders."""
    try:
        found = diff(_version(old), _version(new))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # A folder may hold anything; what is no schema of this kind cannot be compared.
        message = f"cannot be compared: {error}"
        raise Failure(message, 2) from error
    return sorted(found, key=lambda change: KINDS.index(change.kind))


def _version(named: str) -> "dict[str, dict[str, Any]]":
    number = named.removeprefix("v")
    if number.isdecimal() and not os.path.isdir(named):
        if int(number) == SCHEMA_VERSION:
            return documents()
        if int(number) in _schema_history.TEXTS:
            return _schema_history.documents(int(number))
        known = ", ".join(f"{version}" for version in (*_schema_history.TEXTS, SCHEMA_VERSION))
        message = f"there is no schema version {number}; there are {known}"
        raise Failure(message, 2)
    return _folder(named)


def _folder(path: str) -> "dict[str, dict[str, Any]]":
    found = {}
    try:
        for name in sorted(os.listdir(path)):
            if name.endswith(".schema.json"):
                with open(os.path.join(path, name), encoding="utf-8") as file:
                    schema = json.load(file)
                found[schema["properties"]["event"]["const"]] = schema
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise Failure(message, 2) from error
    if not found:
        message = f"{path} has no *.schema.json"
        raise Failure(message, 2)
    return found


def render(changes: "list[Change]") -> str:
    """Return a line a change, and how many there are of each kind."""
    width = max((len(change.path) for change in changes), default=0)
    lines = [f"{change.kind:<9}  {change.path:<{width}}  {change.what}" for change in changes]
    kinds = [change.kind for change in changes]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS)
    return "\n".join([*lines, f"{counts}."])


def run(options: "Namespace") -> int:
    """Print the changes; 1 if one of them is breaking."""
    if len(options.versions) != 2:
        message = "schema diff needs two versions or folders: OLD NEW"
        raise Failure(message, 2)
    found = collect(*options.versions)
    if options.json:
        rows = [{"kind": c.kind, "path": c.path, "what": c.what} for c in found]
        say(json.dumps(rows, indent=2))
    else:
        say(render(found))
    return int(any(change.kind == "breaking" for change in found))
