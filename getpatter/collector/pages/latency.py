"""The page of latency: how long callers wait, for which stage, and with which vendor or model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.pages.model import Content
from getpatter.collector.pages.tables import newest_first, panel, rows_of
from getpatter.collector.pages.words import said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["build", "wanted"]

_SLOW = "share above "
_ANSWER = "answer"


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs."""
    return {
        "latency": chosen.of("latency"),
        "release": chosen.of("latency", by="release"),
        "provider": chosen.of("latency", by="provider"),
        "model": chosen.of("latency", by="model"),
    }


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    needs = wanted(chosen)
    rows = rows_of(found["latency"])
    return Content(
        *_said(rows),
        panels=[
            panel(
                "slow",
                "Slow calls, by stage",
                needs["latency"],
                found["latency"],
                rows=_slow(rows),
                lead="Share of ended calls in which the p95 over the turns was above the bound.",
                columns=("stage", "above"),
            ),
            panel(
                "waits",
                "Milliseconds, by stage",
                needs["latency"],
                found["latency"],
                rows=[row for row in rows if not _is_share(row) and row["estimate"] is not None],
                lead="Each call states the p95 over its turns: these are the median of calls, and "
                "the p95 of calls.",
                columns=("measure",),
                group="stage",
                empty="Quantiles are shown from 50 installs on.",
            ),
            panel(
                "slow-by-release",
                "Slow answers, by release",
                needs["release"],
                found["release"],
                rows=newest_first(_of_answers(rows_of(found["release"]))),
                columns=("release", "above"),
            ),
            panel(
                "slow-by-provider",
                "Slow answers, by provider",
                needs["provider"],
                found["provider"],
                rows=sorted(
                    _of_answers(rows_of(found["provider"])), key=lambda row: -row["installs"]
                ),
                columns=("provider", "above"),
            ),
            panel(
                "slow-by-model",
                "Slow stages, by model",
                needs["model"],
                found["model"],
                rows=_slow(rows_of(found["model"])),
                lead="Of the runs that configured one model for the stage.",
                columns=("model", "above"),
                group="stage",
                shown=20,
            ),
        ],
    )


def _is_share(row: Row) -> bool:
    return bool(row["cell"]["measure"].startswith(_SLOW))


def _slow(rows: Sequence[Row]) -> list[Row]:
    return [
        {**row, "cell": {**row["cell"], "above": row["cell"]["measure"].removeprefix(_SLOW)}}
        for row in rows
        if _is_share(row) and row["estimate"] is not None
    ]


def _of_answers(rows: Sequence[Row]) -> list[Row]:
    return [row for row in _slow(rows) if row["cell"]["stage"] == _ANSWER]


def _said(rows: Sequence[Row]) -> tuple[Markup, list[Markup]]:
    slow = {row["cell"]["stage"]: row for row in _slow(rows)}
    if _ANSWER not in slow:
        return Markup("No call states how long its answers took."), []
    answer = slow.pop(_ANSWER)
    text = Markup("In {} of calls the caller waits more than {} for an answer.").format(
        said(answer), answer["cell"]["above"]
    )
    if not slow:
        return text, []
    most = max(slow.values(), key=lambda row: row["estimate"])
    worst = Markup("The stage that is slow most often is <b>{}</b>: in {} above {}.").format(
        most["cell"]["stage"], said(most), most["cell"]["above"]
    )
    return text, [worst]
