"""The fields of all schema versions and of which type they are kept."""

from __future__ import annotations

from typing import Any

from getpatter.telemetry import _schema_documents, _schema_history

__all__ = ["FIELDS", "schemas"]

_KINDS = {"integer": "INTEGER", "number": "DOUBLE", "boolean": "BOOLEAN"}


def schemas() -> dict[int, dict[str, dict[str, Any]]]:
    """Return schema version → event → its schema, of every version that was ever released."""
    known = {version: _schema_history.documents(version) for version in _schema_history.TEXTS}
    current = _schema_documents.documents()
    version = next(iter(current.values()))["properties"]["schema_version"]["const"]
    return {**known, version: current}


def _type_of(field: str, rule: dict[str, Any]) -> str:
    if field == "schema_version":
        return "UTINYINT"
    if "enum" in rule and not isinstance(rule["enum"][0], str):
        return "DOUBLE" if any(isinstance(step, float) for step in rule["enum"]) else "INTEGER"
    # A random id, which is always 32 hexadecimal digits.
    return "UUID" if rule.get("minLength") == 32 else _KINDS.get(rule.get("type", ""), "VARCHAR")


#: Field → type of its column.
FIELDS: dict[str, str] = {
    field: _type_of(field, rule)
    for events in schemas().values()
    for schema in events.values()
    for field, rule in schema["properties"].items()
}
