"""How figures and names read on a page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.answers.text import figure

if TYPE_CHECKING:
    from getpatter.collector.answers.asked import Row

__all__ = ["counted", "day", "error", "name_of", "said", "split"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def split(row: Row) -> tuple[str, str]:
    """Return the figure of a row, and its interval in brackets, which may be empty."""
    text = figure(row).replace("-", "\N{MINUS SIGN}") if row["estimate"] is not None else "-"
    value, bracket, rest = text.partition(" [")
    return value.replace(" ", "\N{NO-BREAK SPACE}"), f"[{rest}" if bracket else ""


def said(row: Row) -> Markup:
    """Return a figure for a sentence: its interval is quieter."""
    value, interval = split(row)
    if not interval:
        return Markup("<b>{}</b>").format(value)
    return Markup("<b>{}</b> <span class=interval>{}</span>").format(value, interval)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def name_of(value: str) -> str:
    """Return a value of an enumeration as words."""
    return value.replace("_", " ")


def day(value: str) -> str:
    """Return a day for an axis: `2026-11-03` is `3 Nov`."""
    _, month, date = value.split("-")
    return f"{int(date)} {_MONTHS[int(month) - 1]}"


def error(cell: dict[str, Any]) -> str:
    """Return what failed, in a few words: layer and code, or what was missing."""
    if "missing" in cell:
        return f"{name_of(cell['missing'])} missing"
    layer = cell.get("error_layer", cell.get("error layer", "layer not said"))
    code = cell.get("error_code", cell.get("error code", "code not said"))
    return f"{layer}/{code}"
