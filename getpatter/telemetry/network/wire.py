"""Bytes over the network: a socket, perhaps with TLS over it, and a deadline for every wait.

Sockets never block, so that between a wait and the read that follows it is asked whether the
descriptor is still ours: the host may have closed it, and opened something of its own there. What
is no longer ours is dropped without being touched. TLS runs over memory, so no other object holds
a descriptor.
"""

import select
import socket
import ssl
from contextlib import suppress
from functools import partial
from math import ceil

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry._descriptors import above_standard, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol, TypeVar

    T = TypeVar("T")

    class Wire(Protocol):
        """A connection. Every wait ends with TimeoutError when the clock has reached `until`."""

        def send(self, data: bytes, until: float) -> None: ...
        def receive(self, until: float) -> bytes: ...
        def is_quiet(self) -> bool: ...
        def close(self) -> None: ...


__all__ = ["Plain", "Tls", "above_standard_streams", "connect", "left"]

_BYTES = 65_536
# A peer that has gone away is an error, and no signal that ends a host which does not ignore it.
try:
    _NO_SIGNAL = int(socket.MSG_NOSIGNAL)
except AttributeError:  # Windows has no such signal; macOS ignores it as Python has it
    _NO_SIGNAL = 0
_READABLE, _WRITABLE = 1, 4  # POLLIN and POLLOUT, which eventlet takes away with `poll`


def left(until: float) -> float:
    """Return the seconds until then; raises TimeoutError if there are none."""
    seconds = until - monotonic()
    if seconds <= 0:
        message = "time was up"
        raise TimeoutError(message)
    return seconds


def _wait(connection: socket.socket, event: int, until: float) -> None:
    seconds = left(until)
    poll = getattr(select, "poll", None)
    if poll is not None:
        waiting = poll()
        waiting.register(connection, event)
        is_ready = bool(waiting.poll(ceil(seconds * 1000)))
    else:
        reads, writes = ([connection], []) if event == _READABLE else ([], [connection])
        is_ready = any(select.select(reads, writes, [], seconds))
    if not is_ready:
        message = "time was up"
        raise TimeoutError(message)


def above_standard_streams(made: socket.socket) -> socket.socket:
    """Return the socket, or the same under a descriptor above 2."""
    number = made.fileno()
    higher = above_standard(number)
    if higher == number:
        return made
    made.detach()
    return socket.socket(fileno=higher)


class Plain:
    """A TCP connection: what was connected through `connect`, and whose descriptor it is."""

    def __init__(self, made: socket.socket) -> None:
        self._socket: socket.socket | None = made
        self._identity = identity(made.fileno())

    @classmethod
    def connect(
        cls, family: int, kind: int, protocol: int, address: "tuple[Any, ...]", until: float
    ) -> "Plain":
        """Connect to one address."""
        made = cls(above_standard_streams(socket.socket(family, kind, protocol)))
        try:
            # With a limit and not at once: who replaces `connect`, to keep tests from the network
            # or for a green thread, must be asked.
            own = made._own()
            own.settimeout(left(until))
            own.connect(address)
            own = made._own()
            own.settimeout(0)
            # What is written is all of a request; waiting for more to come would only delay it.
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            made.close()
            raise
        except Exception as error:  # of what stands there in place of a socket
            made.close()
            message = "a connection is not allowed"
            raise ConnectionError(message) from error
        return made

    def send(self, data: bytes, until: float) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            own = self._own()
            try:
                rest = rest[own.send(rest, _NO_SIGNAL) :]
            except BlockingIOError:
                _wait(own, _WRITABLE, until)

    def receive(self, until: float) -> bytes:
        """Return what has come, at least one byte; none at the end of the connection."""
        while True:
            own = self._own()
            try:
                return own.recv(_BYTES)
            except BlockingIOError:
                _wait(own, _READABLE, until)

    def is_quiet(self) -> bool:
        """Return whether the connection stands, and nothing has come that nobody asked for."""
        try:
            self._own().recv(1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close the connection, if the descriptor is ours; else only forget it."""
        made, self._socket = self._socket, None
        if made is None:
            return
        if identity(made.fileno()) == self._identity:
            made.close()
        else:
            made.detach()

    def __del__(self) -> None:
        # Before the socket's own finaliser, which would close whatever has that number by now.
        with suppress(Exception):  # the interpreter may have taken the modules away
            self.close()

    def _own(self) -> socket.socket:
        made = self._socket
        if made is None or identity(made.fileno()) != self._identity:
            self.close()
            message = "the connection is closed"
            raise ConnectionError(message)
        return made


class Tls:
    """TLS over another connection."""

    def __init__(self, below: "Wire", context: ssl.SSLContext, host: str, until: float) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._object = context.wrap_bio(self._in, self._out, server_hostname=host)
            self._pump(self._object.do_handshake, until)
        except BaseException:
            self.close()
            raise

    def send(self, data: bytes, until: float) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._pump(partial(self._object.write, rest), until) :]

    def receive(self, until: float) -> bytes:
        """Return what has come; none at the end, also at an end without a TLS alert."""
        try:
            return self._pump(partial(self._object.read, _BYTES), until)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def is_quiet(self) -> bool:
        """Return whether the connection stands, and nothing has come that nobody asked for."""
        return self._in.pending == 0 and self._below.is_quiet()

    def close(self) -> None:
        """Close the connection below."""
        self._below.close()

    def _pump(self, step: "Callable[[], T]", until: float) -> "T":
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush(until)
                data = self._below.receive(until)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                self._flush(until)
                return result

    def _flush(self, until: float) -> None:
        if self._out.pending:
            self._below.send(self._out.read(), until)


def connect(found: "Sequence[Any]", until: float) -> Plain:
    """Connect to the first address of `getaddrinfo` that answers; each has its share of the time
    that is left.
    """
    failure: OSError = OSError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(found):
        share = monotonic() + left(until) / (len(found) - index)
        try:
            return Plain.connect(family, kind, protocol, address, share)
        except OSError as error:
            failure = error
    raise failure
