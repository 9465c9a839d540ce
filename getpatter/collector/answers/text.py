"""Shows an answer on a terminal, in any width, and as CSV. Plain ASCII, no colours."""

from __future__ import annotations

import csv
import io
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.collector.answers.asked import Row

__all__ = ["checked_text", "csv_text", "figure", "listing_text", "table"]

_FIGURES = ("estimate", "lower", "upper", "events", "runs", "installs", "few")
_MOST_ROWS = 40  # on a terminal; CSV and JSON have all
_WIDEST_TEXT = 100  # a longer line of prose is hard to read


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["cell"]))


def csv_text(answer: dict[str, Any]) -> str:
    """Return the rows of an answer as CSV: the cell, then the figures."""
    rows = answer["rows"]
    columns = _columns(rows)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*columns, *_FIGURES])
    for row in rows:
        figures = ["" if row[name] is None else row[name] for name in _FIGURES[:-1]]
        few = "true" if row["few"] else "false"
        writer.writerow([*(row["cell"].get(name, "") for name in columns), *figures, few])
    return stream.getvalue()


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:.1f}"
    if unit == "difference of shares":
        return f"{value * 100:+.1f}"
    if unit == "US dollars":
        return f"{value:,.4f}"
    return f"{value:,.0f}"


_SIGNS = {
    "share": " %", "difference of shares": " points", "ms": " ms", "seconds": " s",
    "US dollars": " USD",
}  # fmt: skip


def figure(row: Row) -> str:
    """Return the figure of a row with its interval."""
    unit = row["cell"].get("unit", "share")
    if row["estimate"] is None:
        return "-"
    text = _number(row["estimate"], unit) + _SIGNS.get(unit, "")
    lower, upper = row["lower"], row["upper"]
    if (lower is None and upper is None) or lower == upper == row["estimate"]:
        return text
    low, high = ("?" if one is None else _number(one, unit) for one in (lower, upper))
    return f"{text} [{low}, {high}]"


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, max(min(width, _WIDEST_TEXT), 20), initial_indent=indent, subsequent_indent=indent
    )


def table(answer: dict[str, Any], question: str, width: int) -> str:
    """Return an answer for a terminal of so many columns."""
    rows = answer["rows"]
    lines = [*_wrapped(question, width), ""]
    lines += _wrapped(answer["definition"], width)
    chosen = [f"{name} {value}" for name, value in answer["filters"].items()]
    columns = [name for name in _columns(rows) if name != "unit"]
    same = [
        name
        for name in columns
        if len(rows) > 1 and len({row["cell"].get(name, "") for row in rows}) == 1
    ]
    chosen += [f"{name} {rows[0]['cell'][name]}" for name in same if name not in answer["filters"]]
    if chosen:
        lines += ["", *_wrapped(", ".join(chosen), width)]
    lines.append("")
    if not rows:
        lines += _wrapped("Nothing has arrived that answers this.", width)
    shown = rows[:_MOST_ROWS]
    lines += _rows(shown, [name for name in columns if name not in same], width)
    if len(rows) > len(shown):
        more = f"and {len(rows) - len(shown):,} more rows: --csv and --json have all"
        lines += _wrapped(more, width)
    lines += ["", *_wrapped(_note(answer, rows), width)]
    return "\n".join(lines) + "\n"


def _note(answer: dict[str, Any], rows: Sequence[Row]) -> str:
    text = f"Days from {answer['provisional_from']} on are provisional: events may still arrive."
    if any(_has_interval(row) for row in rows):
        text = f"In brackets: intervals at 95 %; one in twenty is wrong. {text}"
    if any(row["few"] for row in rows):
        text += " Few: too few installs for a good interval."
    return text


def _has_interval(row: Row) -> bool:
    return row["lower"] is not None and row["lower"] != row["upper"]


def _rows(rows: Sequence[Row], columns: list[str], width: int) -> list[str]:
    head = [*columns, "figure", "installs", "runs", "events", ""]
    body = [
        [
            *(row["cell"].get(name, "") for name in columns),
            figure(row),
            *(f"{row[name]:,}" for name in ("installs", "runs", "events")),
            "few" if row["few"] else "",
        ]
        for row in rows
    ]
    for dropped in (0, 2):  # runs and events are the first that can be missed
        cut = slice(len(columns) + 2, len(columns) + 2 + dropped)
        fitting = [list(line) for line in (head, *body)]
        for line in fitting:
            del line[cut]
        widths = [max(len(line[i]) for line in fitting) for i in range(len(fitting[0]))]
        if sum(widths) + 2 * (len(widths) - 1) <= width:
            return [_line(line, widths, len(columns)) for line in fitting] if body else []
    lines = []
    for row, line in zip(rows, body, strict=True):
        names = [_named(*one) for one in zip(columns, line, strict=False) if one[1]]
        lines += _wrapped(", ".join(names) or "all", width)
        of = [f"{row['installs']:,} installs"] if row["installs"] else []
        few = ["few"] if row["few"] else []
        lines += _wrapped(", ".join([figure(row), *of, *few]), width, "  ")
    return lines


def _named(column: str, value: str) -> str:
    """Return a value that says without its column what it is."""
    return f"{column} {value}" if value[0].isdigit() else value


def _line(cells: list[str], widths: list[int], left: int) -> str:
    """Return a line: names to the left, figures to the right, so that they can be compared."""
    made = [
        text.ljust(size) if index <= left or index == len(cells) - 1 else text.rjust(size)
        for index, (text, size) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(made).rstrip()


def listing_text(listing: Sequence[dict[str, Any]], width: int) -> str:
    """Return the list of questions."""
    size = max(len(one["name"]) for one in listing)
    lines = []
    for one in listing:
        if width < size + 30:
            lines += [one["name"], *_wrapped(one["question"], width, "  ")]
            continue
        first, *rest = textwrap.wrap(one["question"], width - size - 2)
        lines.append(f"{one['name']:{size}}  {first}")
        lines += [" " * (size + 2) + more for more in rest]
    return "\n".join(lines) + "\n"


def checked_text(found: dict[str, Any], width: int) -> str:
    """Return what a release gate says."""
    lines = _wrapped(
        f"release {found['release']} against {found['against']}, at {found['level']:.0%}", width
    )
    for one in found["measures"]:
        difference = figure(
            {
                "cell": {"unit": "difference of shares"},
                "estimate": one["difference"],
                "lower": one["lower"],
                "upper": one["upper"],
            }
        )
        shares = [
            "-" if one[key] is None else f"{one[key] * 100:.1f} %" for key in ("release", "against")
        ]
        lines += ["", *_wrapped(f"{one['measure']}: {one['verdict']}", width)]
        text = f"{shares[0]}, was {shares[1]}: {difference}"
        lines += _wrapped(f"{text}; {one['matters'] * 100:.0f} points matter", width, "  ")
    lines += ["", found["verdict"]]
    return "\n".join(lines) + "\n"
