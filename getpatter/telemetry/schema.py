"""Decides what may stand in an event. Reads nothing but the generated tables; has no state.

`coerce` turns one recorded value into what the wire allows, or refuses it. `check` judges a whole
event exactly as the schema files do, without `jsonschema`, so that whoever sends can check.
Neither runs code of the values it is given: a recorded object may be anything.
"""

from __future__ import annotations

import re
from enum import Enum

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
    STRINGS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = ["REFUSED", "Refused", "check", "coerce"]

_FALLBACK = "other"
_DECIMALS = {"cost_usd": 4}  # a hundredth of a cent: what a turn of a cheap model costs


class Refused(Enum):
    """The type of `REFUSED`, for annotations."""

    REFUSED = "refused"


REFUSED: Final = Refused.REFUSED


def coerce(field: str, value: object) -> str | int | float | bool | Refused:
    """Return the value as it may stand in an event, or `REFUSED`.

    A value that an enumeration does not list, or of another type, becomes ``other``. Numbers are
    rounded; one out of bounds is refused, never clipped. Text is taken whole or refused. The
    result is always a plain `str`, `int`, `float` or `bool`. Absent (None) is up to the caller.
    Never raises.
    """
    plain = _plain(value)
    if field in ENUMS:
        return _choice(plain, ENUMS[field])
    if field in INTEGERS:
        return _whole(plain, *INTEGERS[field])
    if plain is None or _violation(field, plain):
        return REFUSED
    if type(plain) is not bool and field in _DECIMALS:
        return round(float(plain), _DECIMALS[field]) + 0.0  # + 0.0: no negative zero
    return plain


def check(event: object) -> tuple[str, str] | None:  # noqa: PLR0911 - one for each keyword
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
    fields = COMMON_FIELDS + DIMENSIONS[name]
    if any(field not in event for field in COMMON_FIELDS):
        return "", "required"
    if any(key not in fields for key in event):
        return "", "additionalProperties"
    for field in fields:
        if field in event and (keyword := _violation(field, event[field])):
            return f"/{field}", keyword
    never_sampled = event.get("outcome") in NEVER_SAMPLED_OUTCOMES or any(
        field in event for field in NEVER_SAMPLED_FIELDS
    )
    if never_sampled and "sample_rate" in event:
        return "/sample_rate", "not"
    return None


def _plain(value: object) -> str | int | float | bool | None:
    """Return the value as exactly `str`, `int`, `float` or `bool`; None for anything else.

    The real type is asked, not ``__class__``, and the base type converts: a subclass (`StrEnum`,
    `IntEnum`, a float of numpy) counts by its content, and none of its overrides runs.
    """
    kind = type(value)
    if kind is bool:
        return value is True
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__int__(value)  # type: ignore[arg-type] # issubclass does not narrow value
    if issubclass(kind, float):
        return float.__float__(value)  # type: ignore[arg-type] # as above
    return None


def _choice(plain: object, values: frozenset[str]) -> str | Refused:
    if type(plain) is str and plain in values:
        return plain
    return _FALLBACK if _FALLBACK in values else REFUSED


def _whole(plain: object, low: int, high: int) -> int | Refused:
    if type(plain) is not int and type(plain) is not float:
        return REFUSED
    # Judged before it is rounded (-0.4 is negative); NaN is in no range.
    return round(plain) if low <= plain <= high else REFUSED


def _violation(field: str, value: object) -> str | None:  # noqa: PLR0911 - one for each kind
    """Return the keyword by which the schema of a field refuses a value, or None."""
    kind = type(value)
    if field in ENUMS:
        return None if kind is str and value in ENUMS[field] else "enum"
    if field in CONSTANTS:
        return None if kind in {str, int, float} and value == CONSTANTS[field] else "const"
    if field in BOOLEANS:
        return None if kind is bool else "type"
    if field in STRINGS:
        return _string_violation(value, STRINGS[field])
    if field in NUMBERS:
        return _number_violation(value, NUMBERS[field])
    if field in INTEGERS:
        if type(value) is float and not value.is_integer():  # 5.0 is an integer in JSON
            return "type"
        return _number_violation(value, (*INTEGERS[field], False, False))
    return "additionalProperties"


def _string_violation(
    value: object, rule: tuple[int, int, tuple[str, ...], tuple[str, ...]]
) -> str | None:
    if type(value) is not str:
        return "type"
    shortest, longest, patterns, forbidden = rule
    if len(value) < shortest:
        return "minLength"
    if len(value) > longest:
        return "maxLength"
    if not all(re.search(pattern, value) for pattern in patterns):
        return "pattern"
    return "not" if any(re.search(pattern, value) for pattern in forbidden) else None


def _number_violation(value: object, rule: tuple[float, float, bool, bool]) -> str | None:
    if type(value) is not int and type(value) is not float:
        return "type"
    low, high, low_excluded, high_excluded = rule
    if value != value:  # noqa: PLR0124 - NaN, which is no number of JSON
        return "type"
    if value < low or (low_excluded and value == low):
        return "exclusiveMinimum" if low_excluded else "minimum"
    if value > high or (high_excluded and value == high):
        return "exclusiveMaximum" if high_excluded else "maximum"
    return None
