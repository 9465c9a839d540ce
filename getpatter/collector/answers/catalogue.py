"""Finds an answer by its name and gives it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from getpatter.collector.answers.asked import Asked, text_of
from getpatter.collector.answers.definitions import AnswerDefinition, answers
from getpatter.collector.answers.filters import near, read
from getpatter.collector.answers.releases import check
from getpatter.collector.limits import DAY, PROVISIONAL_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.collector.answers.asked import Query

__all__ = ["QuestionError", "answer", "asked", "check_filters", "find", "gate", "listing"]


class QuestionError(LookupError):
    """There is no such question; says in a line which is meant."""


def find(name: str) -> AnswerDefinition:
    """Return the answer of that name."""
    known = answers()
    if name in known:
        return known[name]
    message = f"there is no question {name[:40]!r}: {near(name, known)}"
    raise QuestionError(message)


def listing() -> list[dict[str, Any]]:
    """Return all answers: name, question, definition, filters."""
    return [
        {
            "name": one.name,
            "question": one.question,
            "definition": one.definition,
            "filters": _filters(one),
            "by": list(one.by),
        }
        for one in answers().values()
    ]


def _filters(one: AnswerDefinition) -> list[str]:
    return [*one.filters, *(["by"] if one.by else [])]


def asked(
    one: AnswerDefinition, given: Mapping[str, str], run: Query, now: int
) -> tuple[Asked, str]:
    """Return the question with its filters checked, and the first provisional day."""
    today = date(1970, 1, 1) + timedelta(days=now // DAY)
    provisional = today - timedelta(days=PROVISIONAL_DAYS)
    filters = read(given, _filters(one), one.by, today)
    if "against" in one.filters:  # a comparison: of days that are complete
        filters.setdefault("until", (provisional - timedelta(days=1)).isoformat())
    return Asked(run, filters, one.field), provisional.isoformat()


def check_filters(name: str, given: Mapping[str, str]) -> AnswerDefinition:
    """Return the answer of that name; QuestionError or FilterError if it cannot be asked so."""
    one = find(name)
    read(given, _filters(one), one.by, date(2000, 1, 1))
    return one


def answer(name: str, given: Mapping[str, str], run: Query, now: int) -> dict[str, Any]:
    """Return an answer: its definition, SQL, filters, first provisional day, and rows."""
    one = find(name)
    question, provisional = asked(one, given, run, now)
    rows = one.make(question)
    return {
        "definition": one.definition,
        "sql": "\n".join(text_of(query) for query in question.queries),
        "filters": question.filters,
        "provisional_from": provisional,
        "rows": rows,
    }


def gate(given: Mapping[str, str], run: Query, now: int) -> dict[str, Any]:
    """Return whether a release (`release`) is worse than another one (`against`)."""
    question, _ = asked(find("releases"), given, run, now)
    return check(question)
