"""Which pages there are, and how one is made: ask what it needs, then build it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from getpatter.collector.pages import overview

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.collector.pages.model import Content
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["PAGES", "PageKind", "filters_of", "page_of"]

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
)


def page_of(path: str) -> PageKind:
    """Return the page at an address; LookupError if there is none."""
    for one in PAGES:
        if one.path == path:
            return one
    raise LookupError(path)


def filters_of(page: PageKind) -> tuple[str, ...]:
    """Return the filters that the form of a page has, but the time."""
    return page.filters
