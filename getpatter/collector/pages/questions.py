"""The page of questions: every question that there is an answer to, and the answer to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector import answers
from getpatter.collector.pages.model import Content, QuestionLink
from getpatter.collector.pages.tables import panel, rows_of
from getpatter.collector.pages.words import name_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.answers.asked import Row
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["PATH", "build", "wanted"]

PATH = "questions"


def wanted(chosen: Selection) -> dict[str, Wanted]:
    """Return the answers that the page needs. QuestionError if there is no such question."""
    if not chosen.question:
        return {}
    name = answers.find(chosen.question).name
    return {"answer": chosen.of(name, **({"by": chosen.by} if chosen.by else {}))}


def build(chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return the page."""
    listing = answers.listing()
    links = [
        QuestionLink(
            one["question"],
            one["name"],
            chosen.link(PATH, question=one["name"]),
            one["name"] == chosen.question,
        )
        for one in listing
    ]
    if not found:
        text = Markup("{} have an answer. Choose one.").format(f"{len(links)} questions")
        return Content(text, links=links)
    question = answers.find(chosen.question).question
    title = chosen.question.replace("_", " ")
    shown = panel("answer", title, wanted(chosen)["answer"], found["answer"], shown=40)
    return Content(_headline(question, rows_of(found["answer"])), panels=[shown], links=links)


def _headline(question: str, rows: Sequence[Row]) -> Markup:
    """Return the question and its first row, or the median of a number."""
    known = [row for row in rows if row["estimate"] is not None]
    if not known:
        return Markup("{} Nothing has arrived that answers this.").format(question)
    first = next((row for row in known if "p50" in row["cell"].values()), known[0])
    names = [
        str(value)
        for name, value in first["cell"].items()
        if name not in {"unit", "verdict", "release", "against"}
    ]
    return Markup("{} {}: {}.").format(question, name_of(", ".join(names)), said(first))
