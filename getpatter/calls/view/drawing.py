"""A waterfall as lines of text, for a terminal of any width. Pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from getpatter.calls.view.timeline import clipped, milliseconds, printable, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from getpatter.calls.view.turns import Turn
    from getpatter.calls.view.waterfall import Row, Waterfall

__all__ = ["answer_means", "answered", "legend", "render"]

# The longest name that is shown whole: `peer_connection subscriber`.
_NAME_CHARS = 26
# What a duration takes with the gaps around it, and what a name and a bar take at least.
_TOOK_COLUMNS, _NAME_COLUMNS, _BAR_COLUMNS = 15, 8, 20
# No terminal has fewer columns.
_COLUMNS = 30
# Up to here what stands below a row stands at the margin.
_WIDE = 60
_FILLS = {
    "success": "█",
    "streams": "▒",
    "failure": "▓",
    "open": "░",
    "other": "▄",
    "present": "─",
    "mark": "│",
}
_NO_BREAK = "\xa0"
_LEGEND = (
    ("success", "succeeded"),
    ("streams", "after its first byte"),
    ("failure", "failed"),
    ("open", "still open when the file ends"),
    ("other", "span of your own"),
    ("present", "a participant is there"),
    ("mark", "a moment"),
)


def answered(turn: Turn) -> str:
    """Return the time from the end of the caller's speech to the first audio."""
    if turn.answer is None:
        return "-"
    return f"{'' if turn.is_exact else '<= '}{milliseconds(turn.answer)}"


def render(drawn: Waterfall, columns: int) -> list[str]:
    """Return the waterfall as lines of at most `columns` characters, at least 30."""
    columns = max(_COLUMNS, columns)
    longest = max([len(row.name) for row in drawn.rows] + [_NAME_COLUMNS])
    room = max(_NAME_COLUMNS, columns - _TOOK_COLUMNS - _BAR_COLUMNS)
    names = min(longest, _NAME_CHARS, room)
    width = columns - _TOOK_COLUMNS - names
    lines = textwrap.wrap(f"call {printable(drawn.session)}  {rounded(drawn.length)}", columns)
    if drawn.is_failed:
        lines += textwrap.wrap(f"failed: {drawn.reason}", columns, subsequent_indent="  ")
    facts = "  ".join(f"{name}={value}" for name, value in drawn.facts.items())
    lines += textwrap.wrap(facts, columns)
    scale = milliseconds(drawn.length)
    if len(scale) < width:
        lines.append(f"{'':{names}}  0{scale:>{width - 1}}")
    for row in drawn.rows:
        bar = _bar(row, drawn.length, width)
        took = "" if row.state == "mark" else row.took
        lines.append(f"{clipped(row.name, names):{names}}  {bar}  {took:>11}".rstrip())
        if row.note:
            sign = "!" if row.is_failure else "+"
            indent = " " * (names + 2 if columns > _WIDE else 2)
            lines += textwrap.wrap(
                f"{sign} {row.note}",
                columns,
                initial_indent=indent,
                subsequent_indent=f"{indent}  ",
            )
    lines += _turns(drawn.turns)
    lines += _legend(drawn, columns)
    return lines


def _turns(found: Iterable[Turn]) -> list[str]:
    rows = [(turn.number, milliseconds(turn.length), answered(turn)) for turn in found]
    if not rows:
        return []
    table = [("turn", "length", "answer"), *rows]
    return ["", *(f"{turn[:5]:5} {length:>11} {answer:>12}" for turn, length, answer in table)]


def legend(drawn: Waterfall) -> list[tuple[str, str]]:
    """Return the marks that are there, and what they mean."""
    states = {row.state for row in drawn.rows}
    if any(row.first is not None for row in drawn.rows):
        states.add("streams")
    return [(state, text) for state, text in _LEGEND if state in states]


def answer_means(found: Iterable[Turn]) -> str:
    """Return what is called an answer."""
    answer = "answer: from the end of the caller's speech to the first audio"
    if not all(turn.is_exact for turn in found):
        answer += "; <=: to the end of a tts stage without a first byte"
    return answer


def _legend(drawn: Waterfall, columns: int) -> list[str]:
    # A mark stands with its meaning on one line, as far as there is room.
    keys = [f"{_FILLS[key]} {text}".replace(" ", _NO_BREAK) for key, text in legend(drawn)]
    lines = textwrap.wrap("   ".join(keys), columns)
    if drawn.turns:
        lines += textwrap.wrap(answer_means(drawn.turns), columns)
    return ["", *(line.replace(_NO_BREAK, " ").rstrip() for line in lines)]


def _bar(row: Row, length: float, width: int) -> str:
    begin = min(width - 1, int(row.begin / length * width))
    end = max(begin + 1, min(width, round(row.end / length * width)))
    cells = [" "] * begin + [_FILLS[row.state]] * (1 if row.state == "mark" else end - begin)
    if row.first is not None and end - begin > 1:
        # Up to the first byte the latency, after it what streams.
        split = max(begin + 1, min(end, round(row.first / length * width)))
        cells[split:] = [_FILLS["streams"]] * len(cells[split:])
    return "".join(cells).ljust(width)
