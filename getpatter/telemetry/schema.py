"""Decides what may stand in an event. Reads nothing but the generated tables; has no state.

`coerce` turns one recorded value into what the wire allows, or refuses it. `check` judges a whole
event exactly as the schema files do, without `jsonschema`, so that the client can check; it also
refuses the fields that are retired, which the schema still accepts and nobody sends any more.
Neither runs code of the values it is given, a recorded object may be anything, but the conversion
of a number that is no `int` or `float`.
"""

from __future__ import annotations

import re
from enum import Enum

from getpatter.telemetry._plain import lower_text, plain_number, plain_text
from getpatter.telemetry._tables import (
    BOOLEANS,
    COMMON_FIELDS,
    CONSTANTS,
    DIMENSIONS,
    ENUMS,
    INTEGERS,
    NEVER_SAMPLED_FIELDS,
    NEVER_SAMPLED_OUTCOMES,
    NUMBERS,
    STEPS,
    STRINGS,
    WITHOUT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    _Rule = Callable[[object], str | None]
    Coercer = Callable[[object], "str | int | float | bool | Unfit"]

__all__ = ["COERCERS", "UNFIT", "Unfit", "check", "check_dimensions", "coerce"]

_FALLBACK = "other"
_DECIMALS = {"cost_usd": 4}  # a hundredth of a cent: what a turn of a cheap model costs


class Unfit(Enum):
    """The type of `UNFIT`, for annotations."""

    UNFIT = "unfit"


UNFIT: Final = Unfit.UNFIT


def coerce(field: str, value: object) -> str | int | float | bool | Unfit:
    """Return the value as it may stand in an event, or `UNFIT`.

    Text of an enumeration is compared in lower case; what is not listed, or of another type,
    becomes ``other``. Numbers are
    rounded; one out of bounds is refused, never clipped. Text is taken whole or refused. The
    result is always a plain `str`, `int`, `float` or `bool`. Absent (None) is up to the caller.
    Never raises.
    """
    coercer = COERCERS.get(field)
    return UNFIT if coercer is None else coercer(value)


def check(event: object) -> tuple[str, str] | None:
    """Return where and why the schema refuses an event, or None if it accepts it.

    The first violation, as a JSON pointer and the keyword of the schema: `("/carrier", "enum")`.
    The pointer never holds a name that the schema does not know. Values must be as `json.loads`
    makes them: a subclass of `str`, `dict` and so on is refused.
    """
    if type(event) is not dict:
        return "", "type"
    if "event" not in event:
        return "", "required"
    name = event["event"]
    if type(name) is not str or name not in DIMENSIONS:
        return "/event", "enum"
    if not event.keys() >= _REQUIRED[name]:
        return "", "required"
    return _check_fields(event, _FIELDS[name])


def check_dimensions(name: str, dimensions: dict[str, object]) -> tuple[str, str] | None:
    """Return what `check` would of an event whose common fields are valid. `name` is a known one.

    The common fields of a run are the same in each of its events: judged once, they are not again.
    """
    return _check_fields(dimensions, _OWN_FIELDS[name])


def _check_fields(fields: dict[str, object], rules: dict[str, _Rule]) -> tuple[str, str] | None:
    # In the order they come in: whether they are valid does not depend on it.
    for field, value in fields.items():
        rule = rules.get(field)
        if rule is None or rule(value):
            return _first_violation(fields, rules)
    if "sample_rate" in fields and (
        fields.get("outcome") in NEVER_SAMPLED_OUTCOMES
        or any(field in fields for field in NEVER_SAMPLED_FIELDS)
    ):
        return "/sample_rate", "not"
    return None


def _first_violation(event: dict[str, object], rules: dict[str, _Rule]) -> tuple[str, str] | None:
    """Return the violation that comes first in the order of the schema; None if there is none."""
    if any(field not in rules for field in event):
        return "", "additionalProperties"
    for field, rule in rules.items():
        if field in event and (keyword := rule(event[field])):
            return f"/{field}", keyword
    return None


def _plain(value: object) -> str | int | float | bool | None:
    """Return the value as exactly `str`, `int`, `float` or `bool`; None for anything else.

    A subclass (`StrEnum`, `IntEnum`, a float of numpy) counts by its content.
    """
    kind = type(value)
    if kind is bool:
        return value is True
    return plain_text(value) if issubclass(kind, str) else plain_number(value)


# A rule says by which keyword the schema of a field refuses a value; None: it does not.


def _enum_rule(values: frozenset[str]) -> _Rule:
    return lambda value: None if type(value) is str and value in values else "enum"


def _steps_rule(steps: tuple[float, ...]) -> _Rule:
    return lambda value: None if type(value) in {int, float} and value in steps else "enum"


def _const_rule(constant: object) -> _Rule:
    kinds = (str, int, float)
    return lambda value: None if type(value) in kinds and value == constant else "const"


def _boolean_rule() -> _Rule:
    return lambda value: None if type(value) is bool else "type"


def _string_rule(
    shortest: int, longest: int, patterns: tuple[str, ...], forbidden: tuple[str, ...]
) -> _Rule:
    wanted = [re.compile(pattern).search for pattern in patterns]
    refused = [re.compile(pattern).search for pattern in forbidden]

    def rule(value: object) -> str | None:
        if type(value) is not str:
            return "type"
        if not shortest <= len(value) <= longest:
            return "minLength" if len(value) < shortest else "maxLength"
        for search in wanted:
            if search(value) is None:
                return "pattern"
        for search in refused:
            if search(value) is not None:
                return "not"
        return None

    return rule


def _number_rule(bounds: tuple[float, float, bool, bool], *, is_whole: bool = False) -> _Rule:
    low, high, low_excluded, high_excluded = bounds

    def rule(value: object) -> str | None:
        if type(value) is not int and type(value) is not float:
            return "type"
        if value != value:  # noqa: PLR0124 - NaN, which is no number of JSON
            return "type"
        if is_whole and type(value) is float and not value.is_integer():  # 5.0 is one in JSON
            return "type"
        if value < low or (low_excluded and value == low):
            return "exclusiveMinimum" if low_excluded else "minimum"
        if value > high or (high_excluded and value == high):
            return "exclusiveMaximum" if high_excluded else "maximum"
        return None

    return rule


_RULES: dict[str, _Rule] = {
    **{field: _enum_rule(values) for field, values in ENUMS.items()},
    **{field: _steps_rule(steps) for field, steps in STEPS.items()},
    **{field: _const_rule(constant) for field, constant in CONSTANTS.items()},
    **{field: _boolean_rule() for field in BOOLEANS},
    **{field: _string_rule(*rule) for field, rule in STRINGS.items()},
    **{field: _number_rule(bounds) for field, bounds in NUMBERS.items()},
    **{
        field: _number_rule((*bounds, False, False), is_whole=True)
        for field, bounds in INTEGERS.items()
    },
}
# Event → the common fields that it carries.
_COMMON = {
    name: tuple(field for field in COMMON_FIELDS if field not in WITHOUT.get(name, ()))
    for name in DIMENSIONS
}
_REQUIRED = {name: frozenset(fields) for name, fields in _COMMON.items()}
# Event → its fields in the order of the schema, each with its rule.
_FIELDS: dict[str, dict[str, _Rule]] = {
    name: {field: _RULES[field] for field in (*_COMMON[name], *dimensions)}
    for name, dimensions in DIMENSIONS.items()
}
# The same without the common ones.
_OWN_FIELDS: dict[str, dict[str, _Rule]] = {
    name: {field: _RULES[field] for field in dimensions} for name, dimensions in DIMENSIONS.items()
}


# A coercer returns a recorded value as it may stand in its field. Each begins with what a value
# mostly is, and only otherwise asks what it is at heart.


def _enum_coercer(values: frozenset[str]) -> Coercer:
    otherwise = _FALLBACK if _FALLBACK in values else UNFIT

    def coercer(value: object) -> str | Unfit:
        if type(value) is str and value in values:
            return value
        lower = lower_text(value)
        return lower if lower in values else otherwise

    return coercer


def _whole_coercer(low: int, high: int) -> Coercer:
    def coercer(value: object) -> int | Unfit:
        if type(value) is int and low <= value <= high:
            return value
        plain = _plain(value)
        if type(plain) is not int and type(plain) is not float:
            return UNFIT
        # Judged before it is rounded (-0.4 is negative); NaN is in no range.
        return round(plain) if low <= plain <= high else UNFIT

    return coercer


def _plain_coercer(rule: _Rule) -> Coercer:
    def coercer(value: object) -> str | int | float | bool | Unfit:
        plain = _plain(value)
        return UNFIT if plain is None or rule(plain) else plain

    return coercer


def _number_coercer(rule: _Rule, decimals: int | None) -> Coercer:
    def coercer(value: object) -> str | int | float | bool | Unfit:
        plain = _plain(value)
        if plain is None or rule(plain):
            return UNFIT
        # + 0.0: no negative zero.
        return plain if decimals is None else round(float(plain), decimals) + 0.0

    return coercer


# What a version says of a release: its number and how far it is from one. Numbers of more than a
# date's eight digits could be anything.
_RELEASE = re.compile(
    r"[0-9]{1,8}(?![0-9])(?:\.[0-9]{1,8}(?![0-9])){0,3}"
    r"(?:[.-]?(?:alpha|beta|preview|pre|post|rev|dev|rc|a|b|c|r)(?:[.-]?[0-9]{1,8})?(?![0-9a-z]))*"
)


def _release(value: object) -> str | Unfit:
    """Return the release of a version: a local label, or whatever follows, could be any word."""
    plain = _plain(value)
    if type(plain) is not str or _RULES["sdk_version"](plain):
        return UNFIT
    found = _RELEASE.match(plain)
    return UNFIT if found is None else found[0]


#: Field → what `coerce` does with a value of it.
COERCERS: dict[str, Coercer] = {
    **{field: _plain_coercer(rule) for field, rule in _RULES.items()},
    **{field: _number_coercer(_RULES[field], _DECIMALS.get(field)) for field in NUMBERS},
    **{field: _enum_coercer(values) for field, values in ENUMS.items()},
    **{field: _whole_coercer(*bounds) for field, bounds in INTEGERS.items()},
    **dict.fromkeys(("sdk_version", "previous_sdk_version"), _release),
}
