"""Answers from an open store, and the routes of `/answers`: what has been acknowledged counts.

On a large store an answer that took long is given again for a while, so that pages that many people
open do not keep events from being taken. A small store always answers anew.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from getpatter.collector import answers, clock
from getpatter.collector.answers.text import csv_text
from getpatter.collector.limits import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from getpatter.collector.store import Store

__all__ = ["Answering", "ask", "check", "routes"]

_EXIT_CODES = {"not worse": 0, "better": 0, "worse": 1, "cannot tell yet": 2}
#: An answer that took so many seconds is given again for so many times as long: at most a fiftieth
#: of the time goes into each question.
_LONG_SECONDS, _AGAIN = 0.25, 50
_MOST_KEPT = 256  # answers
_AT_ONCE = 2  # questions that are answered at a time: the store has two threads


class Answering:
    """Answers of one store."""

    def __init__(self, store: Store, long: float = _LONG_SECONDS, again: float = _AGAIN) -> None:
        self._store = store
        self._long, self._again = long, again
        self._kept: dict[Any, tuple[float, dict[str, Any]]] = {}  # until when

    def ask(self, name: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Return an answer; `problem` says why there is none."""
        # An erased install is in no answer from then on, a kept one neither.
        key = (name, *sorted(given.items()), self._store.erasures, clock.now() // DAY)
        begun = clock.monotonic()
        until, found = self._kept.get(key, (begun, {}))
        if begun < until:
            return found
        found = ask(self._store, name, given)
        ended = clock.monotonic()
        if ended - begun >= self._long:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = ended + self._again * (ended - begun), found
        return found


def ask(store: Store, name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return an answer, made anew; `problem` says why there is none."""
    try:
        store.fold()
        return answers.answer(name, given, store.query, clock.now())
    except (answers.QuestionError, answers.FilterError, answers.NoPairError) as error:
        return {"problem": str(error)}


def check(store: Store, given: Mapping[str, str]) -> dict[str, Any]:
    """Return what a release gate says, and its exit code; `problem` says why it says nothing."""
    try:
        store.fold()
        found = answers.gate(given, store.query, clock.now())
    except (answers.QuestionError, answers.FilterError, answers.NoPairError) as error:
        return {"problem": str(error)}
    return {**found, "code": _EXIT_CODES[found["verdict"]]}


def routes(answering: Answering) -> list[Route]:
    """Return the routes of the answers."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def listed(_: Request) -> Response:
        return JSONResponse(answers.listing())

    async def answered(request: Request) -> Response:
        name, kind = request.path_params["name"], request.path_params["kind"]
        if kind not in {"json", "csv"}:
            return JSONResponse({"error": "no such resource"}, 404)
        given = dict(request.query_params)
        try:
            answers.find(name)
        except answers.QuestionError as error:
            return JSONResponse({"error": str(error)}, 404)
        if len(given) != len(request.query_params.multi_items()):
            return JSONResponse({"error": "a filter was given twice"}, 400)
        async with turns:
            found = await asyncio.to_thread(answering.ask, name, given)
        if "problem" in found:
            return JSONResponse({"error": found["problem"]}, 400)
        if kind == "csv":
            return Response(csv_text(found), media_type="text/csv; charset=utf-8")
        return Response(orjson.dumps(found), media_type="application/json")

    return [
        Route("/answers.json", listed),
        Route("/answers/{name}.{kind}", answered),
    ]
