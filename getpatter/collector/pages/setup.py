"""The page of the setup: what stops installs before a first call, and whether they come back."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.limits import PROVISIONAL_DAYS
from getpatter.collector.pages.funnel import funnel_panel, step, top_block
from getpatter.collector.pages.marks import bar
from getpatter.collector.pages.model import Content
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import counted, name_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["build", "wanted"]

#: What runs are distinguished by, the step that is shown, and its name. What a package manager or
#: an agent is, runs say only when they start.
_BY = (
    ("release", "blocked", "Runs blocked, by release"),
    ("package_manager", "a call began", "Started runs with a call, by package manager"),
    ("agent", "a call began", "Started runs with a call, by coding agent"),
)
_LOST = "never came back"


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs."""
    return {
        "funnel": chosen.of("funnel"),
        "after_block": chosen.of("after_block"),
        "first_call": chosen.of("first_call"),
        "retention": chosen.of("retention"),
        **{by: chosen.of("funnel", by=by) for by, _, _ in _BY},
    }


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    needs = wanted(chosen)
    return Content(
        _headline(rows_of(found["funnel"])),
        _after(rows_of(found["after_block"])),
        panels=[
            funnel_panel(needs["funnel"], found["funnel"]),
            panel(
                "after-block",
                "After something was missing",
                needs["after_block"],
                found["after_block"],
                lead="What installs did that met it for the first time in these days. Whoever met "
                "it lately may still start.",
                columns=("then",),
                group="missing",
                counts=("installs",),
                draw=bar,
                shown=30,
            ),
            *(
                panel(
                    f"by-{by}",
                    title,
                    needs[by],
                    found[by],
                    rows=_of_step(rows_of(found[by]), name),
                    columns=(by,),
                )
                for by, name, title in _BY
            ),
            panel(
                "first-call",
                "From installing to the first call",
                needs["first_call"],
                found["first_call"],
                lead="Of the installs whose first run was in these days.",
                columns=("first call",),
                counts=("installs",),
                draw=bar,
            ),
            panel(
                "retention",
                "Installs that run again",
                needs["retention"],
                found["retention"],
                rows=_ripe(found["retention"]),
                lead="By the week of the first run, once there was time to run again.",
                columns=("first week",),
                group="ran again after",
                counts=("installs",),
            ),
        ],
    )


def _of_step(rows: list[Row], name: str) -> list[Row]:
    made = [row for row in rows if row["cell"]["step"] == name and row["runs"]]
    return sorted(made, key=lambda row: -row["runs"])


def _ripe(answer: Mapping[str, Any]) -> list[Row]:
    """Return the weeks of which each install had the time to run again."""
    rows = rows_of(answer)
    if not rows:
        return []
    today = date.fromisoformat(answer["provisional_from"]) + timedelta(days=PROVISIONAL_DAYS)
    return [
        row
        for row in rows
        if date.fromisoformat(row["cell"]["first week"])
        + timedelta(days=7 + int(row["cell"]["ran again after"].split()[0]))
        <= today
    ]


def _headline(rows: list[Row]) -> Markup:
    blocked = step(rows, "blocked")
    if blocked is None or not blocked["estimate"]:
        return Markup("No run was blocked before it started.")
    return Markup("{} of runs are blocked before they start, most often by {}.").format(
        said(blocked), top_block(rows)
    )


def _after(rows: list[Row]) -> list[Markup]:
    """Return what the block costs that lost most installs."""
    lost = [row for row in rows if row["cell"]["then"] == _LOST]
    if not lost:
        return []
    most = max(lost, key=lambda row: row["estimate"] * row["installs"])
    return [
        Markup("Of {} that met “{}”, {} never came back.").format(
            counted(most["installs"], "install"),
            f"{name_of(most['cell']['missing'])} missing",
            said(most),
        )
    ]
