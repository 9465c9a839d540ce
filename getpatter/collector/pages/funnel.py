"""The funnel of runs, as the overview and the page of the setup show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.collector.pages.marks import bar
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.model import Panel
    from getpatter.collector.pages.selection import Wanted

__all__ = ["funnel_panel", "step", "top_block"]

_BLOCKED = "blocked: "
_CALLS = "of those with a call: "
#: Step → what its share is of.
_OF = {"a call began": "of runs that started", "a call did not connect": "of runs that started"}


def step(rows: Sequence[Row], name: str) -> Row | None:
    """Return a step of the funnel."""
    return next((row for row in rows if row["cell"]["step"] == name), None)


def top_block(rows: Sequence[Row]) -> str:
    """Return what blocked most runs, in words."""
    blocks = [row for row in rows if row["cell"]["step"].startswith(_BLOCKED)]
    most = max(blocks, key=lambda row: row["estimate"] or 0.0)
    return f"missing {name_of(most['cell']['step'].removeprefix(_BLOCKED))}"


def _of(name: str) -> tuple[str, str]:
    """Return what a step is a share of, and its name."""
    if name.startswith(_CALLS):
        return "of runs with a call", name.removeprefix(_CALLS).removeprefix("one ")
    if name.startswith(_BLOCKED):
        return "of all runs", f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{name.removeprefix(_BLOCKED)}"
    return _OF.get(name, "of all runs"), name


def funnel_panel(wanted: Wanted, answer: Mapping[str, Any]) -> Panel:
    """Return how far runs come."""
    rows = []
    for row in rows_of(answer):
        if row["estimate"] is None:
            continue
        of, name = _of(row["cell"]["step"])
        rows.append({**row, "cell": {**row["cell"], "of": of, "step": name}})
    return panel(
        "funnel",
        "How far runs come",
        wanted,
        answer,
        rows=rows,
        lead="A run is one start of a program. It may be blocked first and start later, and have "
        "calls that complete and calls that fail: the shares need not add up.",
        columns=("step",),
        group="of",
        draw=bar,
        shown=20,
    )
