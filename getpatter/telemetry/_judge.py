"""Judges events with `jsonschema` and the embedded schema files, for `check` and the Receiver.

Never the client's own check, so that the two stay independent. What it says of an event is where
and why, and of which JSON type the value is: nothing of the content, no name that is not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.telemetry import _schema_documents, _schema_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator

__all__ = ["Judge"]

_TYPES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}


class Judge:
    """The schemas of all events, ready to judge what `json.loads` returned.

    Those of the current version, or of an earlier one; KeyError for one that is not on record.
    """

    def __init__(self, version: int | None = None) -> None:
        from jsonschema import Draft202012Validator  # only who judges pays for it

        if version is None:
            schemas = _schema_documents.documents()
        else:
            schemas = _schema_history.documents(version)
        self._validators: dict[str, Validator] = {
            name: Draft202012Validator(schema) for name, schema in schemas.items()
        }

    def violations(self, event: object) -> Iterator[tuple[str, str, str]]:
        """Yield JSON pointer, keyword and the value's JSON type, in the order of the schema."""
        if not isinstance(event, dict):
            yield "", "type", _type_of(event)
        elif "event" not in event:
            yield "", "required", "object"
        elif not isinstance(event["event"], str) or event["event"] not in self._validators:
            yield "/event", "enum", _type_of(event["event"])
        else:
            for error in self._validators[event["event"]].iter_errors(event):
                pointer = "".join(f"/{part}" for part in error.absolute_path)
                yield pointer, str(error.validator), _type_of(error.instance)


def _type_of(value: object) -> str:
    return _TYPES[type(value)]
