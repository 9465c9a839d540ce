"""Which pages there are, and how one is made: ask what it needs, then build it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from getpatter.collector.pages import overview

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.collector.pages.model import Content
    from getpatter.collector.pages.selection import Selection, Wanted

__all__ = ["PAGES", "PageKind"]

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
