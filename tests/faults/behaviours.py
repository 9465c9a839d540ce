"""Ways in which a collector misbehaves on a connection, and what becomes of the batch.

The relay's own answers say nothing about a batch that the receiver never saw; where a 2xx is
answered, the receiver was asked first, so that a batch is only said to be taken if it was.
"""

import itertools
from collections.abc import Callable, Iterable

from relay import Connection

Behaviour = Callable[[Connection], object]

GARBAGE = bytes(range(256)) * 16
# More than any answer of a collector.
GIGABYTE = 1_073_741_824
CHUNK = b"0" * 65_536
LONG_LINE = CHUNK + b"\r\n"


# before a request was read


def reset_at_once(connection: Connection) -> None:
    """What a collector does whose process has just died."""
    connection.reset()


def end_at_once(connection: Connection) -> None:
    """A load balancer without anybody behind it."""
    connection.client.close()


def hang_unread(connection: Connection) -> None:
    """It took the connection, and nothing else."""
    connection.hang()


def reset_after_head(connection: Connection) -> None:
    connection.read_head()
    connection.reset()


def hang_after_head(connection: Connection) -> None:
    connection.read_head()
    connection.hang()


# instead of an answer


def hang_after_body(connection: Connection) -> None:
    connection.read_request()
    connection.hang()


def end_after_body(connection: Connection) -> None:
    connection.read_request()


def saying(answer: bytes) -> Behaviour:
    """Read the request, say these bytes, end."""

    def say(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer)

    return say


def saying_and_hanging(answer: bytes) -> Behaviour:
    """Read the request, say these bytes, and nothing more."""

    def say(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer)
        connection.hang()

    return say


def dripping(answer: bytes) -> Behaviour:
    """A byte a second: each read succeeds."""

    def drip(connection: Connection) -> None:
        connection.read_request()
        for byte in itertools.cycle(answer):
            connection.send(bytes([byte]))
            if connection.hang(1.0):
                return

    return drip


def flooding(head: bytes, more: bytes) -> Behaviour:
    """As much as the client takes, up to a gigabyte."""

    def flood(connection: Connection) -> None:
        connection.read_request()
        connection.send(head)
        for _ in range(GIGABYTE // len(more)):
            connection.send(more)

    return flood


# after the batch was taken


def lost_answer(connection: Connection) -> None:
    connection.ask(connection.read_request())
    connection.reset()


def taken(connection: Connection) -> bool:
    """Let the receiver take the batch; whether there was one."""
    request = connection.read_request()
    return bool(request and connection.ask(request))


def taking_and_saying(answer: bytes, *, hang: bool = False) -> Behaviour:
    """Take the batch and say these bytes about it."""

    def take(connection: Connection) -> None:
        while taken(connection):
            connection.send(answer)
            if hang:
                connection.hang()

    return take


def taking_and_flooding(connection: Connection) -> None:
    taken(connection)
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
    for _ in range(GIGABYTE // len(CHUNK)):
        connection.send(CHUNK)


def taking_and_dripping(connection: Connection) -> None:
    taken(connection)
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not connection.hang(1.0):
        connection.send(b" ")


def _answer(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} So", "Content-Length: 0", *headers, "", ""]
    return "\r\n".join(lines).encode()


def status(code: int, *headers: str) -> Behaviour:
    """An orderly answer to every request, on a connection that stays open."""

    def say(connection: Connection) -> None:
        while connection.read_request():
            connection.send(_answer(code, *headers))

    return say


def status_once(code: int, *headers: str) -> Behaviour:
    """An orderly answer to one request, and the end of the connection."""
    return saying(_answer(code, "Connection: close", *headers))


def _named(behaviours: Iterable[Behaviour]) -> dict[str, Behaviour]:
    return {getattr(behaviour, "__name__", ""): behaviour for behaviour in behaviours}


#: After these the batch is sent again, and arrives.
AGAIN: dict[str, Behaviour] = {
    **_named(
        [
            *(reset_at_once, end_at_once, hang_unread, reset_after_head, hang_after_head),
            *(hang_after_body, end_after_body, lost_answer),
        ]
    ),
    "hang in the status line": saying_and_hanging(b"HTTP/1.1 20"),
    "hang in the head": saying_and_hanging(b"HTTP/1.1 503 So\r\nRetry-Af"),
    "end in the head": saying(b"HTTP/1.1 503 So\r\nRetry-Af"),
    "hang in the body": saying_and_hanging(b"HTTP/1.1 503 So\r\nContent-Length: 9\r\n\r\n{"),
    "drip in the status line": dripping(b"HTTP/1.1 200 "),
    "drip in the head": dripping(b"HTTP/1.1 503 So\r\n" + b"X-Header: x\r\n" * 100),
    "garbage": saying(GARBAGE),
    "garbage that ends a line": saying(b"\x00\xff\r\n\r\n" + GARBAGE),
    "another protocol": saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a version of HTTP from the future": saying(b"HTTP/9.9 200 OK\r\n\r\n"),
    "a status that is none": saying(b"HTTP/1.1 twohundred OK\r\n\r\n"),
    "a status line without an end": flooding(b"HTTP/1.1 503 ", CHUNK),
    "headers without an end": flooding(b"HTTP/1.1 503 So\r\n", b"X-Header: " + b"x" * 90 + b"\r\n"),
    "a header without an end": flooding(b"HTTP/1.1 503 So\r\nX: ", CHUNK),
    "continue, for ever": flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an error of a gigabyte": flooding(
        b"HTTP/1.1 503 So\r\nContent-Length: %d\r\n\r\n" % GIGABYTE, CHUNK
    ),
    "408": status_once(408),
    "429": status_once(429, "Retry-After: 1"),
    "500": status_once(500),
    "503": status_once(503, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "599": status_once(599),
}

#: With these the batch was taken: it is not lost, and sent again at most under its key.
TAKEN: dict[str, Behaviour] = {
    **_named([taking_and_flooding, taking_and_dripping]),
    "says nothing": taking_and_saying(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "garbage in the body": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + GARBAGE
    ),
    "refuses what was never sent": taking_and_saying(
        b'HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{"refused":[{"index":987654321}]}'[:32]
    ),
    "deeply nested": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000
    ),
    "claims more than it says, and hangs": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", hang=True
    ),
    "claims less than it says": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + GARBAGE
    ),
    "claims a negative length": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}", hang=True
    ),
    "claims a length that is no number": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}", hang=True
    ),
    "claims two lengths": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}", hang=True
    ),
    "chunks that are none": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n{}\r\n", hang=True
    ),
    "chunks without an end": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", hang=True
    ),
    "compressed, it claims": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "a header that is none": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nnot a header\r\n\x00: \xff\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "a cookie": taking_and_saying(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Domain=.example.com\r\nContent-Length: 2\r\n\r\n{}"
    ),
}

#: With these the collector refuses for good: it is left alone, and a later start asks again.
CLOSED: dict[str, Behaviour] = {str(code): status(code) for code in (401, 403, 404, 410, 300, 304)}

#: With these it refuses a batch, once: that one is given up and counted, or sent in parts.
REFUSED: dict[str, Behaviour] = {str(code): status_once(code) for code in (400, 413, 418, 422)}
