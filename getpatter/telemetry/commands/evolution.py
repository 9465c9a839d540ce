"""Compares two versions of the schemas: does a change break, collect less, more, or neither? Pure.

*Breaking*: the new version refuses an event that the old one accepts, or takes from its readers
what they rely on (a field that every event had, the type of a column). *Narrowing*: less can be
collected, and the new version marks it as intended: a field with `x-retired` is still accepted and
no longer sent, so it need not be there; one with `x-coarser` allows some of the values that it did.
*Widening*: it accepts what the old one refuses, so more can be collected. *Neutral*: words only.
Where two patterns cannot be compared, the answer is the stricter one.
"""

import json
import re
from dataclasses import dataclass, replace

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
        for change in _of_rule(path, before[name], rule):
            is_less = change.refuses and not change.admits
            yield replace(change, intended=True) if is_coarser and is_less else change
    yield from _of_sampling(event, old, new)


def _number(schema: "Schema") -> "int | None":
    """Return the version that a schema is of."""
    number: int | None = schema["properties"].get("schema_version", {}).get("const")
    return number


def _of_rule(path: str, old: "Schema", new: "Schema") -> "Iterator[Change]":
    listed, lists = _values(old), _values(new)
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


def _values(rule: "Schema") -> "frozenset[str] | None":
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
        listed = _values(rules[field]) if field in rules else None
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
