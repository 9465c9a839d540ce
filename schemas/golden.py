"""The golden events of a version: those that must pass, and those that must fail where and why.

`valid.json` and `invalid.json` are arrays of events, as `getpatter telemetry check` reads them;
`expected.json` has a row for each, in the same order: its name, and of an invalid one the pointer
and the keyword of the first violation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import history

SCHEMAS = Path(__file__).parent
NEWEST = max(history.versions(SCHEMAS))
VECTORS = SCHEMAS / "vectors" / f"v{NEWEST}"


def rows(kind: str, folder: Path = VECTORS) -> list[dict[str, Any]]:
    """Return the rows of `valid` or `invalid`, each with its `event`."""
    events = json.loads((folder / f"{kind}.json").read_text("ascii"))
    expected = json.loads((folder / "expected.json").read_text("ascii"))[kind]
    return [{**row, "event": event} for row, event in zip(expected, events, strict=True)]


def sent(event: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return an event of the newest version as a client sends it: without what is retired."""
    name = event.get("event") if isinstance(event, dict) else None
    schema = _NEWEST.get(name) if isinstance(name, str) else None
    if schema is None:
        return event
    rules = schema["properties"]
    return {k: v for k, v in event.items() if not history.is_retired(rules.get(k, {}))}


_NEWEST = history.load(SCHEMAS / f"v{NEWEST}")
