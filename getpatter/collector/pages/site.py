"""The routes of the pages: reads the filters, has the answers made, sends HTML."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from getpatter.collector import answering, answers, clock
from getpatter.collector.answers.filters import values_of
from getpatter.collector.answers.releases import order
from getpatter.collector.pages import quality, questions, render
from getpatter.collector.pages.arriving import arriving
from getpatter.collector.pages.contents import PAGES, content_of
from getpatter.collector.pages.selection import PERIODS, Selection, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from getpatter.collector.arrivals import Arrivals
    from getpatter.collector.pages.contents import PageKind
    from getpatter.collector.store import Store

__all__ = ["Site"]

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'none'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_KEPT = {**_HEADERS, "Cache-Control": "private, max-age=31536000, immutable"}
_AT_ONCE = 2  # questions of pages that are answered at a time: the store has two threads


class Site:
    """The pages of one store."""

    def __init__(
        self,
        store: Store,
        answers: answering.Answering,
        arrivals: Arrivals,
        endpoint: Callable[[], str],
        recommended: Callable[[], Mapping[str, Any] | None],
    ) -> None:
        self._store = store
        self._answers = answers
        self._arrivals = arrivals
        self._endpoint = endpoint
        self._recommended = recommended
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[Route]:
        """Return the routes of the pages and of the answers that they show."""
        return [
            *answering.routes(self._answers),
            *(Route(f"/{page.path}", self._shown(page)) for page in PAGES),
            Route("/arriving", self._arriving),
            Route("/style.css", _style),
            Route("/icon.svg", _icon),
        ]

    def _shown(self, page: PageKind) -> Callable[[Request], Any]:
        async def show(request: Request) -> Response:
            try:
                chosen = select(
                    request.query_params.multi_items(),
                    clock.today(),
                    has_question=page.path == questions.PATH,
                )
                wanted = page.wanted(chosen)
            except (answers.FilterError, answers.QuestionError) as error:
                return self._problem(page, str(error))
            made = await asyncio.gather(
                *(self._ask(one.name, dict(one.filters)) for one in wanted.values())
            )
            found = dict(zip(wanted, made, strict=True))
            content = content_of(page, chosen, found)
            values = {
                **self._common(page.path, page.title, chosen),
                "page": page,
                "content": content,
                "recommended": self._recommended() if page.path == quality.PATH else None,
                "unused": chosen.unused(*(one.name for one in wanted.values())),
                "provisional": next((a["provisional_from"] for a in made if "rows" in a), ""),
            }
            text = await asyncio.to_thread(render.html, "page.html", values)
            return _html(text)

        return show

    async def _ask(self, name: str, filters: dict[str, str]) -> dict[str, Any]:
        async with self._turns:
            return await asyncio.to_thread(self._answers.ask, name, filters)

    def _common(self, path: str, title: str, chosen: Selection) -> dict[str, Any]:
        return {
            "pages": PAGES,
            "path": path,
            "title": title,
            "chosen": chosen,
            "periods": PERIODS,
            "choices": self._choices(),
            "by": answers.find(chosen.question).by if chosen.question else (),
        }

    def _choices(self) -> dict[str, list[str]]:
        known = {
            name: values_of(name) for name in ("os", "carrier", "engine", "provider", "direction")
        }
        releases = sorted(self._store.releases, key=order, reverse=True)
        return {"release": releases, "against": releases, **known}

    def _problem(self, page: PageKind, text: str) -> Response:
        values = {**self._common(page.path, page.title, Selection({})), "problem": text}
        return _html(render.html("problem.html", {**values, "page": page}), 400)

    async def _arriving(self, _: Request) -> Response:
        values = {
            **self._common("arriving", "Arriving", Selection({})),
            **arriving(self._arrivals, clock.now(), self._endpoint()),
        }
        return _html(render.html("arriving.html", values))


def _html(text: str, status: int = 200) -> Response:
    return Response(text, status, _HEADERS, media_type="text/html; charset=utf-8")


async def _style(_: Request) -> Response:
    return Response(render.style(), headers=_KEPT, media_type="text/css; charset=utf-8")


async def _icon(_: Request) -> Response:
    return Response(render.ICON, headers=_KEPT, media_type="image/svg+xml")
