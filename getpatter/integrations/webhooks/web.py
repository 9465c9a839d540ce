"""Webhooks behind a web server: thin ASGI and WSGI applications. Imports no framework.

Each answers 204 to a request that was signed, 413 to one that is too large, and 403 to
everything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from getpatter.integrations.webhooks.request import LARGEST_BODY, TOO_LARGE

if TYPE_CHECKING:
    from getpatter.integrations.webhooks.request import Headers, Verified

    #: Takes a request (method, URL, headers, body); returns the status of the answer.
    Answer = Callable[[str, str, Headers, bytes], int]

__all__ = ["AsgiApp", "WsgiApp", "asgi", "status_of", "wsgi"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
AsgiApp = Callable[[_Message, _Receive, _Send], Awaitable[None]]
_StartResponse = Callable[[str, list[tuple[str, str]]], object]
WsgiApp = Callable[[dict[str, Any], _StartResponse], Iterable[bytes]]

_NO_BODY = [("Content-Type", "text/plain"), ("Content-Length", "0")]
_REASONS = {204: "No Content", 403: "Forbidden", 413: "Content Too Large"}


def status_of(checked: Verified) -> int:
    """Return the status that answers a request."""
    if checked:
        return 204
    return 413 if checked.refusal == TOO_LARGE else 403


def asgi(answer: Answer) -> AsgiApp:
    """Return an ASGI application."""

    async def application(scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            body = await _body(receive)
            if body is not None:
                headers = scope.get("headers", ())
                status = answer(scope["method"], _asgi_url(scope), headers, body)
                await send({"type": "http.response.start", "status": status, "headers": []})
                await send({"type": "http.response.body", "body": b""})

    return application


async def _body(receive: _Receive) -> bytes | None:
    """Return the body, no more than a byte too long; None if the client went away."""
    body = b""
    is_more = True
    while is_more and len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        is_more = message.get("more_body", False)
    return body


async def _live(receive: _Receive, send: _Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def _asgi_url(scope: _Message) -> str:
    """Return the URL as it was asked for: the bytes of the path, and not what was made of them."""
    host = b""
    for name, value in scope.get("headers", ()):
        if name.lower() == b"host":
            host = value
    raw = scope.get("raw_path")
    path = quote(scope.get("path", "")) if raw is None else raw.decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return _url(scope.get("scheme", "http"), host.decode("latin-1"), path, query)


def wsgi(answer: Answer) -> WsgiApp:
    """Return a WSGI application."""

    def application(environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        headers = [
            (name[5:].replace("_", "-"), value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        headers.append(("content-type", environ.get("CONTENT_TYPE", "")))
        method, url = environ.get("REQUEST_METHOD", ""), _wsgi_url(environ)
        status = answer(method, url, headers, _wsgi_body(environ))
        start_response(f"{status} {_REASONS[status]}", [] if status == 204 else _NO_BODY)
        return []

    return application


def _wsgi_url(environ: dict[str, Any]) -> str:
    # Most servers keep the target of the request; what WSGI itself has is decoded.
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        path, _, query = raw.partition("?")
    else:
        decoded = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path, query = quote(decoded.encode("latin-1")), environ.get("QUERY_STRING", "")
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    return _url(environ.get("wsgi.url_scheme", "http"), host, path, query)


def _wsgi_body(environ: dict[str, Any]) -> bytes:
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length.isdecimal():
        wanted = min(int(length), LARGEST_BODY + 1)
    else:
        # Without a length a server that marks the end itself may be read to it, others never end.
        wanted = LARGEST_BODY + 1 if environ.get("wsgi.input_terminated") else 0
    body = b""
    while len(body) < wanted and (piece := environ["wsgi.input"].read(wanted - len(body))):
        body += piece
    return body


def _url(scheme: str, host: str, path: str, query: str) -> str:
    return f"{scheme}://{host}{path}{f'?{query}' if query else ''}"
