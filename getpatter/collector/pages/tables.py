"""Makes a panel of an answer: its lines, their drawings, what stands behind a click. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.collector.answers.releases import order
from getpatter.collector.pages.marks import bar, dot, scale_of
from getpatter.collector.pages.model import Line, Lines, Panel
from getpatter.collector.pages.words import name_of, split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markupsafe import Markup

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.marks import Scale
    from getpatter.collector.pages.selection import Wanted

__all__ = ["newest_first", "panel", "rows_of"]

_SHOWN, _MOST = 12, 100  # lines at once; and behind a click, since a page must stay light
_TONES = {"worse": "bad", "better": "good"}


def rows_of(answer: Mapping[str, Any]) -> list[Row]:
    """Return the rows of an answer; none of one that has a problem."""
    found: list[Row] = answer.get("rows", [])
    return found


def newest_first(rows: Sequence[Row]) -> list[Row]:
    """Return rows of releases, the newest first."""
    return sorted(rows, key=lambda row: order(row["cell"].get("release") or ""), reverse=True)


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return what the rows differ in."""
    names = dict.fromkeys(name for row in rows for name in row["cell"] if name != "unit")
    return [
        name for name in names if len(rows) == 1 or len({row["cell"].get(name) for row in rows}) > 1
    ]


def panel(
    key: str,
    title: str,
    wanted: Wanted,
    answer: Mapping[str, Any],
    *,
    rows: Sequence[Row] | None = None,
    lead: str | Markup = "",
    columns: Sequence[str] | None = None,
    group: str | None = None,
    figure: str = "figure",
    counts: Sequence[str] = ("installs", "runs"),
    draw: Callable[[Row, Scale, str], Markup] = dot,
    shown: int = _SHOWN,
    most: int = _MOST,
    **more: Any,  # noqa: ANN401 - fields of the panel
) -> Panel:
    """Return the panel of an answer; `rows` are those of its rows that are meant."""
    given = rows_of(answer) if rows is None else rows
    names = [n for n in (_columns(given) if columns is None else columns) if n != group]
    scales = {
        unit: scale_of([row for row in given if row["cell"].get("unit") == unit])
        for unit in dict.fromkeys(row["cell"].get("unit") for row in given)
    }
    made: dict[str, list[Line]] = {}
    for row in given[:most]:
        line = _line(row, names, counts, draw, scales[row["cell"].get("unit")])
        made.setdefault(row["cell"].get(group, "") if group else "", []).append(line)
    first, rest = _cut([Lines(name_of(name), lines) for name, lines in made.items()], shown)
    ends = next(iter(scales.values())).ends() if len(scales) == 1 else ("", "", "")
    return Panel(
        key,
        title,
        lead,
        wanted,
        answer,
        columns=[name_of(name) for name in names],
        figure=figure,
        counts=counts,
        groups=first,
        more=rest,
        left=max(len(given) - most, 0),
        axis=ends,
        **more,
    )


def _line(
    row: Row,
    names: Sequence[str],
    counts: Sequence[str],
    draw: Callable[[Row, Scale, str], Markup],
    scale: Scale,
) -> Line:
    value, interval = split(row)
    tone = _TONES.get(row["cell"].get("verdict", "").partition(":")[0], "")
    is_counted = row["lower"] == row["upper"] and scale.unit == "count"
    # A count is what it is, of however few installs.
    shown = {**row, "few": False} if is_counted else row
    picture = (bar if is_counted else draw)(shown, scale, tone)
    return Line(
        tuple(name_of(row["cell"].get(name, "\N{EN DASH}")) for name in names),
        value,
        interval,
        tuple(f"{row[name]:,}" for name in counts),
        picture,
        bool(row["few"]) and not is_counted,
        tone,
    )


def _cut(groups: list[Lines], shown: int) -> tuple[list[Lines], list[Lines]]:
    """Return what is shown at once and the rest. A few lines more are no reason for a click."""
    if sum(len(one.lines) for one in groups) <= shown + 3:
        return groups, []
    first: list[Lines] = []
    rest: list[Lines] = []
    room = shown
    for one in groups:
        if one.lines[:room]:
            first.append(Lines(one.title, one.lines[:room]))
        if one.lines[room:]:
            rest.append(Lines(one.title, one.lines[room:]))
        room = max(room - len(one.lines), 0)
    return first, rest
