"""The page of quality: how far the other pages can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.pages.model import Content
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import counted, said, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["PATH", "build", "wanted"]

PATH = "quality"
_FAILED = "calls that failed"
_FACTS = {"drawn": "drawn runs", "lost": "lost", "kept": "not lost", "refused": "refused"}
_FORGED = "runs not drawn, with sampled events"


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs."""
    return {"quality": chosen.of("quality")}


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    need, answer = wanted(chosen)["quality"], found["quality"]
    rows = rows_of(answer)
    listed = {
        "bounds": [row for row in rows if row["cell"]["fact"].startswith(_FAILED)],
        **{key: _of(rows, fact) for key, fact in _FACTS.items()},
    }
    told = {id(row) for some in listed.values() for row in some}
    odd = [row for row in rows if id(row) not in told and row["cell"]["unit"] == "count"]
    largest = [row for row in rows if id(row) not in told and row["cell"]["unit"] == "share"]
    return Content(
        _headline(listed["bounds"], listed["refused"]),
        _details(rows, listed["lost"]),
        panels=[
            panel(
                "bounds",
                "If every lost call had failed",
                need,
                answer,
                rows=listed["bounds"],
                lead="Losses are no accident: a crash loses events and is a failure. So they are a "
                "bound, not a correction.",
                columns=("fact",),
            ),
            panel(
                "odd",
                "Unusual runs and installs",
                need,
                answer,
                rows=odd,
                lead="A run that was not drawn and has sampled events is a bug or a forgery.",
                columns=("fact",),
                counts=(),
            ),
            panel(
                "largest",
                "The largest install",
                need,
                answer,
                rows=largest,
                lead="A figure of runs or calls says little if most of them are one install's. "
                "Intervals take that into account.",
                columns=("fact",),
                counts=(),
            ),
            panel(
                "drawn",
                "Share of runs that were drawn, by rate",
                need,
                answer,
                rows=listed["drawn"],
                lead="The interval should hold the rate, in nineteen of twenty lines.",
                columns=("rate",),
                counts=("runs",),
            ),
            *(
                panel(
                    key,
                    title,
                    need,
                    answer,
                    rows=listed[key],
                    lead=lead,
                    columns=("what", "why"),
                    figure="events",
                    counts=(),
                    empty=empty,
                )
                for key, title, lead, empty in (
                    ("lost", "What clients lost", "As clients count it.", "Nothing was lost."),
                    (
                        "kept",
                        "What clients left out on purpose",
                        "Sampled out, opted out, or a field that was dropped: no figure misses it.",
                        "Nothing was left out.",
                    ),
                    (
                        "refused",
                        "What this collector rejected",
                        "By the place in the event, and the rule of the schema.",
                        "Nothing was rejected.",
                    ),
                )
            ),
        ],
    )


def _of(rows: Sequence[Row], fact: str) -> list[Row]:
    return [row for row in rows if row["cell"]["fact"] == fact]


def _headline(bounds: Sequence[Row], refused: Sequence[Row]) -> Markup:
    if not bounds or bounds[0]["estimate"] is None:
        return Markup("No call has ended yet.")
    text = Markup("{} of calls fail; if every lost call had failed, <b>{}</b>.").format(
        said(bounds[0]), split(bounds[1])[0]
    )
    count = sum(int(row["estimate"]) for row in refused)
    verb = "were" if count > 1 else "was"
    return text + Markup(" {} {} rejected.").format(
        counted(count, "event") if count else "No event", verb
    )


def _details(rows: Sequence[Row], lost: Sequence[Row]) -> list[Markup]:
    made = []
    forged = sum(int(row["estimate"]) for row in _of(rows, _FORGED))
    if forged:
        made.append(
            Markup("<b>{}</b> contradict their sampling rate: a bug or a forgery.").format(
                counted(forged, "run")
            )
        )
    else:
        made.append(Markup("No run contradicts its sampling rate."))
    if lost:
        most = lost[0]["cell"]
        made.append(
            Markup("Clients lost {}, most often by {}.").format(
                counted(sum(int(row["estimate"]) for row in lost), "event"),
                most["why"].replace("_", " "),
            )
        )
    return made
