"""The filters of answers: a closed list, each value checked before it becomes a parameter."""

from __future__ import annotations

import re
from datetime import date, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

from getpatter.collector.store.columns import schemas

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["FILTERS", "FilterError", "near", "read", "values_of"]

#: Name → what it is, in a word or two.
FILTERS = {
    "release": "version of the library",
    "against": "release to compare with",
    "os": "operating system",
    "carrier": "telephony carrier",
    "engine": "kind of engine",
    "provider": "vendor",
    "direction": "of the call",
    "since": "first day, YYYY-MM-DD, or 30d: the last 30 days",
    "until": "last day",
    "by": "a row for each value of this",
}
_RELEASE = re.compile("[0-9][0-9a-z.+-]{0,31}")
_DAYS = re.compile("([0-9]{1,4})d")


class FilterError(ValueError):
    """A filter that an answer does not have, or a value that it cannot have; says so in a line."""


def near(value: str, known: Collection[str]) -> str:
    """Return the hint that ends a message about an unknown name."""
    close = get_close_matches(value, list(known), 1)
    return f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}"


def values_of(name: str) -> list[str]:
    """Return the values that a filter can have, of all versions of the schemas."""
    found: dict[str, None] = {}
    for events in schemas().values():
        for schema in events.values():
            found.update(dict.fromkeys(schema["properties"].get(name, {}).get("enum", ())))
    return list(found)


def _day(name: str, value: str, today: date) -> str:
    ago = _DAYS.fullmatch(value)
    if ago:
        return (today - timedelta(days=int(ago[1]))).isoformat()
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        message = f"{name} must be a day such as {today.isoformat()}, or 30d"
        raise FilterError(message) from None


def _checked(name: str, value: str, by: Collection[str], today: date) -> str:
    known: Collection[str] = ()
    if name in {"since", "until"}:
        return _day(name, value, today)
    if name in {"release", "against"}:
        if _RELEASE.fullmatch(value):
            return value
        message = f"{name} must be a version, such as 0.7.2"
        raise FilterError(message)
    known = by if name == "by" else values_of(name)
    if value not in known:
        message = f"{name} cannot be {value[:40]!r}: {near(value, known)}"
        raise FilterError(message)
    return value


def read(
    given: Mapping[str, str], allowed: Collection[str], by: Collection[str], today: date
) -> dict[str, str]:
    """Return the filters of a question, checked."""
    for name in given:
        if name not in FILTERS:
            message = f"there is no filter {name[:40]!r}: {near(name, allowed)}"
            raise FilterError(message)
        if name not in allowed:
            message = f"this answer has no filter {name}: {', '.join(allowed)}"
            raise FilterError(message)
    return {name: _checked(name, given[name], by, today) for name in FILTERS if name in given}
