"""`inventory`: everything that any version can send, a row a field, always in the same order."""

import csv
import io
import json

from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._tables import COMMON_FIELDS
from getpatter.telemetry._terminal import say
from getpatter.telemetry.fields import values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

__all__ = ["FORMATS", "collect", "render", "run"]

_COLUMNS = ("event", "field", "since", "retired", "values", "description", "question")
# What stands for "every event" in the column `event`.
_EVERY = "*"


def collect() -> "list[dict[str, object]]":
    """Return a row a field: the common ones once, under `*`, then the events' own by event.

    `since` is the schema version that brought the field, `retired` the first that no longer sends
    it in that event (None: it is sent). No field is ever taken out of the schemas, so the newest
    version's say it for all.
    """
    found = documents()
    rules = {name: r for schema in found.values() for name, r in schema["properties"].items()}
    rows = [{**_row(_EVERY, name, rules[name]), "retired": None} for name in COMMON_FIELDS]
    rows[0]["values"] = " ".join(found)  # each event's own schema has its own name only
    for event, schema in found.items():
        rows += [
            _row(event, name, rule)
            for name, rule in schema["properties"].items()
            if name not in COMMON_FIELDS or "x-retired" in rule
        ]
    return rows


def _row(event: str, name: str, rule: "dict[str, Any]") -> "dict[str, object]":
    return {
        "event": event,
        "field": name,
        "since": rule["x-since"],
        "retired": rule.get("x-retired"),
        "values": values_of(rule),
        "description": rule["description"],
        "question": rule["x-question"],
    }


def _markdown(rows: "list[dict[str, object]]") -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", f"| {' | '.join('---' for _ in _COLUMNS)} |"]
    for row in rows:
        cells = (_cell(row[column]).replace("|", "\\|") for column in _COLUMNS)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _csv(rows: "list[dict[str, object]]") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().removesuffix("\n")


def _json(rows: "list[dict[str, object]]") -> str:
    return json.dumps(rows, indent=2)


FORMATS = {"md": _markdown, "csv": _csv, "json": _json}


def render(rows: "list[dict[str, object]]", form: str) -> str:
    """Return the rows as `md`, `csv` or `json`."""
    return FORMATS[form](rows)


def run(options: "Namespace") -> int:
    """Print the inventory."""
    say(render(collect(), "json" if options.json else options.format))
    return 0
