"""What every schema of every version must be, beyond being one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from history import is_retired
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from history import Schema, Version

# What a field is for, and who answers for it: README.md, "Words about a field".
PURPOSES = frozenset({"adoption", "compatibility", "format", "performance", "reliability", "usage"})
OWNERS = frozenset({"agents", "calls", "format", "setup"})
IDENTITIES = frozenset({"install", "program", "random", "varies"})

# The lists of v5 and v7 are as they were released, and some had no `other`.
FALLBACK_SINCE = 8
FALLBACK = "other"

# Keywords that validators ignore or read differently, or that reach outside of the file.
FORBIDDEN = frozenset(
    {
        *("format", "$ref", "$dynamicRef", "$defs", "definitions", "patternProperties", "default"),
        *("contentEncoding", "contentMediaType", "unevaluatedProperties", "dependentSchemas"),
    }
)
BOUNDS = {
    "string": ({"minLength"}, {"maxLength"}, {"not"}),
    "integer": ({"minimum"}, {"maximum"}),
    "number": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
    "boolean": (),
}
# Classes that mean more than ASCII somewhere, and anchors that do not mean the same everywhere.
UNCLEAR = re.compile(r"\\[dDwWsSbBpPAZz]|\$|\(\?|\.(?![^\[]*\])(?<!\\\.)")


def lint(number: int, version: Version) -> list[str]:
    """Return what is wrong with a version, each with where."""
    found = []
    for event, schema in version.items():
        where = f"v{number} {event}"
        try:
            Draft202012Validator.check_schema(schema)
            found += [f"{where}: {what}" for what in of_event(number, event, schema)]
            for name, rule in schema["properties"].items():
                found += [f"{where}.{name}: {what}" for what in of_field(number, rule)]
        except (SchemaError, LookupError, TypeError, AttributeError) as error:
            # One that cannot be read must not hide what is wrong with the others.
            found.append(f"{where}: is no schema of an event ({type(error).__name__})")
    return found


def of_event(number: int, event: str, schema: Schema) -> Iterator[str]:
    """Say what is wrong with the event itself."""
    expected = f"https://getpatter.com/schemas/telemetry/v{number}/{event}.schema.json"
    if schema.get("$id") != expected:
        yield f"$id is not {expected}"
    if schema.get("additionalProperties") is not False or schema.get("type") != "object":
        yield "not a closed object"
    if schema["properties"]["schema_version"].get("const") != number:
        yield "schema_version is not that of the folder"
    if not schema["required"] or not set(schema["required"]) <= schema["properties"].keys():
        yield "requires a field that it does not allow"
    yield from of_marks(schema)
    if not str(schema.get("x-when", "")).endswith("."):
        yield "x-when is no sentence"
    yield from of_words(number, schema)
    for keyword, value in keywords(schema):
        if keyword in FORBIDDEN:
            yield f"{keyword} is not allowed"
        if keyword == "pattern":
            yield from of_pattern(value)


def of_marks(schema: Schema) -> Iterator[str]:
    """Say which mark stands where it means nothing."""
    for name in schema["required"]:
        if is_retired(schema["properties"].get(name, {})):
            yield f"requires {name}, which is retired"
    if schema.keys() & {"x-retired", "x-coarser"}:
        yield "x-retired and x-coarser are marks of a field"


def of_words(number: int, rule: dict[str, Any]) -> Iterator[str]:
    """Say what is missing of the words that every event and every field has."""
    if not str(rule.get("description", "")).endswith("."):
        yield "description is no sentence"
    question = str(rule.get("x-question", ""))
    if not question.endswith("?") or question.count("?") != 1:
        yield "x-question is not one question"
    if rule.get("x-purpose") not in PURPOSES:
        yield f"x-purpose is none of {', '.join(sorted(PURPOSES))}"
    if rule.get("x-owner") not in OWNERS:
        yield f"x-owner is none of {', '.join(sorted(OWNERS))}"
    since = rule.get("x-since")
    if type(since) is not int or since > number:
        yield "x-since is no version up to this one"


def of_field(number: int, rule: Schema) -> Iterator[str]:
    """Say what is wrong with a field."""
    yield from of_words(number, rule)
    if rule.get("x-identity") not in IDENTITIES:
        yield f"x-identity is none of {', '.join(sorted(IDENTITIES))}"
    for mark in ("x-retired", "x-coarser"):
        version = rule.get(mark)
        if mark in rule and (
            type(version) is not int or not rule.get("x-since", number) < version <= number
        ):
            yield f"{mark} is no version after x-since, up to this one"
    if "const" in rule:
        return
    if "enum" in rule:
        yield from of_list(number, rule["enum"])
        return
    if rule.get("type") not in BOUNDS:
        yield "neither a list nor a type with bounds"
        return
    for wanted in BOUNDS[rule["type"]]:
        if not wanted & rule.keys():
            yield f"without a bound: {' or '.join(sorted(wanted))}"
    is_random = rule.get("x-identity") == "random"
    is_id = rule["type"] == "string" and rule.get("minLength") == rule.get("maxLength") == 32
    if is_random != is_id:
        yield "a random id is text of 32 characters, and nothing else is one"


def of_list(number: int, values: list[object]) -> Iterator[str]:
    """Say what is wrong with a list of values."""
    if values and not any(isinstance(value, str) for value in values):
        steps = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if steps != values or steps != sorted(set(steps), reverse=True):
            yield "a list of numbers begins with the highest, and has each once"
        return
    if number >= FALLBACK_SINCE and FALLBACK not in values:
        yield f"the list has no {FALLBACK}"
    for value in values:
        if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9_]{1,32}", value):
            yield f"{value!r} is no word of the lists"


def of_pattern(pattern: object) -> Iterator[str]:
    """Say why a pattern may not mean the same to every validator."""
    if not isinstance(pattern, str) or not pattern.isascii():
        yield "a pattern that is not ASCII"
    elif UNCLEAR.search(pattern):
        yield f"a pattern that validators may read differently: {pattern}"


def keywords(schema: object) -> Iterator[tuple[str, object]]:
    """Return every keyword with its value, at any depth; names of fields are none."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                for rule in value.values():
                    yield from keywords(rule)
            else:
                yield key, value
                yield from keywords(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from keywords(item)
