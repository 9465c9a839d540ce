"""The overview: whether installs reach a call, calls fail, and the newest release changed that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.answers.releases import order
from getpatter.collector.pages.charts import days_chart, first_days
from getpatter.collector.pages.funnel import funnel_panel, step, top_block
from getpatter.collector.pages.model import Content, Tile
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import counted, error, said, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.model import Panel
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["CALLS_FAILED", "affected_panel", "build", "failures_panel", "top_error", "wanted"]

CALLS_FAILED = "calls that failed"


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
    if not any(rows_of(found[key]) for key in ("volume", "affected", "failures")):
        return _empty(chosen)
    release = chosen.given.get("release") or newest(adoption)
    return Content(
        _headline(release, found),
        _details(found),
        _tiles(found),
        [
            funnel_panel(needs["funnel"], found["funnel"]),
            affected_panel(needs["affected"], found["affected"], shown=8),
            failures_panel(needs["days"], found["days"], adoption),
            _by_release(needs["failures"], found["failures"]),
        ],
    )


def _empty(chosen: Selection) -> Content:
    if chosen.given:
        text = "Nothing has arrived that these filters leave."
        return Content(Markup("{}").format(text), [Markup("Choose more days, or fewer filters.")])
    text = Markup(
        "Nothing has arrived in the last 30 days. <a href=arriving>Arriving</a> shows the requests "
        "of the last minutes, and where clients send to."
    )
    return Content(Markup("Nothing has arrived yet."), [text])


def newest(adoption: Sequence[Row]) -> str:
    """Return the newest release that has a run."""
    known = {row["cell"]["release"] for row in adoption if row["cell"]["release"]}
    return max(known, key=order, default="")


def _headline(release: str, found: Mapping[str, Any]) -> Markup:
    failures = {row["cell"].get("release"): row for row in rows_of(found["failures"])}
    rows = [row for row in rows_of(found["affected"]) if row["cell"].get("release") == release]
    if release not in failures:
        if not release:
            return Markup("No call has ended yet.")
        return Markup("{}: no call has ended yet.").format(release)
    parts = [Markup("{}: {} of calls fail").format(release, said(failures[release]))]
    parts += [_verdict(found["releases"], release)]
    if failures[release]["few"]:
        parts.append(Markup("it rests on few installs"))
    reason = top_error(rows)
    if reason is not None:
        text = Markup("the error of most installs is <b>{}</b>{}")
        parts.append(text.format(error(reason["cell"]), _with(reason)))
    return Markup("; ").join(part for part in parts if part) + "."


def _verdict(answer: Mapping[str, Any], release: str) -> Markup:
    for row in rows_of(answer):
        cell = row["cell"]
        if cell["measure"] == CALLS_FAILED and cell["release"] == release:
            word = cell["verdict"].partition(":")[0]
            if word == "cannot tell yet":
                return Markup("cannot tell yet whether that is worse than {}").format(
                    cell["against"]
                )
            return Markup("<b>{}</b> than {}").format(word, cell["against"])
    return Markup("")


def _with(row: Row) -> str:
    names = [row["cell"].get(name) for name in ("provider", "carrier")]
    known = [name for name in names if name and name not in {"none", "other"}]
    return f" with {' and '.join(known)}" if known else ""


def top_error(rows: Sequence[Row]) -> Row | None:
    """Return the failed calls of most installs, of rows of `affected`."""
    return next((row for row in rows if "missing" not in row["cell"]), None)


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


def _tiles(found: Mapping[str, Any]) -> list[Tile]:
    made = []
    volume = {row["cell"]["what"]: row for row in rows_of(found["volume"])}
    for name, page in (("installs", "setup"), ("runs", "setup"), ("calls ended", "errors")):
        if name in volume:
            made.append(Tile(name, *split(volume[name]), page))
    for name, title in (("blocked", "runs blocked"), ("a call began", "started runs with a call")):
        row = step(rows_of(found["funnel"]), name)
        if row is not None and row["estimate"] is not None:
            made.append(Tile(title, *split(row), "setup"))
    return made


def affected_panel(wanted: Wanted, answer: Mapping[str, Any], *, shown: int) -> Panel:
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
        counts=("runs", "events"),
        shown=shown,
    )


def failures_panel(wanted: Wanted, answer: Mapping[str, Any], adoption: Sequence[Row]) -> Panel:
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


def _by_release(wanted: Wanted, answer: Mapping[str, Any]) -> Panel:
    rows = sorted(
        rows_of(answer), key=lambda row: order(row["cell"].get("release") or ""), reverse=True
    )
    return panel(
        "failures-by-release",
        "Calls that failed, by release",
        wanted,
        answer,
        rows=rows,
        lead="Intervals that overlap do not say that releases are alike.",
        columns=("release",),
        shown=8,
    )
