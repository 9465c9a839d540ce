"""Which pages there are, and how one is made: ask what it needs, then build it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.pages import errors, latency, overview, quality, questions, release, setup
from getpatter.collector.pages.model import Content
from getpatter.collector.pages.tables import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["PAGES", "PageKind", "content_of"]

_OF_RUNS = ("release", "os", "carrier")
_OF_CALLS = (*_OF_RUNS, "engine", "provider", "direction")


@dataclass(frozen=True, slots=True)
class PageKind:
    """A page: its address, its title, the question that it answers, and its filters."""

    path: str
    title: str
    question: str
    wanted: Callable[[Selection], dict[str, Wanted]]
    build: Callable[[Selection, Mapping[str, Any]], Content]
    filters: tuple[str, ...] = _OF_CALLS


PAGES = (
    PageKind(
        "",
        "Overview",
        "Do installs reach a call, do calls fail, and did the newest release change that?",
        overview.wanted,
        overview.build,
    ),
    PageKind(
        "release",
        "Release",
        "Did a release make it better or worse?",
        release.wanted,
        release.build,
        ("release", "against", *_OF_CALLS[1:]),
    ),
    PageKind(
        "errors",
        "Errors",
        "Why do calls fail, and for whom?",
        errors.wanted,
        errors.build,
    ),
    PageKind(
        "latency",
        "Latency",
        "How long does the caller wait, and for which stage?",
        latency.wanted,
        latency.build,
    ),
    PageKind(
        "setup",
        "Setup",
        "Why do installs not reach a first call, and do they come back?",
        setup.wanted,
        setup.build,
        _OF_RUNS,
    ),
    PageKind(
        quality.PATH,
        "Quality",
        "How far can the other pages be believed?",
        quality.wanted,
        quality.build,
        _OF_RUNS,
    ),
    PageKind(
        questions.PATH,
        "Questions",
        "What else can be asked?",
        questions.wanted,
        questions.build,
    ),
)


def content_of(page: PageKind, chosen: Selection, found: Mapping[str, Any]) -> Content:
    """Return a page, or that nothing has arrived which it could show."""
    problems = any("problem" in answer for answer in found.values())
    rows = any(row["events"] or row["runs"] for one in found.values() for row in rows_of(one))
    if rows or problems or page.path == questions.PATH:
        return page.build(chosen, found)
    if chosen.given:
        return Content(
            Markup("Nothing has arrived that these filters leave."),
            [Markup("Choose more days, or fewer filters.")],
        )
    return Content(
        Markup("Nothing that this page shows has arrived in the last 30 days."),
        [
            Markup(
                'The page <a href="arriving">Arriving</a> shows the last requests, and where '
                "clients send to."
            )
        ],
    )
