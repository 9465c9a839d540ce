"""The sink: one process that is the collector of every client in the benchmark.

Reads commands as JSON lines on standard input, answers each with one on standard output:

- `{"do": "open", "mode": M}` → `{"port": P}`: a port of its own for one run, TCP and UDP.
- `{"do": "mode", "port": P, "mode": M}` → `{}`: what happens to requests from now on.
- `{"do": "report", "port": P}` → what came; `{"do": "drop", "port": P}` → `{}`: forget it.

Modes: `fine`; `roomy` (fine, and every answer offers 512 events a request, as our own collector's
do); `slow` (answers after two seconds); `never` (reads and never answers); `closed`
(nothing listens); `alternate` (every second request is refused with 500, the second first);
`coin` (a request is refused with 500 with probability 1/2, by the same flips in every run);
`unavailable` (503 for the three seconds from the first request on). Speaks as much HTTP as the
clients need and says that it takes gzip. Bodies are kept as they come and read at `report`.
"""

import asyncio
import json
import random  # noqa: TID251 - a coin, no id
import sys
import threading
from collections import Counter

from bodies import read

_SLOW_SECONDS = 2.0
_UNAVAILABLE_SECONDS = 3.0
_SEED = 8
# What amplitude and mixpanel read; the others look at the status alone.
_BODIES = {
    200: b'{"code":200,"status":1}',
    500: b'{"code":500,"status":0,"error":"failed"}',
    503: b'{"code":503,"status":0,"error":"unavailable"}',
}
_REASONS = {200: b"OK", 500: b"Internal Server Error", 503: b"Service Unavailable"}


class Request:
    """One request with its body, and the status that it was answered with, if it was."""

    __slots__ = ("body", "encoding", "key", "status")

    def __init__(self, body: bytes, encoding: str, key: str) -> None:
        self.body = body
        self.encoding = encoding
        self.key = key
        self.status: int | None = None


class Door:
    """One port: its mode, its listener and what came through it. Owned by the event loop."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.port = 0
        self.requests: list[Request] = []
        self.datagrams = 0
        self._first: float | None = None
        self._coin = random.Random(_SEED)  # noqa: S311 - no secret
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self.open: set[asyncio.Transport] = set()

    async def listen(self) -> None:
        """Listen on the port, the same as before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self.port, reuse_address=True, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(self), ("127.0.0.1", self.port)
        )

    async def shut(self) -> None:
        """Listen no more and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        for transport in list(self.open):
            transport.abort()

    async def change(self, mode: str) -> None:
        """Go over to another mode."""
        self.mode = mode
        if mode == "closed":
            await self.shut()
        elif self._server is None:
            await self.listen()

    def status(self, now: float) -> int:
        """Return the status for a request that comes now."""
        self._first = now if self._first is None else self._first
        if self.mode == "alternate":
            return 200 if len(self.requests) % 2 else 500
        if self.mode == "coin":
            return 200 if self._coin.random() < 0.5 else 500
        if self.mode == "unavailable" and now < self._first + _UNAVAILABLE_SECONDS:
            return 503
        return 200

    def report(self) -> dict[str, object]:
        """Return what came, counted.

        `taken` counts events whose request was answered with 2xx, each key once; `distinct` and
        `twice` tell the calls among them that came, and that came again. `wire_twice` does without
        keys. `seen` counts the calls in bodies that were not answered.
        """
        taken: Counter[str] = Counter()
        wire: Counter[str] = Counter()
        seen: set[str] = set()
        keys: set[str] = set()
        events = 0
        sizes: list[tuple[int, int]] = []
        for request in self.requests:
            count, uids = read(request.body, request.encoding)
            sizes.append((len(request.body), count))
            if request.status is None:
                seen.update(uids)
            elif request.status == 200:
                wire.update(uids)
                if not request.key or request.key not in keys:
                    taken.update(uids)
                    events += count
                keys.add(request.key)
        return {
            "requests": len(self.requests),
            "events": events + self.datagrams,
            "distinct": len(taken),
            "uids": sorted(taken) if len(taken) <= 10 else [],
            "twice": sum(times - 1 for times in taken.values()),
            "wire_twice": sum(times - 1 for times in wire.values()),
            "seen": sorted(seen)[:10],
            "sizes": sizes,
        }


class Datagrams(asyncio.DatagramProtocol):
    """Counts statsd's lines."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        """Count one datagram, of as many counters as it has lines."""
        self._door.datagrams += data.count(b"\n") + 1


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, request after request."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._bytes = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._door.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the transport."""
        if self._transport is not None:
            self._door.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Take every request that is complete."""
        self._bytes += data
        while True:
            head, separator, rest = self._bytes.partition(b"\r\n\r\n")
            if not separator:
                return
            headers = _headers(head)
            if headers.get("expect", "").lower() == "100-continue" and not rest:
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            found = _body(rest, headers)
            if found is None:
                return
            body, self._bytes = found
            key = headers.get("idempotency-key", "")
            self._answer(Request(body, headers.get("content-encoding", ""), key), headers)

    def _answer(self, request: Request, headers: dict[str, str]) -> None:
        loop = asyncio.get_running_loop()
        door = self._door
        door.requests.append(request)
        if door.mode == "never":
            return
        status = door.status(loop.time())
        is_last = headers.get("connection", "").lower() == "close"
        if door.mode == "slow":
            loop.call_later(_SLOW_SECONDS, self._reply, request, status, is_last)
        else:
            self._reply(request, status, is_last)

    def _reply(self, request: Request, status: int, is_last: bool) -> None:  # noqa: FBT001
        # In slow mode the client may be gone: it has not been told, but the events are taken.
        request.status = status
        body = _BODIES[status]
        offer = b"Patter-Max-Events: 512\r\n" if self._door.mode == "roomy" else b""
        self._write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n"
            b"%bContent-Length: %d\r\n\r\n%b" % (status, _REASONS[status], offer, len(body), body)
        )
        if is_last and self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _body(rest: bytes, headers: dict[str, str]) -> tuple[bytes, bytes] | None:
    """Return a request's body and what follows it; None while it is not all there."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = int(headers.get("content-length", "0"))
        return (rest[:length], rest[length:]) if len(rest) >= length else None
    body = b""
    while True:
        size, separator, after = rest.partition(b"\r\n")
        if not separator:
            return None
        length = int(size.partition(b";")[0], 16)
        if len(after) < length + 2:
            return None
        body, rest = body + after[:length], after[length + 2 :]
        if length == 0:
            return body, rest


async def command(doors: dict[int, Door], said: dict[str, object]) -> dict[str, object]:
    """Carry out one command."""
    mode = str(said.get("mode", ""))
    if said["do"] == "open":
        door = Door(mode)
        await door.listen()
        await door.change(mode)
        doors[door.port] = door
        return {"port": door.port}
    port = said["port"]
    door = doors[port if isinstance(port, int) else 0]
    if said["do"] == "report":
        return door.report()
    if said["do"] == "mode":
        await door.change(mode)
    else:
        await door.shut()
        del doors[door.port]
    return {}


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    doors: dict[int, Door] = {}
    lines: asyncio.Queue[str] = asyncio.Queue()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=listen, daemon=True).start()
    while line := await lines.get():
        print(json.dumps(await command(doors, json.loads(line))), flush=True)
    for door in doors.values():
        await door.shut()


if __name__ == "__main__":
    asyncio.run(serve())
