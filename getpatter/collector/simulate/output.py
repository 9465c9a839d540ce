"""Where simulated batches go: into a store of their own, or to a collector over HTTP."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from getpatter.collector import clock
from getpatter.collector.limits import GROUP_EVENTS
from getpatter.telemetry.delivery.batch import encode
from getpatter.telemetry.losses import header

if TYPE_CHECKING:
    from getpatter.collector.batch import ReceivedBatch
    from getpatter.collector.store import Store

__all__ = ["EndpointError", "IntoStore", "OverHttp"]

# Roll-ups are brought up to date in steps that fit into memory.
_FOLD_EVENTS = 500_000
_TRIES = 60
_SECONDS = 60
_CONTINUE = frozenset({429, 503})  # the collector asks for patience


class IntoStore:
    """Appends to a store, without a server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._group: list[ReceivedBatch] = []
        self._size = self._unfolded = 0

    def take(self, batch: ReceivedBatch) -> None:
        """Take a batch; write when there are enough."""
        if self._size + batch.size > GROUP_EVENTS:
            self._write()
        self._group.append(batch)
        self._size += batch.size

    def end(self) -> None:
        """Write the rest."""
        self._write()
        self._store.fold()
        self._store.merge()

    def _write(self) -> None:
        if self._group:
            self._store.append(self._group)
            self._unfolded += self._size
            self._group, self._size = [], 0
        if self._unfolded >= _FOLD_EVENTS:
            self._store.fold()
            self._unfolded = 0


class EndpointError(Exception):
    """The endpoint does not take what is sent; the message says why."""


class OverHttp:
    """Sends to a collector as a client does, one batch after the other."""

    def __init__(self, endpoint: str) -> None:
        self._address = usable(endpoint)
        self._connection = self._connect()

    def take(self, batch: ReceivedBatch) -> None:
        """Send a batch until it is answered."""
        events = [event for _, event in batch.events]
        closed = batch.received - batch.age
        headers = {"Content-Type": "application/json", "User-Agent": "getpatter/simulate"}
        if not batch.key.is_legacy:
            headers["Idempotency-Key"] = f"{batch.key.high:016x}{batch.key.low:016x}"
            headers["Patter-Batch-Age"] = str(max(0, clock.now() - closed))
            headers["Patter-Sample-Rate"] = str(batch.rate)
            if batch.losses:
                headers["Patter-Client-Report"] = header(batch.losses)
        body = encode(events)
        for _ in range(_TRIES):
            status, wait, text = self._post(body, headers)
            if status == 200:
                self._check(text, len(events))
                return
            if status is not None and status not in _CONTINUE:
                message = f"the endpoint answered {status}"
                raise EndpointError(message)
            time.sleep(wait)
        message = "the endpoint does not answer"
        raise EndpointError(message)

    def end(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _check(self, text: bytes, count: int) -> None:
        try:
            accepted = json.loads(text)["accepted"]
        except (ValueError, KeyError, TypeError):
            return  # it says nothing: it took all
        if accepted != count:
            message = f"the endpoint refused {count - accepted} of {count} events"
            raise EndpointError(message)

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int | None, float, bytes]:
        try:
            self._connection.request("POST", self._address.path or "/", body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
            return None, 1.0, b""
        wait = response.headers.get("Retry-After", "1")
        return response.status, float(wait) if wait.isdigit() else 1.0, text

    def _connect(self) -> http.client.HTTPConnection:
        host, port = str(self._address.hostname), self._address.port
        if self._address.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_SECONDS)
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)


def usable(endpoint: str) -> SplitResult:
    """Return the parts of an endpoint that may be sent to; EndpointError for any other."""
    try:
        parts = urlsplit(endpoint)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "--endpoint must be a URL, such as http://127.0.0.1:8417/v1/ingest"
        raise EndpointError(message)
    if parts.hostname.endswith("getpatter.com"):
        message = "a simulation must not be sent to the collector of getpatter"
        raise EndpointError(message)
    return parts
