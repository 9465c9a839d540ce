"""`inventory`: everything that any version can send, a row a field, always in the same order."""

import csv
import io
import json

from getpatter.telemetry._fields import values_of
from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._tables import COMMON_FIELDS, DIMENSIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["FORMATS", "collect", "render", "run"]

_COLUMNS = ("event", "field", "since", "values", "description", "question")
# What stands for "every event" in the column `event`.
_EVERY = "*"


def collect() -> "list[dict[str, object]]":
    """Return a row a field: the common ones once, under `*`, then the events' own by event.

    `since` is the schema version that brought the field to the event; no field was ever taken
    away, so the newest version's schemas say it for all.
    """
    found = documents()
    rows = [_row(_EVERY, name, next(iter(found.values()))) for name in COMMON_FIELDS]
    rows[0]["values"] = " ".join(found)  # each event's own schema has its own name only
    for event, schema in found.items():
        rows += [_row(event, name, schema) for name in DIMENSIONS[event]]
    return rows


def _row(event: str, name: str, schema: "dict[str, object]") -> "dict[str, object]":
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - what a schema has
    rule = properties[name]
    return {
        "event": event,
        "field": name,
        "since": rule["x-since"],
        "values": values_of(rule),
        "description": rule["description"],
        "question": rule["x-question"],
    }


def _markdown(rows: "list[dict[str, object]]") -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", f"| {' | '.join('---' for _ in _COLUMNS)} |"]
    for row in rows:
        cells = (str(row[column]).replace("|", "\\|") for column in _COLUMNS)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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
    print(render(collect(), "json" if options.json else options.format))
    return 0
