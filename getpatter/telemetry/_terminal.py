"""Printing what others wrote: the one way from here to a terminal. Reads nothing.

Ids, texts and file names come from hosts, callers and collectors. What is printed shows on a
terminal and does nothing else to it, whatever its encoding: control characters, escape sequences
and marks that turn the direction of text are written out.
"""

import json
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

__all__ = ["coloured", "has_colours", "one_line", "say", "say_json"]

_COLOURS = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bright yellow": "93",
    "bright blue": "94",
    "bright magenta": "95",
    "bright cyan": "96",
    "dim": "2",
}
_OURS = re.compile("(\x1b\\[(?:0|2|3[1-6]|9[3-6])m)")
# What stands for what we draw with, where the encoding has no such character: of the same width.
_PLAIN = str.maketrans(
    {"█": "#", "▓": "x", "▒": "=", "░": ".", "▄": "_", "─": "-", "│": "|", "…": "~"}
)


def one_line(value: object) -> str:
    """Return a value as one line of characters that can be seen."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"[{type(value).__name__}]"
    return text if text.isprintable() else "".join(map(_visible, text))


def coloured(colour: str, text: str) -> str:
    """Return text in a colour, which `say` keeps with `has_colours`."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def has_colours(stream: "IO[str] | None", environ: "Mapping[str, str]") -> bool:
    """Return whether to print in colours: NO_COLOR, FORCE_COLOR, TERM, else on a terminal."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    return environ.get("TERM") != "dumb" and stream is not None and stream.isatty()


def say(
    text: str, *, stream: "IO[str] | None" = None, has_colours: bool = False, end: str = "\n"
) -> None:
    """Print text of any number of lines, by default to standard output."""
    is_out = stream is None
    stream = sys.stdout if stream is None else stream
    if stream is None:
        return
    parts = _OURS.split(text) if has_colours else [text]
    shown = "".join(part if index % 2 else _lines(part) for index, part in enumerate(parts))
    stream.write(_fitting(shown, stream) + end)
    if not is_out:  # standard error is for what must be seen at once
        stream.flush()


def say_json(line: str) -> None:
    """Print a line of JSON, as it is but for characters that cannot be seen: they are escaped."""
    stream = sys.stdout
    if stream is None:
        return
    encoding = _encoding(stream)

    def escaped(character: str) -> str:
        if character.isprintable() and _has(encoding, character):
            return character
        # Within a text there are no others below the space; between values any space will do.
        return json.dumps(character)[1:-1] if character > " " else " "

    if not (line.isprintable() and _has(encoding, line)):
        line = "".join(map(escaped, line.strip()))
    stream.write(line + "\n")


def _lines(text: str) -> str:
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else _visible(c) for c in text)


def _visible(character: str) -> str:
    return (
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
    )


def _fitting(text: str, stream: "IO[str]") -> str:
    encoding = _encoding(stream)
    if _has(encoding, text):
        return text
    return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)


def _encoding(stream: "IO[str]") -> str:
    named = getattr(stream, "encoding", None)
    return named if isinstance(named, str) and _has(named, "") else "ascii"


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
