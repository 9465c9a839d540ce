"""All pages as one HTML document that loads nothing: for an archive, or for somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector import clock
from getpatter.collector.pages import questions
from getpatter.collector.pages.contents import PAGES, content_of
from getpatter.collector.pages.render import html, style, style_digest
from getpatter.collector.pages.selection import Selection
from getpatter.collector.pages.words import day

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["report"]


def report(ask: Callable[[str, Mapping[str, str]], Mapping[str, Any]]) -> str:
    """Return the document. `ask` returns an answer."""
    chosen = Selection({})
    sections = []
    for page in PAGES:
        if page.path != questions.PATH:
            wanted = page.wanted(chosen)
            found = {key: ask(one.name, dict(one.filters)) for key, one in wanted.items()}
            sections.append((page, content_of(page, chosen, found)))
    sheet = style()
    today = clock.today().isoformat()
    return html(
        "report.html",
        {
            "title": f"The 30 days up to {day(today)} {today[:4]}",
            "sections": sections,
            "style": Markup(sheet),  # noqa: S704 - our own file
            "digest": style_digest(sheet),
        },
    )
