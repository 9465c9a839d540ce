"""The listener for clients: takes batches, erases, says what it is. Nothing of a request is kept.

Any path that ends in `/v1/ingest` is the endpoint, so that it may stand behind a prefix.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from getpatter.collector import clock, erasure
from getpatter.collector.commit import Unavailable
from getpatter.collector.limits import MAX_BODY, MAX_EVENTS, RETRY_SECONDS
from getpatter.collector.openapi import document
from getpatter.collector.rates import Bucket, RateLimits
from getpatter.collector.request import Refused, check_head, read_batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from getpatter.collector.arrivals import Arrivals
    from getpatter.collector.batch import BatchAnswer, ReceivedBatch
    from getpatter.collector.commit import Committer
    from getpatter.collector.judge import EventJudge
    from getpatter.collector.metrics import Metrics
    from getpatter.collector.request import Headers
    from getpatter.collector.store import Store

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

__all__ = ["Ingest"]

_ENDPOINT = "/v1/ingest"
# Keys of a request's scope, for what is shown of it once it was answered.
_BATCH, _ANSWER = "getpatter.batch", "getpatter.answer"
_INSTALL = re.compile(r"(?:/.*)?/v1/installs/([^/]*)")
_RECEIPT = re.compile(r"(?:/.*)?/v1/receipts/([^/]*)")
_ID = re.compile("[0-9a-f]{32}")

_USUAL = [
    (b"content-type", b"application/json"),
    (b"accept-encoding", b"gzip"),
    (b"patter-max-events", str(MAX_EVENTS).encode()),
]


class _Gone(Exception):  # noqa: N818 - nobody is there to be answered
    """The client has closed the connection."""


class Ingest:
    """The ASGI application. `recommended` may be replaced while it runs."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        judge: EventJudge,
        metrics: Metrics,
        arrivals: Arrivals,
    ) -> None:
        self._store = store
        self._committer = committer
        self._judge = judge
        self._metrics = metrics
        self._arrivals = arrivals
        self._limits = RateLimits(clock.monotonic())
        self._erasures = Bucket(1, 10, clock.monotonic())  # each one looks at every event
        self.recommended: dict[str, Any] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; whatever goes wrong is a status, and never a traceback."""
        if scope["type"] != "http":
            return
        headers: Message = {}
        try:
            status, body = 200, await self._respond(scope, receive)
        except Refused as refused:
            status, body = refused.status, orjson.dumps({"error": str(refused)})
            self._committer.count_refusal(refused.status, refused.rule)
            if status == 405:
                headers["allow"] = refused.rule
        except _Wait as wait:
            status, body = 429, orjson.dumps({"error": "too many events"})
            headers["retry-after"] = wait.seconds
            self._committer.count_refusal(429, "rate")
        except Unavailable as reason:
            status, body = 503, orjson.dumps({"error": f"not now: {reason}"})
            self._metrics.unavailable.labels(str(reason)).inc()
        except _Gone:
            return
        except Exception as error:  # the boundary: a bug of ours is counted, by its type only
            status, body = 503, orjson.dumps({"error": "not now: internal"})
            self._metrics.internal_errors.labels(type(error).__name__).inc()
        if status == 503:
            least, more = RETRY_SECONDS
            headers["retry-after"] = least + clock.jitter(more)
        self._metrics.requests.labels(status).inc()
        if scope["path"].endswith(_ENDPOINT):
            batch, answer = scope.get(_BATCH), scope.get(_ANSWER)
            is_repeated = answer is not None and answer.is_repeated
            self._arrivals.add(clock.now(), status, batch, is_repeated=is_repeated)
        await _send(send, status, headers, body, is_head=scope["method"] == "HEAD")

    async def _respond(self, scope: Message, receive: Receive) -> bytes:
        path, method = scope["path"], scope["method"]
        if path.endswith(_ENDPOINT):
            _allow(method, "POST")
            return await self._ingest(scope, receive)
        if found := _INSTALL.fullmatch(path):
            _allow(method, "DELETE")
            return await self._erase(found[1])
        if found := _RECEIPT.fullmatch(path):
            _allow(method, "GET", "HEAD")
            return self._receipt(found[1])
        if path.endswith("/openapi.json"):
            _allow(method, "GET", "HEAD")
            return document()
        raise Refused(404, "path", "no such resource")

    async def _ingest(self, scope: Message, receive: Receive) -> bytes:
        headers: Headers = dict(scope["headers"])
        check_head(headers)
        self._committer.check()
        body = await _read_body(receive)
        batch: ReceivedBatch = read_batch(
            headers, body, self._judge, self._store.releases, clock.now()
        )
        scope[_BATCH] = batch
        installs = Counter(event["install_id"] for _, event in batch.events)
        if seconds := self._limits.take(installs, clock.monotonic()):
            raise _Wait(seconds)
        answer = scope[_ANSWER] = await self._committer.submit(batch)
        self._count(answer)
        return _encode(answer, self.recommended)

    def _count(self, answer: BatchAnswer) -> None:
        if answer.is_repeated:
            self._metrics.repeated.inc()
            return
        self._metrics.events.inc(answer.accepted)
        for refusal in answer.refused:
            self._metrics.refused.labels(refusal.rule).inc()

    async def _erase(self, install_id: str) -> bytes:
        if not _ID.fullmatch(install_id):
            raise Refused(400, "install", "an install ID is 32 hexadecimal digits")
        if seconds := self._erasures.take(1, clock.monotonic()):
            raise _Wait(seconds)
        self._committer.check()
        receipt = await asyncio.to_thread(erasure.erase, self._store, install_id)
        state = erasure.receipt_state(self._store, receipt)
        return orjson.dumps({"receipt": receipt, "state": state})

    def _receipt(self, receipt: str) -> bytes:
        state = erasure.receipt_state(self._store, receipt) if _ID.fullmatch(receipt) else None
        if state is None:
            raise Refused(404, "receipt", "no such receipt")
        return orjson.dumps({"receipt": receipt, "state": state})


class _Wait(Exception):  # noqa: N818 - it is an answer, not an error
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = min(int(seconds) + 1 + clock.jitter(2), 3600)


def _allow(method: str, *allowed: str) -> None:
    if method not in allowed:
        names = ", ".join(allowed)
        raise Refused(405, names, f"only {names}")


async def _read_body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise Refused(413, "body", f"a body must have at most {MAX_BODY} bytes")
        if not message.get("more_body", False):
            return body


def _encode(answer: BatchAnswer, recommended: dict[str, Any] | None) -> bytes:
    content: dict[str, Any] = {
        "accepted": answer.accepted,
        "refused": [
            {"index": refusal.index, "pointer": refusal.pointer, "rule": refusal.rule}
            for refusal in answer.refused
        ],
    }
    if recommended is not None:
        content["recommended"] = recommended
    return orjson.dumps(content)


async def _send(send: Send, status: int, headers: Message, body: bytes, *, is_head: bool) -> None:
    more = [(name.encode(), str(value).encode()) for name, value in headers.items()]
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [*_USUAL, length, *more]}
    )
    await send({"type": "http.response.body", "body": b"" if is_head else body})
