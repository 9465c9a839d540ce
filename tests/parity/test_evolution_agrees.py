"""Our comparison of versions and `jsonschema`'s subschema checker say the same of any edit.

Theirs decides whether one schema accepts all that another does, for draft 4 and in its own time.
So the schemas are rewritten: `const` as a list, exclusive bounds as draft 4 has them, and texts as
one pattern, of a length of 1 to 2, because its time grows with the automaton. What it cannot read
(the condition about `sample_rate`, notes) is left out on both sides. A tool of CI, nothing more.
"""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import history
import pytest
from jsonsubschema import isSubschema

from getpatter.telemetry.commands.evolution import diff

SCHEMAS = Path(__file__).parents[2] / "schemas"
FOLDER = SCHEMAS / f"v{max(history.versions(SCHEMAS))}"
EVENTS = {
    path.name.partition(".")[0]: json.loads(path.read_text("ascii")) for path in FOLDER.iterdir()
}
# Enough to meet every kind of edit several times, and few enough for a quarter of a minute.
EDITS = 80


def small(schema: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the schema with a few of its fields, short texts, and nothing but rules."""
    required = [name for name in schema["required"] if name in ("event", "sdk_version", "os")]
    optional = [name for name in schema["properties"] if name not in schema["required"]]
    names = [*required, *chance.sample(optional, min(3, len(optional)))]
    rules = {}
    for name in names:
        rule = schema["properties"][name]
        rule = {k: v for k, v in rule.items() if not k.startswith("x-") and k != "description"}
        if rule.get("type") == "string":
            rule |= {"minLength": 1, "maxLength": 2}
        rules[name] = copy.deepcopy(rule)
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": rules,
    }


def edit(schema: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the schema with one change, of a kind that somebody could make."""
    changed = copy.deepcopy(schema)
    rules = changed["properties"]
    name = chance.choice([name for name in rules if name != "event"])
    rule = rules[name]
    kind = chance.random()
    if kind < 0.1:
        del rules[name]
        changed["required"] = [field for field in changed["required"] if field != name]
    elif kind < 0.2:
        rules["brand_new"] = chance.choice(({"type": "boolean"}, {"enum": ["a", "other"]}))
    elif kind < 0.3:
        required = set(changed["required"]) ^ {name}
        changed["required"] = [field for field in rules if field in required]
    elif kind < 0.35:
        rule["description"] = "Other words."
    elif "enum" in rule:
        edit_list(rule, chance)
    elif rule.get("type") == "string":
        edit_text(rule, chance)
    elif "maximum" in rule or "exclusiveMaximum" in rule:
        edit_bounds(rule, chance)
    else:
        # Not a list with one truth value in it: the checker takes that for both.
        rules[name] = {"enum": [True, False]} if chance.random() < 0.5 else {"enum": ["yes"]}
    return changed


def edit_list(rule: dict[str, Any], chance: random.Random) -> None:
    if chance.random() < 0.5:
        rule["enum"].append("brand_new")
    if chance.random() < 0.5:
        rule["enum"].remove(chance.choice(rule["enum"]))
    chance.shuffle(rule["enum"])


def edit_text(rule: dict[str, Any], chance: random.Random) -> None:
    what = chance.choice(("longest", "characters", "first"))
    if what == "longest":
        rule["maxLength"] = chance.choice((1, 3))
    elif what == "characters":
        refused = chance.choice(("[^0-9a-f]", "[^0-9a-z]", "[^0-9]", "[^0-9a-z_]"))
        rule["not"] = {"pattern": refused}
    else:
        rule["pattern"] = chance.choice(("^[0-9]", "^[0-5]", "^[0-9a-f]"))


def edit_bounds(rule: dict[str, Any], chance: random.Random) -> None:
    for low, high in (("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")):
        if high in rule and chance.random() < 0.7:
            rule[high] += chance.choice((-0.5, 1)) if rule["type"] == "number" else 1
        if low in rule and chance.random() < 0.5:
            rule[low] += chance.choice((-1, 0.125)) if rule["type"] == "number" else -1
    if rule["type"] == "number" and chance.random() < 0.3:
        swap = (
            ("maximum", "exclusiveMaximum")
            if "maximum" in rule
            else ("exclusiveMaximum", "maximum")
        )
        rule[swap[1]] = rule.pop(swap[0])


def characters(pattern: str) -> set[str]:
    inside = pattern.removeprefix("^").removeprefix("[").removesuffix("]").removeprefix("^")
    return {c for c in map(chr, range(33, 127)) if re.match(f"[{inside}]", c)}


def draft4(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema as its checker reads it."""
    rules = {}
    for name, rule in schema["properties"].items():
        found = {key: value for key, value in rule.items() if key != "description"}
        if "const" in found:
            found = {"enum": [found["const"]]}
        elif found.get("type") == "string":
            found = {"type": "string", "pattern": pattern(found)}
        for bound in ("Minimum", "Maximum"):
            if f"exclusive{bound}" in found:
                found[bound.lower()] = found[f"exclusive{bound}"]
                found[f"exclusive{bound}"] = True
        rules[name] = found
    return {**schema, "properties": rules}


def pattern(rule: dict[str, Any]) -> str:
    """Return a short text's rule as one pattern, each character spelt out."""
    refused = rule["not"].get("anyOf", [rule["not"]])[0]["pattern"]
    any_of = characters(refused)
    first = any_of & characters(rule["pattern"]) if "pattern" in rule else any_of
    one, many = (f"({'|'.join(map(escaped, sorted(each)))})" for each in (first, any_of))
    least, most = rule["minLength"] - 1, rule["maxLength"] - 1
    return f"^{one}{many}{{{least},{most}}}$"


def escaped(character: str) -> str:
    return f"\\{character}" if character in ".+" else character


def edits() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    chance = random.Random(6)  # noqa: S311 - examples
    found: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    while len(found) < EDITS:
        event = chance.choice([*EVENTS])
        before = small(EVENTS[event], chance)
        if "runtime_version" not in before["properties"]:
            found.append((event, before, edit(before, chance)))
    return found


def of(event: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {event: {"$id": event, **schema}}


CASES = edits()


@pytest.mark.parametrize(("event", "before", "after"), CASES)
def test_the_same_edit_is_judged_alike(
    event: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    changes = diff(of(event, before), of(event, after))
    one, other = draft4(before), draft4(after)
    assert any(change.refuses for change in changes) is not isSubschema(one, other)
    assert any(change.admits for change in changes) is not isSubschema(other, one)


def test_every_kind_of_change_is_among_the_edits() -> None:
    kinds = [
        {change.kind for change in diff(of(event, before), of(event, after))} or {"none"}
        for event, before, after in CASES
    ]
    for kind in ("breaking", "widening", "neutral", "none"):
        assert sum(kind in found for found in kinds) > 2, kind
