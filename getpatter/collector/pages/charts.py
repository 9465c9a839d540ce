"""A figure by day: dots with their intervals, provisional days shaded, releases marked. Pure.

Places are percentages across and pixels down, so the text keeps its size on any width.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from markupsafe import Markup

from getpatter.collector.pages.marks import scale_of
from getpatter.collector.pages.words import day as day_name
from getpatter.collector.pages.words import split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.marks import Scale

__all__ = ["days_chart", "first_days"]

_TOP, _BOTTOM, _HEIGHT = 34, 176, 200
_LEFT, _RIGHT = 1.0, 99.0
_CLOSE = 12.0  # percent: names of releases nearer than that would overlap
_LANES = (10, 24)  # where names of releases stand


def first_days(rows: Sequence[Row]) -> dict[str, str]:
    """Return release → the first day that it was seen on, of the rows of `adoption`.

    Releases that were there on the first day of all were released before.
    """
    found: dict[str, str] = {}
    for row in rows:
        day, release = row["cell"]["day"], row["cell"]["release"]
        if release is not None:
            found[release] = min(found.get(release, day), day)
    begin = min(found.values(), default="")
    return {release: day for release, day in found.items() if day > begin}


def _days(first: str, last: str) -> list[str]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


class _Frame:
    """Where days and values are."""

    def __init__(self, days: Sequence[str], scale: Scale) -> None:
        self.days = {day: number for number, day in enumerate(days)}
        self.step = (_RIGHT - _LEFT) / max(len(days), 1)
        self.scale = scale

    def x(self, day: str) -> float:
        return round(_LEFT + (self.days[day] + 0.5) * self.step, 2)

    def y(self, value: float) -> float:
        return round(_BOTTOM - self.scale.at(value) / 100 * (_BOTTOM - _TOP), 1)


def days_chart(
    rows: Sequence[Row], provisional_from: str, releases: Mapping[str, str], title: str
) -> Markup:
    """Return the drawing of rows that have a `day` each; empty for fewer than two days."""
    by_day = {row["cell"]["day"]: row for row in rows if row["estimate"] is not None}
    if len(by_day) < 2:
        return Markup("")
    # A day of few installs may have an interval up to 100 %: it must not flatten the others.
    frame = _Frame(_days(min(by_day), max(by_day)), scale_of(by_day.values()))
    parts = [
        *_provisional(frame, provisional_from),
        *_grid(frame),
        *_releases(frame, releases),
        *_figures(frame, by_day),
        *_axis(frame),
    ]
    last = by_day[max(by_day)]
    span = f"{day_name(min(by_day))} to {day_name(max(by_day))}"
    text = f"{title}, {span}; last: {' '.join(split(last))}"
    return Markup(
        '<svg class="chart" role="img" width="100%" height="{}" aria-label="{}">{}</svg>'
    ).format(_HEIGHT, text, Markup("").join(parts))


def _provisional(frame: _Frame, begin: str) -> list[Markup]:
    days = [day for day in frame.days if day >= begin]
    if not days:
        return []
    left = round(frame.x(days[0]) - frame.step / 2, 2)
    return [
        Markup('<rect class="provisional" x="{}%" y="{}" width="{}%" height="{}"/>').format(
            left, _TOP, round(_RIGHT - left, 2), _BOTTOM - _TOP
        ),
        Markup('<text class="dim" x="{}%" y="{}" text-anchor="end">provisional</text>').format(
            _RIGHT - 0.5, _BOTTOM - 6
        ),
    ]


def _grid(frame: _Frame) -> list[Markup]:
    parts = []
    for share in (0.0, 0.5, 1.0):
        value = frame.scale.low + share * (frame.scale.high - frame.scale.low)
        y = frame.y(value)
        label = f"{value * 100:g} %" if frame.scale.unit == "share" else f"{value:,g}"
        parts.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(y))
        if share:
            parts.append(Markup('<text class="dim" x="0" y="{}">{}</text>').format(y - 4, label))
    return parts


def _releases(frame: _Frame, releases: Mapping[str, str]) -> list[Markup]:
    parts: list[Markup] = []
    ends = [float("-inf") for _ in _LANES]
    for release, day in sorted(releases.items(), key=lambda item: item[1]):
        if day not in frame.days:
            continue
        x = round(frame.x(day) - frame.step / 2, 2)
        parts.append(
            Markup('<line class="release" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(
                x, _TOP - 6, _BOTTOM
            )
        )
        lane = min(range(len(_LANES)), key=lambda n: (ends[n] > x - _CLOSE, n))
        if ends[lane] > x - _CLOSE:
            continue  # no room for its name; the line stays
        ends[lane] = x
        anchor = "end" if x > 85 else "start" if x < 15 else "middle"
        parts.append(
            Markup('<text class="release" x="{}%" y="{}" text-anchor="{}">{}</text>').format(
                x, _LANES[lane], anchor, release
            )
        )
    return parts


def _figures(frame: _Frame, by_day: Mapping[str, Row]) -> list[Markup]:
    lines: list[Markup] = []
    dots: list[Markup] = []
    size = 3.5 if len(frame.days) <= 45 else 2 if len(frame.days) <= 120 else 1.2
    before: tuple[float, float] | None = None
    for day in frame.days:
        row = by_day.get(day)
        if row is None:
            before = None
            continue
        x, y = frame.x(day), frame.y(row["estimate"])
        if before is not None:
            lines.append(
                Markup('<line class="path" x1="{}%" y1="{}" x2="{}%" y2="{}"/>').format(
                    *before, x, y
                )
            )
        before = (x, y)
        if row["lower"] is not None and row["upper"] is not None:
            low, high = frame.y(row["lower"]), frame.y(row["upper"])
            lines.append(
                Markup('<line class="whisker" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(
                    x, low, high
                )
            )
        kind = "dot few" if row["few"] else "dot"
        words = f"{day_name(day)}: {' '.join(split(row))}"
        dots.append(
            Markup('<circle class="{}" cx="{}%" cy="{}" r="{}"><title>{}</title></circle>').format(
                kind, x, y, size, words
            )
        )
    return [*lines, *dots]


def _axis(frame: _Frame) -> list[Markup]:
    days = list(frame.days)
    places = {0: "start", len(days) // 2: "middle", len(days) - 1: "end"}
    ends = {"start": 0.0, "end": 100.0}
    return [
        Markup('<text class="dim" x="{}%" y="{}" text-anchor="{}">{}</text>').format(
            ends.get(anchor, frame.x(days[place])), _HEIGHT - 6, anchor, day_name(days[place])
        )
        for place, anchor in places.items()
    ]
