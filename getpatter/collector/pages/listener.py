"""The listener for operators: pages, `/livez`, `/readyz`, `/metrics`, `/answers`. Never public."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from getpatter.collector.commit import STORE, Unavailable
from getpatter.collector.openapi import document

if TYPE_CHECKING:
    from starlette.requests import Request

    from getpatter.collector.commit import Committer
    from getpatter.collector.metrics import Metrics
    from getpatter.collector.pages.site import Site
    from getpatter.collector.reserve import Reserve
    from getpatter.collector.store import Store

__all__ = ["Pages", "problem"]


async def problem(store: Store, committer: Committer) -> str | None:
    """Return why the collector takes nothing now, in a word; None if it does."""
    try:
        committer.check()
    except Unavailable as reason:
        return str(reason)
    return None if await asyncio.to_thread(store.is_usable) else STORE


class Pages:
    """The routes; `application` is what a server runs."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        reserve: Reserve,
        metrics: Metrics,
        site: Site,
    ) -> None:
        self._store = store
        self._committer = committer
        self._reserve = reserve
        self._metrics = metrics
        self.application = Starlette(
            routes=[
                Route("/livez", self._live),
                Route("/readyz", self._ready),
                Route("/metrics", self._figures),
                Route("/openapi.json", self._description),
                *site.routes(),
            ],
            exception_handlers={
                404: _not_found,
                405: _not_allowed,
                Exception: self._failed,
            },
        )

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, _: Request) -> Response:
        reason = await problem(self._store, self._committer)
        if reason is None:
            return JSONResponse({"ready": True})
        return JSONResponse({"ready": False, "reason": reason}, 503, {"Retry-After": "5"})

    async def _figures(self, _: Request) -> Response:
        text = self._metrics.text(self._committer, self._reserve)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def _description(self, _: Request) -> Response:
        return Response(document(), media_type="application/json")

    async def _failed(self, _: Request, error: Exception) -> Response:
        self._metrics.internal_errors.labels(type(error).__name__).inc()
        return JSONResponse({"error": "not now: internal"}, 503, {"Retry-After": "5"})


async def _not_found(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "no such resource"}, 404)


async def _not_allowed(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "only GET"}, 405, {"Allow": "GET, HEAD"})
