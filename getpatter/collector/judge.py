"""Judges events with `jsonschema-rs` by the closed schema of their own version.

Two overlays are made of the same files: clients in TypeScript differ in `sdk` and `runtime`, and
released v8 clients state `sample_rate` on errors, too. A violation of an event says where and why:
nothing of its content, no name that is not ours.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema_rs

from getpatter.collector.store.columns import schemas

__all__ = ["LANGUAGES", "EventJudge", "overlay"]

#: `sdk` → the fields in which its events differ.
LANGUAGES: dict[str, dict[str, Any]] = {
    "python": {},
    "typescript": {
        "sdk": {"const": "typescript"},
        "runtime": {"enum": ["node", "bun", "deno", "other"]},
    },
}

# In this order a value can be wrong; the first violation is reported.
_KEYWORDS = (
    *("required", "additionalProperties", "type", "enum", "const", "minLength", "maxLength"),
    *("pattern", "exclusiveMinimum", "minimum", "exclusiveMaximum", "maximum", "not"),
)


def overlay(schema: dict[str, Any], language: str, *, is_legacy: bool) -> dict[str, Any]:
    """Return the schema of an event for clients in `language`."""
    made = deepcopy(schema)
    for field, rule in LANGUAGES[language].items():
        made["properties"][field] = rule
    if is_legacy:
        made.pop("if", None)
        made.pop("then", None)
    return made


class _Rule:
    """One schema, ready to judge."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = jsonschema_rs.Draft202012Validator(schema)
        self.is_valid = self._validator.is_valid
        self._order = {field: at for at, field in enumerate(schema["properties"])}

    def violation(self, event: dict[str, Any]) -> tuple[str, str]:
        """Return pointer and keyword of the first violation, in the order of the schema."""
        return min(map(self._place, self._validator.iter_errors(event)))[1:]

    def _place(self, error: jsonschema_rs.ValidationError) -> tuple[tuple[int, int], str, str]:
        keyword = next(str(part) for part in reversed(error.schema_path) if part in _KEYWORDS)
        field = str(error.instance_path[0]) if error.instance_path else ""
        # Only fields of the schema have a place below the root: a name that is not ours has none.
        pointer = f"/{field}" if field in self._order else ""
        return (self._order.get(field, -1), _KEYWORDS.index(keyword)), pointer, keyword


class EventJudge:
    """All schemas that were ever released, for each language."""

    def __init__(self) -> None:
        self._schemas = schemas()
        self.versions = frozenset(self._schemas)
        self.events = frozenset(name for events in self._schemas.values() for name in events)
        # Made when the first such event comes: few clients are old, or in another language.
        self._rules: dict[tuple[int, str, str, bool], _Rule] = {}

    def violation(  # noqa: PLR0911 - a return a rule
        self, event: object, *, is_legacy: bool
    ) -> tuple[str, str] | None:
        """Return where and why an event is refused: JSON pointer, keyword. None: it is valid.

        `event` is as `orjson.loads` makes it.
        """
        if type(event) is not dict:
            return "", "type"
        if "event" not in event:
            return "", "required"
        name, version, language = event["event"], event.get("schema_version"), event.get("sdk")
        if type(name) is not str or name not in self.events:
            return "/event", "enum"
        if "schema_version" not in event:
            return "", "required"
        if type(version) not in {int, float} or version not in self.versions:
            return "/schema_version", "enum"
        if type(language) is not str or language not in LANGUAGES:
            language = "python"  # whose schema says what is wrong with it
        if name not in self._schemas[version]:
            return "/event", "enum"  # an event that came after this version
        rule = self._rules.get((version, name, language, is_legacy))
        if rule is None:
            rule = self._make(version, name, language, is_legacy=is_legacy)
        return None if rule.is_valid(event) else rule.violation(event)

    def _make(self, version: int, name: str, language: str, *, is_legacy: bool) -> _Rule:
        made = _Rule(overlay(self._schemas[version][name], language, is_legacy=is_legacy))
        self._rules[version, name, language, is_legacy] = made
        return made
