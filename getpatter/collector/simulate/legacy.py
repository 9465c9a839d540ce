"""How clients that were released before would have stated an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.collector.store.columns import schemas
from getpatter.telemetry.gate import is_sampleable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["stated"]

_SCHEMAS = schemas()


def stated(event: Mapping[str, Any], version: int, rate: float) -> dict[str, Any] | None:
    """Return the event as a released client of schema `version` states it; None: it knows none.

    `rate` is the one in force: that of v8 states it on errors, too.
    """
    schema = _SCHEMAS[version].get(str(event["event"]))
    if schema is None:
        return None
    fields = schema["properties"]
    made = {field: value for field, value in event.items() if field in fields}
    made["schema_version"] = version
    if version == max(_SCHEMAS):
        is_end = event["event"] == "call_completed"
        if rate < 1 and is_end and not is_sampleable("call_completed", event):
            made["sample_rate"] = rate
        return made
    for field, value in made.items():
        allowed = fields[field].get("enum")
        if allowed is not None and value not in allowed:
            made[field] = "other"
    return made
