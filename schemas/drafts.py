"""Drafts of events for the judges: as texts, half of them near a rule of the schemas.

Every text is one line. The same seed gives the same texts, so that a disagreement can be found
again. Some are no JSON (NaN), some hold what validators are known to read differently: a line feed
at the end, digits of other scripts, lone surrogates, numbers beyond any bound.
"""

from __future__ import annotations

import json
import random  # noqa: TID251 - examples, no ids
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from history import Schema, Version

# What looks like what our patterns allow, and is not: a line feed, NUL, digits of other scripts, a
# Kelvin sign, a long s, both halves of a surrogate pair, a character outside the basic plane.
ODD = "\n\r\x00 _+/A\u0660\uff11\u212a\u017f\ud800\udfff\U0001d7ce"
ANY: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    8,
    8.0,
    -0.0,
    0.5,
    1e308,
    10**400,
    "",
    "other",
    "8",
    [],
    {},
    [1],
)
# One in so many drafts is changed in one of its fields.
CHANGED = 0.6


def valid_value(rule: Schema, chance: random.Random) -> object:
    """Return a value that the rule of a field allows."""
    if "const" in rule:
        return rule["const"]
    if "enum" in rule:
        return chance.choice(rule["enum"])
    if rule["type"] == "boolean":
        return chance.random() < 0.5
    if rule["type"] == "string":
        return text(rule, chance)
    low, high = bounds(rule)
    if rule["type"] == "integer":
        return chance.choice(
            (low, high, chance.randint(low, high), float(chance.randint(low, high)))
        )
    # Away from the ends, which may be excluded.
    return round(low + (high - low) * (0.01 + 0.98 * chance.random()), 4)


def bounds(rule: Schema) -> tuple[int, int]:
    """Return the lowest and the highest number, whether or not they are in."""
    low: int = rule["exclusiveMinimum"] if "exclusiveMinimum" in rule else rule["minimum"]
    high: int = rule["exclusiveMaximum"] if "exclusiveMaximum" in rule else rule["maximum"]
    return low, high


def text(rule: Schema, chance: random.Random) -> str:
    """Return a text that the rule allows: of its characters, with its beginning."""
    refused = rule["not"].get("anyOf", [rule["not"]])
    if len(refused) > 1:
        return f"{chance.randint(2, 9)}.{chance.randint(0, 99)}"
    allowed = members(refused[0]["pattern"])
    length = chance.choice((rule["minLength"], rule["maxLength"]))
    body = "".join(chance.choice(allowed) for _ in range(length))
    begin = members(rule["pattern"]) if "pattern" in rule else allowed
    return chance.choice(begin) + body[1:]


@cache
def members(pattern: str) -> str:
    """Return the characters of the class in `[^0-9a-f]` or `^[0-9]`."""
    inside = pattern.strip("^")[1:-1].removeprefix("^")
    found = ""
    index = 0
    while index < len(inside):
        if inside[index + 1 : index + 2] == "-" and index + 2 < len(inside):
            found += "".join(map(chr, range(ord(inside[index]), ord(inside[index + 2]) + 1)))
            index += 3
        else:
            found += inside[index]
            index += 1
    return found


def odd_value(rule: Schema, chance: random.Random) -> object:
    """Return a value near the edge of a rule, on either side."""
    if rule.get("type") == "string":
        value = text(rule, chance)
        place = chance.randrange(len(value) + 1)
        odd = chance.choice(ODD)
        return chance.choice(
            (value + odd, odd + value, value[:place] + odd + value[place + 1 :], value + value[-1:],
             value[:-1], value + "\n", value.upper(), value * 2, chance.choice(ANY))
        )  # fmt: skip
    if "enum" in rule or "const" in rule:
        listed = valid_value(rule, chance)
        word = str(listed)
        return chance.choice((word + "\n", word.upper(), word + chance.choice(ODD), [listed], *ANY))
    if rule["type"] == "boolean":
        return chance.choice((0, 1, "true", *ANY))
    _, high = bounds(rule)
    return chance.choice(
        (-1, -0.4, high, high + 1, high + 0.4, high * 10, float(high), 0, 1, "1", *ANY)
    )


def draft(version: Version, chance: random.Random) -> str:
    """Return one event as a line of text, sometimes not a valid one, seldom no JSON at all."""
    schema = version[chance.choice(list(version))]
    rules = schema["properties"]
    event = {
        name: valid_value(rule, chance)
        for name, rule in rules.items()
        if name in schema["required"] or chance.random() < 0.5
    }
    if chance.random() < CHANGED:
        change(event, schema, chance)
    written = json.dumps(event)
    if chance.random() < 0.02:
        # No number of JSON; one that is, and that no computer's number can hold.
        bad = chance.choice(("NaN", "Infinity", "-Infinity", "1e400", "-1e400"))
        written = written.replace('"ci": ', f'"latency_ms": {bad}, "ci": ', 1)
    return written


def change(event: dict[str, object], schema: Schema, chance: random.Random) -> None:
    """Change a field, take one away, or add one that does not belong there."""
    rules = schema["properties"]
    what = chance.random()
    name = chance.choice(list(rules))
    if what < 0.8:
        event[name] = odd_value(rules[name], chance)
    elif what < 0.9:
        event.pop(name, None)
    else:
        event[
            chance.choice(("host", "ci\n", "\u0441i", "\ud800", "", "__proto__", name.upper()))
        ] = 1


def drafts(version: Version, count: int, seed: int) -> list[str]:
    """Return `count` texts."""
    chance = random.Random(seed)  # noqa: S311 - examples, which must come out alike
    return [draft(version, chance) for _ in range(count)]
