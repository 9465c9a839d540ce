"""What the generator understands of a schema: the kinds of fields, and what events share.

A keyword that it does not know is a problem, so that no rule gets lost on the way to what is
generated. `problems` finds all of them; the other functions rely on there being none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from history import is_retired, sent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from history import Schema, Version

EVENT_KEYS = {
    *("$schema", "$id", "title", "description"),
    *("x-question", "x-purpose", "x-owner", "x-since", "x-when"),
    *("type", "required", "additionalProperties", "properties", "if", "then"),
}
MARKS = {"x-retired", "x-coarser"}
NOTES = {"description", "x-question", "x-purpose", "x-owner", "x-since", "x-identity"} | MARKS
SHAPES = {  # what identifies a kind of field -> the keywords it must have, and those it may have
    "const": ({"const"}, set()),
    "enum": ({"enum"}, set()),
    "steps": ({"enum"}, set()),
    "boolean": ({"type"}, set()),
    "integer": ({"type", "minimum", "maximum"}, set()),
    "string": ({"type", "minLength", "maxLength", "not"}, {"pattern"}),
    "number": ({"type"}, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
}


def kind_of(rule: Schema) -> str:
    """Return the kind of a field: a key of `SHAPES`, if the generator knows it."""
    if "enum" in rule:
        return "enum" if isinstance(rule["enum"][0], str) else "steps"
    return "const" if "const" in rule else str(rule.get("type", ""))


def forbidden(rule: Schema) -> tuple[str, ...]:
    """Return the patterns that must not be found in a string."""
    alternatives = rule["not"].get("anyOf", [rule["not"]])
    return tuple(alternative["pattern"] for alternative in alternatives)


def bounds(rule: Schema) -> tuple[float, float, bool, bool]:
    """Return low, high, and whether each of them is itself excluded."""
    low_out, high_out = "exclusiveMinimum" in rule, "exclusiveMaximum" in rule
    low = rule["exclusiveMinimum" if low_out else "minimum"]
    high = rule["exclusiveMaximum" if high_out else "maximum"]
    return float(low), float(high), low_out, high_out


def fields_of(schemas: Version) -> dict[str, Schema]:
    """Return all fields but `event`; a rule is the same wherever the field stands."""
    return {
        name: rule
        for schema in schemas.values()
        for name, rule in schema["properties"].items()
        if name != "event"
    }


def common_of(schemas: Version) -> list[str]:
    """Return the fields of every event: what an event that has them must have, in its order.

    Some events may go without some of them: those are retired there, or were never there.
    """
    required = {name for schema in schemas.values() for name in schema["required"]}
    longest = max(schemas.values(), key=lambda schema: len(required & {*schema["properties"]}))
    return [name for name in longest["properties"] if name in required]


def without_of(schemas: Version) -> dict[str, frozenset[str]]:
    """Return event -> the common fields that it goes without."""
    common = common_of(schemas)
    missing = {
        event: frozenset(name for name in common if name not in sent(schema)["properties"])
        for event, schema in schemas.items()
    }
    return {event: names for event, names in missing.items() if names}


def never_sampled(schemas: Version) -> tuple[frozenset[str], frozenset[str]]:
    """Return the outcomes, and the fields, beside which `sample_rate` must not stand."""
    outcomes: set[str] = set()
    present: set[str] = set()
    for schema in schemas.values():
        for condition in schema["if"]["anyOf"] if "if" in schema else ():
            (name,) = condition["required"]
            if name == "outcome":
                outcomes |= set(condition["properties"]["outcome"]["enum"])
            else:
                present.add(name)
    return frozenset(outcomes), frozenset(present)


def problems(schemas: Version) -> Iterator[str]:
    """Say what the generated tables cannot express."""
    first: dict[str, Schema] = {}
    for event, schema in schemas.items():
        if not schema.keys() <= EVENT_KEYS or schema.get("additionalProperties") is not False:
            yield f"{event}: not closed, or with a keyword that the generator does not know"
        if "if" in schema and schema.get("then") != {"properties": {"sample_rate": {"not": {}}}}:
            yield f"{event}: the generator knows one consequence only: no sample_rate"
        for name, rule in schema["properties"].items():
            shape = SHAPES.get(kind_of(rule))
            keys = rule.keys() - NOTES
            if shape is None or not shape[0] <= keys <= shape[0] | shape[1]:
                yield f"{event}.{name}: the generator does not know a field with {sorted(keys)}"
            # Retired may a field be in some events and not in others.
            said = {key: value for key, value in rule.items() if key != "x-retired"}
            if name != "event" and first.setdefault(name, said) != said:
                yield f"{event}: {name} is described differently in another event"
            text = f"{rule.get('description')}{rule.get('x-question')}"
            if any(mark in text for mark in "|{}<"):
                yield f"{event}.{name}: a text that MDX would read as markup"
    yield from _unequal(schemas)


def _unequal(schemas: Version) -> Iterator[str]:
    """Say where an event does not require what it shares with the others."""
    common = common_of(schemas)
    for event, schema in schemas.items():
        wanted = [
            name
            for name in common
            if name in schema["properties"] and not is_retired(schema["properties"][name])
        ]
        if schema["required"] != wanted:
            yield f"{event}: must require, in this order: {', '.join(wanted)}"
