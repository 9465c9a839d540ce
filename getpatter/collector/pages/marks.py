"""Small drawings in the lines of tables: a dot with its interval, or a bar. Pure.

All places are percentages, so that a drawing has any width without being distorted; all colours are
classes, so that a page needs no inline style.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from getpatter.collector.answers.asked import Row

__all__ = ["Scale", "bar", "bars", "dot", "scale_of"]

_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_HEIGHT = 20


class Scale(NamedTuple):
    """What the left and the right end stand for, and in which unit."""

    low: float
    high: float
    unit: str

    def at(self, value: float) -> float:
        """Return where a value is, in percent."""
        if self.high <= self.low:
            return 0.0
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ends(self) -> tuple[str, str, str]:
        """Return the labels of the ends, and of the middle where that is zero."""
        if self.unit == "difference of shares":
            return f"\N{MINUS SIGN}{self.high * 100:g}", "0", f"+{self.high * 100:g} points"
        if self.unit == "share":
            return "0", "", f"{self.high * 100:g}\N{NO-BREAK SPACE}%"
        sign = {"ms": " ms", "seconds": " s", "US dollars": " USD"}.get(self.unit, "")
        return "0", "", f"{self.high:,g}{sign}"


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    power = 1.0
    while value > power * 10:
        power *= 10
    while value <= power:
        power /= 10
    return next(step * power for step in _STEPS if step * power >= value * 0.999_999)


def scale_of(rows: Iterable[Row]) -> Scale:
    """Return a scale that holds all figures of these rows, which have one unit."""
    listed = list(rows)
    unit = listed[0]["cell"].get("unit", "share") if listed else "share"
    values = [
        abs(value)
        for row in listed
        for value in (row["estimate"], None if row["few"] else row["lower"],
                      None if row["few"] else row["upper"])
        if value is not None
    ]  # fmt: skip
    most = float(f"{_round_up(max(values, default=0.0)):.6g}")
    if unit == "share":
        return Scale(0.0, min(most, 1.0), unit)
    if unit == "difference of shares":
        return Scale(-min(most, 1.0), min(most, 1.0), unit)
    return Scale(0.0, most, unit)


def _svg(inside: str, kind: str) -> Markup:
    text = (
        f'<svg class="mark {kind}" width="100%" height="{_HEIGHT}" aria-hidden="true" '
        f'focusable="false">{inside}</svg>'
    )
    return Markup(text)  # noqa: S704 - numbers and class names only


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1}%" x2="{x2}%" y1="{y1}" y2="{y2}"/>'


def _whisker(row: Row, scale: Scale) -> str:
    if row["lower"] is None or row["upper"] is None or row["lower"] == row["upper"]:
        return ""
    middle = _HEIGHT / 2
    left, right = scale.at(row["lower"]), scale.at(row["upper"])
    ends = (
        _line("end", at, at, middle - 3, middle + 3)
        for at, value in ((left, row["lower"]), (right, row["upper"]))
        if scale.low <= value <= scale.high
    )
    return _line("whisker", left, right, middle, middle) + "".join(ends)


def dot(row: Row, scale: Scale, tone: str = "") -> Markup:
    """Return an estimate as a dot with its interval; hollow if it rests on few installs."""
    if row["estimate"] is None:
        return Markup("")
    zero = scale.at(0.0)
    axis = _line("zero", zero, zero, 0, _HEIGHT)
    kind = "dot few" if row["few"] else "dot"
    middle = _HEIGHT / 2
    point = f'<circle class="{kind}" cx="{scale.at(row["estimate"])}%" cy="{middle:g}" r="4"/>'
    return _svg(axis + _whisker(row, scale) + point, tone)


def bar(row: Row, scale: Scale, tone: str = "") -> Markup:
    """Return a figure as a bar from zero, with its interval."""
    if row["estimate"] is None:
        return Markup("")
    kind = "bar few" if row["few"] else "bar"
    size = scale.at(row["estimate"])
    body = f'<rect class="{kind}" x="0" y="4" width="{size}%" height="{_HEIGHT - 8}" rx="2"/>'
    return _svg(body + _whisker(row, scale), tone)


def bars(values: Sequence[float], scale: Scale) -> Markup:
    """Return a small drawing of values side by side, such as those of days."""
    step = 100 / max(len(values), 1)
    parts = [
        f'<rect class="bar" x="{number * step:.2f}%" y="{_HEIGHT - size:.1f}" '
        f'width="{step * 0.8:.2f}%" height="{size:.1f}"/>'
        for number, value in enumerate(values)
        if (size := scale.at(value) / 100 * _HEIGHT)
    ]
    return _svg("".join(parts), "")
