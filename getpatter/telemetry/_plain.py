"""What a value of the host's is at heart: its characters, its number. Keeps no state, never raises.

The type is asked, not `__class__`, and of a subclass the base type answers: none of its overrides
runs. Numbers of other types (`Decimal`, `Fraction`, numpy's) convert themselves.
"""

import math
import sys

from getpatter.telemetry._interrupt import is_ctrl_c

__all__ = ["is_one_slip_from", "lower_text", "plain_number", "plain_text"]

# Far above any name of ours or of a public model with its path; longer is not worth lower-casing.
_LONGEST_NAME = 200


def plain_text(value: object) -> str:
    """Return the characters of a string; empty for anything else."""
    return str.__str__(value) if issubclass(type(value), str) else ""


def lower_text(value: object) -> str:
    """Return a string in lower case; empty for what can be no name: too long, or not ASCII.

    ASCII is asked first: the Kelvin sign becomes a plain `k`.
    """
    text = plain_text(value)
    return text.lower() if len(text) <= _LONGEST_NAME and text.isascii() else ""


def plain_number(value: object) -> int | float | None:
    """Return the `int` or finite `float` that a value is; None for what is none, a `bool` as well.

    An `int` may be too large for a `float`.
    """
    kind = type(value)
    if kind is bool:
        return None
    if issubclass(kind, int):
        return int.__int__(value)  # type: ignore[arg-type] # issubclass does not narrow value
    try:
        if issubclass(kind, float):
            number = float.__float__(value)  # type: ignore[arg-type] # as above
        elif _is_a(kind, "Integral"):
            return int.__int__(int(value))  # type: ignore[call-overload] # as above
        elif _is_a(kind, "Real") or _is_a(kind, "Decimal", "decimal"):
            number = float(value)  # type: ignore[arg-type] # as above
        else:
            return None
    except BaseException as error:  # a signalling NaN, one too large, or a type of the host's
        if is_ctrl_c(error):
            raise
        return None
    return number if math.isfinite(number) else None


def is_one_slip_from(known: str, name: str) -> bool:
    """Return whether `name` is `known`, but for at most one letter that is missing, added, wrong or
    swapped with the next; both in the same case.
    """
    same = 0
    while same < min(len(known), len(name)) and known[same] == name[same]:
        same += 1
    meant, said = known[same:], name[same:]
    is_swapped = meant[:2] == said[1::-1] and meant[2:] == said[2:]
    return is_swapped or said[1:] in {meant, meant[1:]} or said == meant[1:]


def _is_a(kind: type, name: str, module: str = "numbers") -> bool:
    # A program with such a value has loaded the module; to load it for others costs milliseconds.
    wanted = getattr(sys.modules.get(module), name, None)
    return isinstance(wanted, type) and issubclass(kind, wanted)
