"""Judges events with `jsonschema` and the embedded schema files, for `check` and the Receiver.

Never the client's own check, so that the two stay independent. What it says of an event is where
and why, of which JSON type the value is, and what the schema demands: nothing of the content, no
name that is not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from getpatter.telemetry import _schema_documents, _schema_history
from getpatter.telemetry.fields import demand_of, misplaced, rate_demand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator

__all__ = ["Judge", "Violation"]

_TYPES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}


class Violation(NamedTuple):
    """Where an event is not as its schema says (JSON pointer), which keyword says so, the JSON
    type of what stands there, and what the schema demands.
    """

    pointer: str
    rule: str
    kind: str
    demand: str


class Judge:
    """The schemas of all events, ready to judge what `json.loads` returned.

    Those of the current version, or of an earlier one; KeyError for one that is not on record.
    """

    def __init__(self, version: int | None = None) -> None:
        from jsonschema import Draft202012Validator  # only who judges pays for it

        if version is None:
            self._documents = _schema_documents.documents()
        else:
            self._documents = _schema_history.documents(version)
        self._validators: dict[str, Validator] = {
            name: Draft202012Validator(schema) for name, schema in self._documents.items()
        }

    def violations(self, event: object) -> Iterator[Violation]:
        """Yield what is wrong, in the order of the schema."""
        names = f"must be one of {', '.join(self._documents)}"
        if not isinstance(event, dict):
            yield Violation("", "type", _type_of(event), "must be an object")
        elif "event" not in event:
            yield Violation("", "required", "object", "event is missing")
        elif not isinstance(event["event"], str) or event["event"] not in self._validators:
            yield Violation("/event", "enum", _type_of(event["event"]), names)
        else:
            for error in self._validators[event["event"]].iter_errors(event):
                pointer = "".join(f"/{part}" for part in error.absolute_path)
                rule = str(error.validator)
                demand = self._demand(event, pointer.removeprefix("/"), rule)
                yield Violation(pointer, rule, _type_of(error.instance), demand)

    def _demand(self, event: dict[str, Any], field: str, rule: str) -> str:
        schema = self._documents[event["event"]]
        fields = schema["properties"]
        if rule == "required":
            missing = [name for name in schema["required"] if name not in event]
            return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        if rule == "additionalProperties":
            extra = [name for name in event if name not in fields]
            said = dict.fromkeys(misplaced(n, event["event"], self._documents) for n in extra[:20])
            return ", ".join([*said, *(["…"] if len(extra) > 20 else [])])
        # The one rule that is not the field's own: what must not occur together with it.
        if rule == "not" and not _is_text(fields[field]):
            return rate_demand(schema)
        demand = demand_of(fields[field])
        if field == "schema_version" and (known := _earlier(event[field])):
            demand += f"; the event is of schema version {known}, which has rules of its own"
        return demand


def _earlier(version: object) -> int | None:
    """Return the version if it is an earlier one that is on record: only then it is ours to say."""
    is_one = type(version) is int and version in _schema_history.TEXTS
    return version if is_one else None  # type: ignore[return-value] # just looked at


def _is_text(rule: dict[str, Any]) -> bool:
    return rule.get("type") == "string"


def _type_of(value: object) -> str:
    return _TYPES[type(value)]
