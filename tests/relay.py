"""A collector that can misbehave: a relay in front of a `Receiver`, on raw sockets.

Each new connection gets the next behaviour of the script; without one it is relayed. A behaviour
is a function of the connection; it may hang, the end of the relay ends it. The receiver behind it
judges and counts as always, and keeps keys.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

from getpatter.telemetry.testing import Receiver

Behaviour = Callable[["Connection"], object]


class Connection:
    """A connection of a client, and what may be done to it."""

    def __init__(self, client: socket.socket, relay: "Relay") -> None:
        self.client = client
        self.relay = relay
        self.over = threading.Event()

    def read_head(self) -> bytes:
        """Return the request up to its empty line; less if the client goes away."""
        head = b""
        while b"\r\n\r\n" not in head and (data := self.client.recv(1)):
            head += data
        return head

    def read_request(self) -> bytes:
        """Return a request, head and body; empty if the client goes away."""
        head = self.read_head()
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = b""
        while len(body) < length and (data := self.client.recv(length - len(body))):
            body += data
        return head + body if len(body) == length else b""

    def ask(self, request: bytes) -> bytes:
        """Let the receiver have a request; return its answer. The batch is taken then."""
        with socket.create_connection(self.relay.behind) as there:
            there.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            there.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: there.recv(65_536), b""))

    def send(self, data: bytes) -> None:
        """Send to the client."""
        self.client.sendall(data)

    def hang(self, seconds: float | None = None) -> bool:
        """Do nothing for so long, or for ever; return whether all is over."""
        return self.over.wait(seconds)

    def reset(self) -> None:
        """End the connection with a reset, not with an end."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    def pass_on(self) -> None:
        """Relay, in both directions, until one side ends."""
        with socket.create_connection(self.relay.behind) as there:
            back = threading.Thread(target=_copy, args=(there, self.client), daemon=True)
            back.start()
            _copy(self.client, there)
            back.join()

    def end(self) -> None:
        """End it, and what hangs in it."""
        self.over.set()
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Relay:
    """Listens on a port of its own for as long as it is not told to be away."""

    def __init__(self, receiver: Receiver) -> None:
        parts = urlsplit(receiver.endpoint)
        self.behind = ("127.0.0.1", int(parts.port or 0))
        self.connected = 0
        self._changed = threading.Condition()  # guards all below, and `connected`
        self._script: list[Behaviour] = []
        self._always: Behaviour = Connection.pass_on
        self._open: list[Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._address = self._listener.getsockname()
        self._accept()
        host, port = self._address
        self.endpoint = urlunsplit(parts._replace(netloc=f"{host}:{port}"))

    def script(self, *behaviours: Behaviour) -> None:
        """Say what the next connections get."""
        with self._changed:
            self._script += behaviours

    def always(self, behaviour: Behaviour = Connection.pass_on) -> None:
        """Say what every connection gets that no script is for."""
        with self._changed:
            self._always = behaviour

    def wait_for_connections(self, count: int, timeout: float = 60.0) -> None:
        """Wait until so many were accepted."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.connected >= count, timeout)

    def cut(self) -> None:
        """End all open connections."""
        with self._changed:
            connections, self._open = self._open, []
        for connection in connections:
            connection.end()

    def go(self) -> None:
        """Go away: connections end, and new ones are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        # Nobody else has the port meanwhile: it is taken, and nothing listens.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._address)
        self.cut()

    def close(self) -> None:
        """Let others have the port, once it is gone."""
        self._listener.close()

    def come(self) -> None:
        """Come back, on the same port."""
        self._listener.listen(64)
        self._accept()

    def _accept(self) -> None:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(client, self)
            with self._changed:
                behaviour = self._script.pop(0) if self._script else self._always
                self._open.append(connection)
                self.connected += 1
                self._changed.notify_all()
            arguments = (connection, behaviour)
            threading.Thread(target=self._handle, args=arguments, daemon=True).start()

    def _handle(self, connection: Connection, behaviour: Behaviour) -> None:
        with connection.client, contextlib.suppress(OSError):
            behaviour(connection)


@contextlib.contextmanager
def relaying(receiver: Receiver) -> Iterator[Relay]:
    """A relay that ends with the block."""
    relay = Relay(receiver)
    try:
        yield relay
    finally:
        relay.go()
        relay.close()
