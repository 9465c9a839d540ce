"""Compares two versions of the schemas: does a change break, collect less, more, or neither? Pure.

*Breaking*: the new version refuses an event that the old one accepts, or takes from its readers
what they rely on (a field that every event had, the type of a column). *Narrowing*: less can be
collected, and the new version marks it as intended: a field with `x-retired` is still accepted and
no longer sent, so it need not be there; one with `x-coarser` allows some of the values that it did.
*Widening*: it accepts what the old one refuses, so more can be collected. *Neutral*: words only.
"""

import json
from dataclasses import replace

from getpatter.telemetry.commands.rule_changes import Change, listed_values
from getpatter.telemetry.commands.rule_changes import changes as changes_of_rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Schema = dict[str, Any]

__all__ = ["KINDS", "Change", "diff"]

#: The worst first.
KINDS = ("breaking", "narrowing", "widening", "neutral")

# What names the version itself, and differs in every one.
_OF_THE_VERSION = frozenset({"$id", "title"})
# Marks of what a version intends, which are compared with what it does.
_MARKS = frozenset({"x-retired", "x-coarser"})
_EVENT_KEYS = frozenset(
    {"$schema", "type", "required", "additionalProperties", "properties", "if", "then"}
)
_RULE_KEYS = frozenset(
    {
        *("type", "const", "enum", "minLength", "maxLength", "pattern", "not"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)


def diff(old: "dict[str, Schema]", new: "dict[str, Schema]") -> "list[Change]":
    """Return what changed between two versions (event → its schema), event by event.

    Raises ValueError for a keyword that the comparison does not know: it could hide a change.
    """
    for schema in (*old.values(), *new.values()):
        _ask_for_known(schema)
    changes = [Change(event, "event removed", refuses=True) for event in old if event not in new]
    for event, schema in new.items():
        if event not in old:
            changes.append(Change(event, "event added", admits=True))
        else:
            changes += _of_event(event, old[event], schema)
    return changes


def _ask_for_known(schema: "Schema") -> None:
    if not schema.keys() >= {"required", "additionalProperties", "properties"}:
        message = "a schema of an event has required, additionalProperties and properties"
        raise ValueError(message)
    rules = [(schema, _EVENT_KEYS | _OF_THE_VERSION)]
    rules += [(rule, _RULE_KEYS) for rule in schema["properties"].values()]
    for rule, known in rules:
        for key in rule:
            if key not in known and key != "description" and not key.startswith("x-"):
                message = f"the comparison does not know the keyword {key}"
                raise ValueError(message)


def _words(path: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    for key in sorted(old.keys() | new.keys()):
        is_text = key == "description" or key.startswith("x-")
        if is_text and key not in _MARKS and old.get(key) != new.get(key):
            yield Change(path, f"{key} changed")


def _of_event(event: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    yield from _words(event, old, new)
    was_open, is_open = (s["additionalProperties"] is not False for s in (old, new))
    if was_open != is_open:
        what = "further fields allowed" if is_open else "further fields refused"
        yield Change(event, what, refuses=was_open, admits=is_open)
    before, now = old["properties"], new["properties"]
    for name in before:
        if name not in now:
            # An event without it was refused before, if it was required.
            was_required = name in old["required"]
            yield Change(f"{event}.{name}", "field removed", refuses=True, admits=was_required)
    for name, rule in now.items():
        path = f"{event}.{name}"
        is_required, was_required = name in new["required"], name in old["required"]
        if name not in before:
            yield Change(path, "field added", admits=True, refuses=is_required)
            continue
        is_freed = was_required and not is_required
        was_retired, is_retired = ("x-retired" in each for each in (before[name], rule))
        if is_retired and not was_retired:
            yield Change(path, "retired", admits=is_freed, intended=True)
        elif is_required != was_required:
            what = "now required" if is_required else "no longer required"
            yield Change(path, what, refuses=is_required, admits=is_freed, breaks=is_freed)
        if was_retired and not is_retired:
            yield Change(path, "no longer retired", admits=True)
        yield from _words(path, before[name], rule)
        is_coarser = rule.get("x-coarser", 0) == _number(new)
        for change in changes_of_rule(path, before[name], rule):
            is_less = change.refuses and not change.admits
            yield replace(change, intended=True) if is_coarser and is_less else change
    yield from _of_sampling(event, old, new)


def _number(schema: "Schema") -> "int | None":
    """Return the version that a schema is of."""
    number: int | None = schema["properties"].get("schema_version", {}).get("const")
    return number


def _of_sampling(event: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    """Compare beside what `sample_rate` must not stand: the one condition that there is."""
    was, now = _conditions(old), _conditions(new)
    path = f"{event}.sample_rate"
    for condition, schema, word in (
        *((each, new, "no longer excluded by") for each in sorted(was - now)),
        *((each, old, "now excluded by") for each in sorted(now - was)),
    ):
        field, _, value = condition.partition("=")
        rules = schema["properties"]
        listed = listed_values(rules[field]) if field in rules else None
        # Nothing can be lost or gained where the other version has no such field or value.
        is_known = field in rules and (not value or listed is None or json.dumps(value) in listed)
        if "sample_rate" in rules and is_known:
            is_new = schema is old
            yield Change(path, f"{word} {condition}", refuses=is_new, admits=not is_new)


def _conditions(schema: "Schema") -> "set[str]":
    if "if" not in schema:
        return set()
    if schema["then"] != {"properties": {"sample_rate": {"not": {}}}}:
        message = "the comparison knows one consequence only: no sample_rate"
        raise ValueError(message)
    found = set()
    for condition in schema["if"]["anyOf"]:
        (name,) = condition["required"]
        rule = condition["properties"][name]
        found |= {name} if rule is True else {f"{name}={value}" for value in rule["enum"]}
    return found
