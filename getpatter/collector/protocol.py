"""HTTP/1.1 with bounds: on the head of a request, on how long it may take, on connections.

What cannot be parsed gets an answer in JSON, too. uvicorn's protocol does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from getpatter.collector.limits import ARRIVAL_SECONDS, MAX_CONNECTIONS, MAX_HEAD

if TYPE_CHECKING:
    import asyncio
    from asyncio import TimerHandle

__all__ = ["BoundedProtocol"]

_REASONS = {400: b"Bad Request", 408: b"Request Timeout"}


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _timer: TimerHandle | None = None
    _head = 0
    _is_in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it at once where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timer go with the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head, then parse."""
        if self._is_in_head:
            self._head += len(data)
        super().data_received(data)
        if self._is_in_head and self._head > MAX_HEAD and self.parser is not None:
            self._end(400, "the head of the request is too long")

    def on_message_begin(self) -> None:
        """Begin a request: from here on it has to arrive in time."""
        super().on_message_begin()
        self._is_in_head = True
        if self._timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        """End the head."""
        self._is_in_head, self._head = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request; what follows is the head of the next one."""
        self._stop_timer()
        self._is_in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as the base class
        """Answer what is no HTTP."""
        self._end(400, "not HTTP")

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(ARRIVAL_SECONDS, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        self._end(408, "the request took too long to arrive")

    def _end(self, status: int, sentence: str) -> None:
        """Answer, if nothing has been answered yet, and close the connection."""
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            body = orjson.dumps({"error": sentence})
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, _REASONS[status], len(body), body)
            )
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
