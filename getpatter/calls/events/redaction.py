"""Redaction: what of an event's data sinks may see, as plain JSON. Pure, and bounded in every way.

Runs before any sink. Data is the host's, so nothing is asked of it but what the base types answer,
and of a number of another type its value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from getpatter.calls.enums import Word
from getpatter.calls.mistakes import mistake
from getpatter.telemetry._plain import plain_number

__all__ = ["REDACTED", "Redaction"]

#: What stands where a text was.
REDACTED = "[redacted]"
# JSON readers give up somewhere; nothing about a call is nested deeper than this.
_DEPTH = 12
# Of all that one event may hold: above, it is no event but a dump, and the thread would stall.
_ITEMS = 2_000
# Whole numbers beyond 2**63 are read differently by every JSON parser.
_WHOLE = 2**63


@dataclass(frozen=True, slots=True)
class Redaction:
    """The rule: every text is cut to `max_text_chars` characters, or with `redact_text` removed.

    Holds for keys as for values, at any depth. What stays in spite of `redact_text` are words of
    our own tables, ids made here, the keys of our own events and those named in `keep_keys`.
    """

    redact_text: bool = False
    max_text_chars: int = 100  # a sentence: enough to recognise it, too little to keep it
    keep_keys: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if isinstance(self.max_text_chars, bool) or not isinstance(self.max_text_chars, int):
            raise TypeError(mistake("max_text_chars", ("a whole number",), self.max_text_chars))
        if self.max_text_chars < 0:
            raise ValueError(mistake("max_text_chars", ("at least 0",), self.max_text_chars))

    def clean(self, data: Mapping[Any, object]) -> dict[str, object]:
        """Return `data` as sinks may see it. Raises only what a mapping of the host's raises."""
        return _Pass(self).mapping(data, 0)

    def text(self, value: str) -> str:
        """Return a value that is text as sinks may see it."""
        if isinstance(value, Word):
            return str.__str__(value)
        if self.redact_text:
            return REDACTED
        return str.__str__(value)[: self.max_text_chars]

    def key(self, value: object, number: int) -> str:
        """Return a key as sinks may see it; `number` distinguishes those that were removed."""
        text = str.__str__(value) if isinstance(value, str) else _named(value)
        if isinstance(value, Word):
            return text
        if self.redact_text and text not in self.keep_keys:
            return f"redacted_{number}"
        return text[: self.max_text_chars]


class _Pass:
    """One walk over one event's data; counts what it has seen."""

    __slots__ = ("_left", "_rule")

    def __init__(self, rule: Redaction) -> None:
        self._rule = rule
        self._left = _ITEMS

    def mapping(self, data: Mapping[Any, object], depth: int) -> dict[str, object]:
        cleaned: dict[str, object] = {}
        for number, (key, value) in enumerate(list(data.items())):
            if self._left <= 0:
                break
            self._left -= 1
            name = self._rule.key(key, number)
            if name in cleaned:  # two long keys that begin alike: neither hides the other
                name = f"{name}~{number}"
            cleaned[name] = self.value(value, depth + 1)
        return cleaned

    def value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value if value is None or isinstance(value, bool) else _number(value)
        if isinstance(value, str):
            return self._rule.text(value)
        if depth >= _DEPTH:
            return "[too deep]"
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._items(list(value), depth)
        number = plain_number(value)  # as a `Decimal` is one
        # No `str()` of an object of the host's: it may be slow, raise, or say a secret.
        return _named(value) if number is None else _number(number)

    def _items(self, values: list[object], depth: int) -> list[object]:
        kept = values[: max(0, self._left)]
        self._left -= len(kept)
        return [self.value(value, depth + 1) for value in kept]


def _named(value: object) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return str(_number(value)) if isinstance(value, (int, float)) else "null"
    return f"[{type(value).__name__}]"


def _number(value: float) -> float | None:
    if isinstance(value, int):
        whole = int.__int__(value)
        return whole if -_WHOLE < whole < _WHOLE else None
    number = float.__float__(value)
    return number if math.isfinite(number) else None
