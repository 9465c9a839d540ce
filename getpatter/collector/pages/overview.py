"""The overview: whether installs reach a call, calls fail, and the newest release changed that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.answers.releases import order
from getpatter.collector.pages.failures import (
    affected_panel,
    by_day_panel,
    by_release_panel,
    error_with,
    top_error,
)
from getpatter.collector.pages.funnel import funnel_panel, step, top_block
from getpatter.collector.pages.model import Content, Tile
from getpatter.collector.pages.tables import rows_of
from getpatter.collector.pages.words import said, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["build", "wanted"]

_FAILED = "calls that failed"


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs."""
    return {
        "volume": chosen.of("volume"),
        "failures": chosen.of("failures", by="release"),
        "days": chosen.of("failures", by="day"),
        "adoption": chosen.of("adoption"),
        "funnel": chosen.of("funnel"),
        "affected": chosen.of("affected"),
        "releases": chosen.of("releases"),
    }


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    needs = wanted(chosen)
    adoption = rows_of(found["adoption"])
    release = chosen.given.get("release") or _newest(adoption)
    verdict = _verdict(found["releases"], release)
    return Content(
        _headline(release, verdict, found),
        _details(found),
        _tiles(chosen, found),
        [
            funnel_panel(needs["funnel"], found["funnel"]),
            affected_panel(needs["affected"], found["affected"], shown=8, most=8),
            by_day_panel(needs["days"], found["days"], adoption),
            by_release_panel(needs["failures"], found["failures"]),
        ],
        "bad" if "<b>worse" in verdict else "",
    )


def _newest(adoption: Sequence[Row]) -> str:
    """Return the newest release that has a run."""
    known = {row["cell"]["release"] for row in adoption if row["cell"]["release"]}
    return max(known, key=order, default="")


def _headline(release: str, verdict: Markup, found: Mapping[str, Any]) -> Markup:
    failures = {row["cell"].get("release"): row for row in rows_of(found["failures"])}
    rows = [row for row in rows_of(found["affected"]) if row["cell"].get("release") == release]
    if release not in failures:
        if not release:
            return Markup("No call has ended yet.")
        return Markup("{}: no call has ended yet.").format(release)
    parts = [Markup("{}: {} of calls fail").format(release, said(failures[release]))]
    parts.append(verdict)
    if failures[release]["few"]:
        parts.append(Markup("it rests on few installs"))
    reason = top_error(rows)
    if reason is not None:
        parts.append(Markup("the error of most installs is {}").format(error_with(reason)))
    return Markup("; ").join(part for part in parts if part) + "."


def _verdict(answer: Mapping[str, Any], release: str) -> Markup:
    for row in rows_of(answer):
        cell = row["cell"]
        if cell["measure"] == _FAILED and cell["release"] == release:
            word = cell["verdict"].partition(":")[0]
            if word == "cannot tell yet":
                return Markup("cannot tell yet whether that is worse than {}").format(
                    cell["against"]
                )
            return Markup("<b>{}</b> than {}").format(word, cell["against"])
    return Markup("")


def _details(found: Mapping[str, Any]) -> list[Markup]:
    made = []
    blocked = step(rows_of(found["funnel"]), "blocked")
    if blocked is not None and blocked["estimate"]:
        reason = top_block(rows_of(found["funnel"]))
        made.append(
            Markup("{} of runs were blocked before they started, most often by {}.").format(
                said(blocked), reason
            )
        )
    began = step(rows_of(found["funnel"]), "a call began")
    if began is not None and began["estimate"] is not None:
        made.append(Markup("In {} of the started runs a call began.").format(said(began)))
    return made


def _tiles(chosen: Selection, found: Mapping[str, Any]) -> list[Tile]:
    made = []
    volume = {row["cell"]["what"]: row for row in rows_of(found["volume"])}
    for name, page in (("installs", "setup"), ("runs", "setup"), ("calls ended", "errors")):
        if name in volume:
            made.append(Tile(name, *split(volume[name]), chosen.link(page)))
    for name, title in (("blocked", "runs blocked"), ("a call began", "started runs with a call")):
        row = step(rows_of(found["funnel"]), name)
        if row is not None and row["estimate"] is not None:
            made.append(Tile(title, *split(row), chosen.link("setup")))
    return made
