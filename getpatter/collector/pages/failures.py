"""What failed, as the overview and the page of errors show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.pages.charts import days_chart, first_days
from getpatter.collector.pages.tables import newest_first, panel, rows_of
from getpatter.collector.pages.words import counted, error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.model import Panel
    from getpatter.collector.pages.selection import Wanted

__all__ = ["affected_panel", "by_day_panel", "by_release_panel", "error_with", "top_error"]


def top_error(rows: Sequence[Row]) -> Row | None:
    """Return the failed calls of most installs, of rows of `affected`."""
    return next((row for row in rows if "missing" not in row["cell"]), None)


def error_with(row: Row) -> Markup:
    """Return what failed, and with which vendors."""
    names = [row["cell"].get(name) for name in ("provider", "carrier")]
    known = [name for name in names if name and name not in {"none", "other"}]
    return Markup("<b>{}</b>{}").format(
        error(row["cell"]), f" with {' and '.join(known)}" if known else ""
    )


def affected_panel(
    wanted: Wanted, answer: Mapping[str, Any], *, shown: int, most: int = 100
) -> Panel:
    """Return the errors by how many installs have them."""
    rows = [{**row, "cell": {**row["cell"], "what": error(row["cell"])}} for row in rows_of(answer)]
    lead = "Installs with each error and each blocked start, counted. The first list to open."
    if len(rows) > shown:
        lead = f"{lead} {counted(len(rows), 'combination')} in all."
    return panel(
        "affected",
        "Errors by installs affected",
        wanted,
        answer,
        rows=rows,
        lead=lead,
        columns=("what", "provider", "carrier", "release"),
        figure="installs",
        counts=("runs", "events"),
        shown=shown,
        most=most,
    )


def by_day_panel(wanted: Wanted, answer: Mapping[str, Any], adoption: Sequence[Row]) -> Panel:
    """Return the failed calls by day."""
    rows = rows_of(answer)
    provisional = answer.get("provisional_from", "9999")
    lead = "Each dot is a day, each line its interval; hollow: few installs."
    return panel(
        "failures-by-day",
        "Calls that failed, by day",
        wanted,
        answer,
        lead=lead if len(rows) > 1 else "",
        columns=("day",),
        shown=31,
        chart=days_chart(rows, provisional, first_days(adoption), "Share of calls that failed"),
        is_folded=len(rows) > 1,
    )


def by_release_panel(wanted: Wanted, answer: Mapping[str, Any]) -> Panel:
    """Return the failed calls by release, the newest first."""
    return panel(
        "failures-by-release",
        "Calls that failed, by release",
        wanted,
        answer,
        rows=newest_first(rows_of(answer)),
        lead="Intervals that overlap do not say that releases are alike.",
        columns=("release",),
        shown=8,
    )
