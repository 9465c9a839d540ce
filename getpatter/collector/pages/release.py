"""The page of a release: whether it made anything better or worse, and who uses which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.answers.releases import GATE, order
from getpatter.collector.compare import BETTER, CANNOT_TELL, NOT_WORSE, WORSE
from getpatter.collector.pages.failures import by_release_panel
from getpatter.collector.pages.marks import bars, scale_of
from getpatter.collector.pages.model import Content, Line, Lines, Panel
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import day, name_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["build", "wanted"]

_ORDER = (WORSE, CANNOT_TELL, BETTER, NOT_WORSE)
_MOST_RELEASES, _MOST_NAMED = 12, 3


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs."""
    return {
        "releases": chosen.of("releases"),
        "failures": chosen.of("failures", by="release"),
        "adoption": chosen.of("adoption"),
    }


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    needs = wanted(chosen)
    rows = [_judged(row) for row in rows_of(found["releases"]) if row["estimate"] is not None]
    rows.sort(key=lambda row: _ORDER.index(row["cell"]["word"]))
    compared = needs["releases"], found["releases"]
    headline, details = _said(rows, found["releases"])
    return Content(
        headline,
        details,
        panels=[
            _panel_of("deciding", *compared, [row for row in rows if _decides(row)]),
            *(
                [_panel_of("other", *compared, [row for row in rows if not _decides(row)])]
                if rows
                else []
            ),
            by_release_panel(needs["failures"], found["failures"]),
            _adoption(needs["adoption"], found["adoption"]),
        ],
        tone="bad" if any(_decides(row) and row["cell"]["word"] == WORSE for row in rows) else "",
    )


def _judged(row: Row) -> Row:
    cell = row["cell"]
    word, _, more = cell["verdict"].partition(": ")
    found = {**cell, "word": word, "what": _name(cell["measure"]), "it would take": more}
    return {**row, "cell": found}


def _name(measure: str) -> str:
    """Return the name of a figure that a reader needs no funnel beside it for."""
    first, colon, rest = measure.partition(": ")
    if first == "of those with a call":
        return f"runs with a call that {rest.removeprefix('one ')}"
    if first in {"blocked", "started"}:
        return f"runs {first}{colon}{name_of(rest)}"
    if first.startswith("a call "):
        return f"runs in which {first}"
    return measure


def _said(rows: Sequence[Row], answer: Mapping[str, Any]) -> tuple[Markup, list[Markup]]:
    """Return what the figures say by which a release is judged, and of the others the worse."""
    if "problem" in answer:
        return Markup("These releases cannot be compared."), []
    if not rows:
        return Markup("There is one release only, so there is nothing to compare yet."), []
    release, against = (rows[0]["cell"][key] for key in ("release", "against"))
    deciding = [row for row in rows if _decides(row)]
    judged = {word: [r for r in deciding if r["cell"]["word"] == word] for word in _ORDER}
    if measures := judged[WORSE]:
        text = Markup("{} is <b>worse</b> than {}: {}.").format(release, against, _listed(measures))
    elif measures := judged[CANNOT_TELL]:
        text = Markup("Cannot tell yet whether {} is worse than {}: {}.").format(
            release, against, _listed(measures)
        )
    else:
        text = Markup("{} is <b>not worse</b> than {}.").format(release, against)
    details = []
    if judged[BETTER]:
        details.append(Markup("Better: {}.").format(_listed(judged[BETTER])))
    others = [row for row in rows if not _decides(row) and row["cell"]["word"] == WORSE]
    if others:
        details.append(Markup("Other figures that are worse: {}.").format(_listed(others)))
    return text, details


def _decides(row: Row) -> bool:
    return row["cell"]["measure"] in GATE


def _listed(rows: Sequence[Row]) -> Markup:
    names = Markup("; ").join(
        Markup("{} {}").format(row["cell"]["what"], said(row)) for row in rows[:_MOST_NAMED]
    )
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return names + more


def _panel_of(key: str, wanted: Wanted, answer: Mapping[str, Any], rows: Sequence[Row]) -> Panel:
    title = "Release against release"
    if rows:
        pair = f"{rows[0]['cell']['release']} minus {rows[0]['cell']['against']}"
        title = f"What decides: {pair}" if key == "deciding" else "All other differences"
    return panel(
        key,
        title,
        wanted,
        answer,
        rows=rows,
        lead="In points, over complete days: the last 7 are left out."
        if key == "deciding"
        else "More runs that start, have a call or complete one are better; more of the rest is "
        "worse. Runs are blocked more often where more installs are new: that judges no release.",
        columns=("what", "it would take"),
        group="word",
        counts=("installs",),
        shown=40,
        empty="There are not two releases to compare yet.",
    )


def _adoption(wanted: Wanted, answer: Mapping[str, Any]) -> Panel:
    """Return a small drawing for each release: installs by day."""
    rows = rows_of(answer)
    days = sorted({row["cell"]["day"] for row in rows})
    by_release: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["cell"]["release"]:
            by_release.setdefault(row["cell"]["release"], {})[row["cell"]["day"]] = row
    scale = scale_of(rows)
    lines = [
        Line(
            (release,),
            f"{max(row['estimate'] for row in found.values()):,}",
            "",
            (f"{found[days[-1]]['estimate'] if days[-1] in found else 0:,}",),
            bars([found[one]["estimate"] if one in found else 0 for one in days], scale),
            is_few=False,
        )
        for release, found in sorted(
            by_release.items(), key=lambda item: order(item[0]), reverse=True
        )
    ]
    return Panel(
        "adoption",
        "Installs by day",
        f"Of each release, on one scale, {day(days[0])} to {day(days[-1])}." if days else "",
        wanted,
        answer,
        columns=("release",),
        counts=("last day",),
        figure="most on a day",
        groups=[Lines("", lines[:_MOST_RELEASES])] if lines else [],
        more=[Lines("", lines[_MOST_RELEASES:])] if lines[_MOST_RELEASES:] else [],
    )
