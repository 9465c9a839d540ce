"""`schema`: the JSON Schema of an event, byte for byte the file; without one, what there is."""

import json

from getpatter.telemetry._schema_documents import TEXTS, documents
from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands import schema_diff
from getpatter.telemetry.commands.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

__all__ = ["collect", "render", "run"]


def collect() -> "dict[str, dict[str, Any]]":
    """Return event → its schema."""
    return documents()


def render(found: "dict[str, dict[str, Any]]") -> str:
    """Return a list of the events."""
    lines = ["The events; `getpatter telemetry schema EVENT` prints the JSON Schema of one.", ""]
    for name, schema in found.items():
        lines += [f"{name}", f"  {schema['description']}", f"  Sent: {schema['x-when']}"]
    return "\n".join(lines)


def run(options: "Namespace") -> int:
    """Print one schema, all of them as JSON, the list, or what a version changes."""
    if options.event == "diff":
        return schema_diff.run(options)
    if options.versions:
        message = "schema takes one event; two versions only after `diff`"
        raise Failure(message, 2)
    if options.event:
        say(TEXTS[options.event], end="")
    else:
        found = collect()
        say(json.dumps(found, indent=2) if options.json else render(found))
    return 0
