"""Mistakes: what is wrong with an argument of the API of calls, in words for the log. Pure.

A value is repeated only if it can hardly be anything but a slip: one like an allowed value, or a
small number. A phone number or a name in the wrong place must not get into a log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.telemetry._plain import is_one_slip_from, lower_text, plain_number, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["given", "mistake"]

# A larger number may be one to call.
_MOST_NUMBER = 100_000
_KIND_CHARS = 60


def mistake(what: str, allowed: Sequence[str], value: object) -> str:
    """Return in a sentence what an argument must be, and what it is instead.

    `allowed` are the values, or a single text such as `a number`, which says what they are.
    """
    *others, last = [repr(one) if one.isidentifier() else one for one in allowed]
    must = f"{', '.join(others)} or {last}" if others else last
    text = lower_text(value).strip()
    near = next((one for one in allowed if _is_like(one, text)), None)
    if near is None:
        return f"{what} must be {must}, not {given(value)}."
    return f"{what} must be {must}, not {plain_text(value)!r}. Did you mean {near!r}?"


def _is_like(allowed: str, text: str) -> bool:
    is_begun = len(text) > 1 and allowed.startswith(text)
    return is_begun or (len(text) > 2 and is_one_slip_from(allowed, text))


def given(value: object) -> str:
    """Return what a value is, without repeating what may be somebody's."""
    number = plain_number(value)
    if number is not None:
        return f"{number:.6g}" if abs(number) < _MOST_NUMBER else "so large a number"
    if issubclass(type(value), str):
        length = len(plain_text(value))
        return f"a text of {length:,} characters" if length else "an empty text"
    return type(value).__name__[:_KIND_CHARS]
