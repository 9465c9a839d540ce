"""The answer to an HTTP/1.1 request, read within bounds. Knows no socket and no clock of its own.

Lenient where the status is still clear: an invalid header is skipped.
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.network.wire import Wire

__all__ = ["BODY_BYTES", "HttpError", "Reply", "read_reply"]

#: A longer body is not read to its end.
BODY_BYTES = 65_536
# Twice of that: for the head, and for answers that only announce one.
_BYTES = 131_072
# As many as `http.client` puts up with.
_MOST_HEADERS = 100
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?", re.DOTALL)
_NUMBER = re.compile("[0-9]{1,15}")
_NO_BODY = frozenset({204, 304})


class HttpError(Exception):
    """No usable answer: what came is not HTTP or does not end, or nothing may be sent."""


class Reply:
    """A status, headers by their names in lower case, and a body, empty if it is too long."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: "Mapping[str, str]", body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class _TooLongError(Exception):
    """The body has more than `BODY_BYTES`."""


def read_reply(wire: "Wire", until: float, *, is_tunnel: bool = False) -> tuple[Reply, bool]:
    """Read an answer; return it, and whether the connection can take another request.

    Raises OSError or HttpError where none comes. An answer that says no counts without its body.
    A proxy that opens a tunnel has no body: what follows is the other end's.
    """
    reader = _Reader(wire, until)
    while True:
        version, status = _read_status(reader)
        headers = _read_headers(reader)
        if status >= 200:
            break
        if status == 101:
            message = "the connection is no longer HTTP"
            raise HttpError(message)
    is_kept = version == 1 and "close" not in _tokens(headers.get("connection", ""))
    try:
        has_body = status not in _NO_BODY and not (is_tunnel and status < 300)
        body, is_whole = _read_body(reader, headers) if has_body else (b"", True)
    except _TooLongError:
        body, is_whole = b"", False
    except (OSError, HttpError):
        if 200 <= status < 300:
            raise  # what it says of the events is not known
        body, is_whole = b"", False
    return Reply(status, headers, body), is_kept and is_whole and reader.is_empty()


def _read_status(reader: "_Reader") -> tuple[int, int]:
    line = _STATUS.fullmatch(reader.line())
    if line is None:
        message = "not HTTP"
        raise HttpError(message)
    return int(line[1]), int(line[2])


def _read_headers(reader: "_Reader") -> dict[str, str]:
    headers: dict[str, str] = {}
    lines = 0
    while line := reader.line():
        lines += 1
        if lines > _MOST_HEADERS:
            message = "too many headers"
            raise HttpError(message)
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            key, said = name.lower(), value.strip()
            headers[key] = f"{headers[key]}, {said}" if key in headers else said
    return headers


def _read_body(reader: "_Reader", headers: "Mapping[str, str]") -> tuple[bytes, bool]:
    """Return the body, and whether its end was marked; otherwise the connection's end is."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length", "")
    if coding is not None and "chunked" in _tokens(coding):
        return _read_chunks(reader), True
    if coding is None and _NUMBER.fullmatch(length):
        if int(length) > BODY_BYTES:
            raise _TooLongError
        return reader.take(int(length)), True
    return reader.rest(), False


def _read_chunks(reader: "_Reader") -> bytes:
    body = b""
    while True:
        size = _CHUNK.fullmatch(reader.line())
        if size is None:
            message = "not a chunk"
            raise HttpError(message)
        count = int(size[1], 16)
        if count == 0:
            break
        if len(body) + count > BODY_BYTES:
            raise _TooLongError
        body += reader.take(count)
        if reader.line():
            message = "a chunk has no end"
            raise HttpError(message)
    _read_headers(reader)  # trailers, which say nothing to us
    return body


def _tokens(value: str) -> set[str]:
    return {token.strip() for token in value.lower().split(",")}


class _Reader:
    """What comes over a connection, by lines and by counts, within the bounds."""

    def __init__(self, wire: "Wire", until: float) -> None:
        self._wire = wire
        self._until = until
        self._buffer = bytearray()
        self._left = _BYTES

    def line(self) -> bytes:
        """Return the next line, without its end."""
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            self._need_more()
        line = self._cut(end + 1)
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    def take(self, count: int) -> bytes:
        """Return so many bytes."""
        while len(self._buffer) < count:
            self._need_more()
        return self._cut(count)

    def rest(self) -> bytes:
        """Return all up to the end of the connection."""
        while self._more():
            if len(self._buffer) > BODY_BYTES:
                raise _TooLongError
        return self._cut(len(self._buffer))

    def is_empty(self) -> bool:
        """Return whether nothing has come that was not asked for."""
        return not self._buffer

    def _cut(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _need_more(self) -> None:
        if not self._more():
            message = "the answer ended early"
            raise ConnectionError(message)

    def _more(self) -> bool:
        if self._left <= 0:
            message = "the answer does not end"
            raise HttpError(message)
        data = self._wire.receive(self._until)
        self._left -= len(data)
        self._buffer += data
        return bool(data)
