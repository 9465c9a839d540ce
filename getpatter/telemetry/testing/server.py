"""The HTTP side of `testing.Receiver`: listens, reads what arrives, sends the given answer.

It decides nothing about events. Whatever a client does, the server goes on.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import (
    AF_INET,
    SHUT_RDWR,
    SHUT_WR,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    close,
    socket,
)
from typing import TYPE_CHECKING, Any

from getpatter.telemetry.network.wire import above_standard_streams
from getpatter.telemetry.testing.exchange import MAX_BODY, Answer, Request, RequestError, encode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Server"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as with a real collector
    timeout = 60  # a connection that says nothing for so long is ended
    disable_nagle_algorithm = True  # or a body waits 40 ms for the head's acknowledgement
    server: Server

    def _serve(self) -> None:
        body, problem = b"", None
        try:
            body = self._read_body()
        except RequestError as error:
            problem = error
            self.close_connection = True  # the body is unread: what follows is no request
        request = Request(self.command, self.path, self.headers, body, status=0)
        try:
            answer = self.server.respond(request, problem)
        except Exception as error:  # a scripted function's; a thread cannot raise
            answer = Answer(500, body=encode({"error": type(error).__name__}))
        if self.server.ending.wait(answer.delay) or answer.close:
            self.close_connection = True
            return
        self._send(answer)
        if problem:
            self._linger()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _read_body(self) -> bytes:
        length = self.headers["Content-Length"]
        if "Transfer-Encoding" in self.headers or (length is None and self.command == "POST"):
            raise RequestError(411, "no Content-Length")
        if not re.fullmatch("[0-9]{1,18}", length or "0"):
            raise RequestError(400, "Content-Length is no number")
        size = int(length or 0)
        if size > MAX_BODY:
            raise RequestError(413, f"more than {MAX_BODY} bytes")
        return self.rfile.read(size)

    def _send(self, answer: Answer) -> None:
        body = answer.body or b""
        usual = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        if self.server.max_events is not None:
            usual["Patter-Max-Events"] = str(self.server.max_events)
        self.send_response(answer.status)
        for name, value in (usual | dict(answer.headers)).items():
            self.send_header(name, value)
        if answer.status not in {204, 304}:  # these have no body
            self.send_header("Content-Length", str(len(body)))
        else:
            body = b""
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _linger(self) -> None:
        """Take what the client still sends: closing on unread data would take back the answer."""
        self.connection.shutdown(SHUT_WR)
        self.connection.settimeout(1)
        left = 8 * MAX_BODY
        while left > 0 and (data := self.connection.recv(65_536)):
            left -= len(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


# The ports of the servers that ended last, each taken by a socket that does not listen; as
# descriptors, because nobody closes them before the process ends.
_taken: deque[int] = deque()


def _most_taken() -> int:
    """Return an eighth of the descriptors that this process may have, 512 at most."""
    try:
        import resource
    except ImportError:  # Windows
        return 512
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 512 if limit == resource.RLIM_INFINITY else min(512, limit // 8)


def _keep_taken(port: int) -> None:
    """Let no later server have this port: a client of an earlier test may try it for a while."""
    with suppress(OSError), socket(AF_INET, SOCK_STREAM) as taken:
        taken.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        _taken.append(above_standard_streams(taken).detach())
    while len(_taken) > _most_taken():
        close(_taken.popleft())


class Server(ThreadingHTTPServer):
    """Hands each request to `respond` and sends what that answers."""

    request_queue_size = 64  # many processes may send at once

    def __init__(
        self, respond: Callable[[Request, RequestError | None], Answer], max_events: int | None
    ) -> None:
        self.respond = respond
        self.max_events = max_events  # what the answers say; None: nothing
        self.ending = threading.Event()
        self._connections: set[socket] = set()  # each operation on it is atomic
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Bind without the base class's question to the name service who 127.0.0.1 is."""
        self.socket = above_standard_streams(self.socket)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket, Any]:
        """Accept a connection, which is none of the standard streams either."""
        connection, address = super().get_request()
        return above_standard_streams(connection), address

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - base
        """Remember the connection, to end it when the server ends."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base class
        """Forget the connection, which has ended."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that went away is no error of the test."""

    def end(self) -> None:
        """Stop accepting, and wake every thread that waits for its client."""
        self.ending.set()
        self.shutdown()
        self.server_close()
        _keep_taken(self.server_port)
        for connection in self._connections.copy():
            with suppress(OSError):  # it may have ended by itself
                connection.shutdown(SHUT_RDWR)
