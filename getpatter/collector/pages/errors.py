"""The page of errors: what fails, for whom, and what became more frequent with a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.pages.failures import (
    affected_panel,
    by_day_panel,
    error_with,
    top_error,
)
from getpatter.collector.pages.model import Content
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import counted, error, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.collector.pages.model import Panel
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["build", "wanted"]


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs."""
    return {
        "failures": chosen.of("failures"),
        "affected": chosen.of("affected"),
        "changed": chosen.of("errors"),
        "provider": chosen.of("failures", by="provider"),
        "carrier": chosen.of("failures", by="carrier"),
        "days": chosen.of("failures", by="day"),
        "adoption": chosen.of("adoption"),
        "endings": chosen.of("endings"),
    }


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    needs = wanted(chosen)
    worse = [row for row in rows_of(found["changed"]) if row["cell"]["verdict"] == "worse"]
    return Content(
        _headline(found),
        [_changed(found["changed"])] if rows_of(found["changed"]) else [],
        panels=[
            affected_panel(needs["affected"], found["affected"], shown=15),
            _changed_panel(needs["changed"], found["changed"]),
            *(
                panel(
                    f"failures-by-{by}",
                    f"Calls that failed, by {by}",
                    needs[by],
                    found[by],
                    rows=sorted(rows_of(found[by]), key=lambda row: -row["installs"]),
                    columns=(by,),
                )
                for by in ("provider", "carrier")
            ),
            by_day_panel(needs["days"], found["days"], rows_of(found["adoption"])),
            panel(
                "endings",
                "What ended calls",
                needs["endings"],
                found["endings"],
                columns=("disconnect_reason",),
            ),
        ],
        tone="bad" if worse else "",
    )


def _headline(found: Mapping[str, Any]) -> Markup:
    failures = rows_of(found["failures"])
    text = Markup("No call has ended yet")
    if failures:
        text = Markup("{} of calls fail").format(said(failures[0]))
    most = top_error(rows_of(found["affected"]))
    if most is not None:
        text += Markup("; the error of most installs is {}: {}").format(
            error_with(most), counted(most["installs"], "install")
        )
    return text + Markup(".")


def _changed(answer: Mapping[str, Any]) -> Markup:
    """Return which errors became more frequent for certain."""
    rows = rows_of(answer)
    cell = rows[0]["cell"]
    worse = [row for row in rows if row["cell"]["verdict"] == "worse"]
    if not worse:
        return Markup("No error became more frequent for certain in {}, compared with {}.").format(
            cell["release"], cell["against"]
        )
    names = Markup(", ").join(
        Markup("<b>{}</b> by {}").format(error(row["cell"]), said(row)) for row in worse[:3]
    )
    return Markup("More frequent in {} than in {}: {}.").format(
        cell["release"], cell["against"], names
    )


def _changed_panel(wanted: Wanted, answer: Mapping[str, Any]) -> Panel:
    rows = [{**row, "cell": {**row["cell"], "what": error(row["cell"])}} for row in rows_of(answer)]
    cell = rows[0]["cell"] if rows else {}
    title = "What a release changed"
    if rows:
        title = f"What {cell['release']} changed, compared with {cell['against']}"
    notes = ["Each line is a comparison at 95 %: of twenty, one differs by chance."] if rows else []
    return panel(
        "changed",
        title,
        wanted,
        answer,
        rows=rows,
        lead="By how many points the share of calls with each error rose. The last 7 days are "
        "left out.",
        columns=("what", "verdict"),
        notes=notes,
        empty="There are not two releases to compare yet.",
    )
