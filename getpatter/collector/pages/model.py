"""What a page consists of, before it is HTML. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from getpatter.collector.pages.selection import Wanted

__all__ = ["Content", "Line", "Lines", "Panel", "QuestionLink", "Tile"]

_NONE = Markup("")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table. `cells` are its labels, `counts` whole numbers."""

    cells: tuple[str, ...]
    value: str
    interval: str
    counts: tuple[str, ...]
    picture: Markup
    is_few: bool
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one group; without a title there is one group."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Panel:
    """A question's answer: a drawing, a table, and where they come from."""

    key: str
    title: str
    lead: str | Markup
    wanted: Wanted
    answer: Mapping[str, Any]
    columns: Sequence[str] = ()
    figure: str = "figure"  # what the figures are called
    counts: Sequence[str] = ()
    groups: Sequence[Lines] = ()
    more: Sequence[Lines] = ()  # behind a click
    left: int = 0  # lines that are in CSV only
    axis: tuple[str, str, str] = ("", "", "")
    chart: Markup = _NONE
    is_folded: bool = False  # the table is behind a click: the drawing says it
    notes: Sequence[str] = ()
    empty: str = "Nothing has arrived that answers this."


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure, and the address of the page that says more."""

    name: str
    value: str
    interval: str
    link: str


@dataclass(frozen=True, slots=True)
class QuestionLink:
    """A question that can be asked, and where its answer is."""

    question: str
    name: str
    link: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A page: what a maintainer should know, then the panels."""

    headline: Markup
    details: Sequence[Markup] = ()
    tiles: Sequence[Tile] = ()
    panels: Sequence[Panel] = ()
    tone: str = ""
    links: Sequence[QuestionLink] = ()
