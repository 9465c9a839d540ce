"""Compares the rules of one field in two versions of the schemas. Pure.

Where two patterns cannot be compared, the answer is the stricter one.
"""

import json
import re
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Schema = dict[str, Any]

__all__ = ["Change", "changes", "listed_values"]

_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Change:
    """One change at `path`: an event, `event.field` or `event.field=value`.

    `refuses`: the new version refuses what the old one accepts. `admits`: the other way round.
    `breaks`: it breaks readers although it refuses nothing. `intended`: the new version marks it,
    and it collects less.
    """

    path: str
    what: str
    refuses: bool = False
    admits: bool = False
    breaks: bool = False
    intended: bool = False

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        if self.intended:
            return "narrowing"
        if self.refuses or self.breaks:
            return "breaking"
        return "widening" if self.admits else "neutral"


def changes(path: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    """Yield what changed in the rule of the field at `path`."""
    listed, lists = listed_values(old), listed_values(new)
    is_version = path.endswith(".schema_version")
    if is_version and listed and lists and _type(listed) == _type(lists):
        # As numbers: 10 comes after 9, and before it as text.
        if max(map(json.loads, lists)) < max(map(json.loads, listed)):
            yield Change(path, "version went back", refuses=True)
    elif listed is not None and lists is not None:
        if _type(listed) != _type(lists):
            yield Change(path, "type changed", refuses=True, admits=True)
            return
        for value in sorted(listed - lists):
            yield Change(f"{path}={_shown(value)}", "value removed", refuses=True)
        for value in sorted(lists - listed):
            yield Change(f"{path}={_shown(value)}", "value added", admits=True)
    elif lists is not None and listed is None and all(_fits(value, old) for value in lists):
        yield Change(path, "only some values allowed", refuses=True)
    elif old.get("type") != new.get("type"):
        yield Change(path, "type changed", refuses=True, admits=True)
    else:
        yield from _of_bounds(path, old, new)
        if old["type"] == "string":
            yield from _of_text(path, old, new)


def listed_values(rule: "Schema") -> "frozenset[str] | None":
    """Return the values of a rule that lists them, as JSON; None for one that does not."""
    if "const" in rule:
        return frozenset({json.dumps(rule["const"])})
    if "enum" in rule:
        return frozenset(map(json.dumps, rule["enum"]))
    return frozenset({"true", "false"}) if rule["type"] == "boolean" else None


def _fits(value: str, rule: "Schema") -> bool:
    """Return whether a listed value, as JSON, is one that a rule without a list allows."""
    found = json.loads(value)
    if rule["type"] == "string":
        refused = rule.get("not", {"anyOf": []})
        return (
            isinstance(found, str)
            and rule.get("minLength", 0) <= len(found) <= rule.get("maxLength", _INFINITE)
            and re.search(rule.get("pattern", ""), found) is not None
            and not any(re.search(p["pattern"], found) for p in refused.get("anyOf", [refused]))
        )
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    is_type = rule["type"] == "number" or found == int(found)
    low, high = (_bound(rule, names, sign) for _, names, sign in _BOUNDS)
    return is_type and (found, 0) >= low and (-found, 0) >= high


def _shown(value: str) -> str:
    """Return a listed value as a path has it: a word without its quotes."""
    return value.strip('"')


def _type(values: "frozenset[str]") -> "set[str]":
    """Return the types of listed values, so that `"1"` and `1` are not taken for one column."""
    return {type(json.loads(value)).__name__ for value in values}


def _bound(rule: "Schema", names: "tuple[str, ...]", sign: int) -> "tuple[float, int]":
    """Return a bound as a pair that is the greater the stricter it is."""
    *inclusive, exclusive = names
    found = [(sign * rule[name], 0) for name in inclusive if name in rule]
    if exclusive in rule:
        # Whole numbers have a next one: above 0 is from 1.
        is_whole = rule["type"] == "integer"
        found.append((sign * rule[exclusive] + is_whole, 0 if is_whole else 1))
    return max(found, default=(-_INFINITE, 0))


_BOUNDS = (
    ("lower bound", ("minLength", "minimum", "exclusiveMinimum"), 1),
    ("upper bound", ("maxLength", "maximum", "exclusiveMaximum"), -1),
)


def _of_bounds(path: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    for what, names, sign in _BOUNDS:
        was, now = _bound(old, names, sign), _bound(new, names, sign)
        if was != now:
            word = "stricter" if now > was else "looser"
            yield Change(path, f"{what} {word}", refuses=now > was, admits=now < was)


def _of_text(path: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    was, now = _Text.of(old), _Text.of(new)
    sides = (
        ("characters", was.characters, now.characters),
        ("first characters", was.first, now.first),
    )
    for what, before, after in sides:
        if before != after:
            yield Change(
                path,
                f"{what} changed",
                refuses=not before <= after,
                admits=not after <= before,
            )
    if was.other != now.other:
        yield Change(
            path,
            "pattern changed",
            refuses=not now.other <= was.other,
            admits=not was.other <= now.other,
        )


@dataclass(frozen=True, slots=True)
class _Text:
    """What a text may be made of, may begin with, and the patterns that are neither."""

    characters: frozenset[str]
    first: frozenset[str]
    other: frozenset[str]

    @classmethod
    def of(cls, rule: "Schema") -> "_Text":
        refused = rule.get("not", {"anyOf": []})
        patterns = [each["pattern"] for each in refused.get("anyOf", [refused])]
        characters = first = _ALL
        other = set()
        for pattern in patterns:
            found = re.fullmatch(r"\[\^((?:[^]\\]|\\.)+)\]", pattern)
            if found:
                characters &= _members(found[1])
            else:
                other.add(f"not {pattern}")
        if "pattern" in rule:
            found = re.fullmatch(r"\^\[([^]^\\](?:[^]\\]|\\.)*)\]", rule["pattern"])
            if found:
                first = _members(found[1])
            else:
                other.add(rule["pattern"])
        return cls(characters, first & characters, frozenset(other))


# What a character class of ours can name: they are ASCII, which the lint holds.
_ALL = frozenset(map(chr, range(128)))


def _members(text: str) -> "frozenset[str]":
    """Return the characters of a class, `0-9a-z.` for example."""
    return frozenset(character for character in _ALL if re.match(f"[{text}]", character))
