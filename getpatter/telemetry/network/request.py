"""HTTP/1.1 over one connection: what leaves is the bytes written here, whatever the host patches.

Tracing libraries wrap `requests`, `urllib3` and `http.client` to add headers of their own; none of
that is passed through, and nothing of the host's context is visible while a request is made. No
cookie, no credential, no redirect. Every answer ends, within the time and the bytes of its request.
`requests` says which proxy leads to an endpoint and which certificates to trust, as users expect.
"""

import os
import re
from contextvars import Context
from urllib.parse import urlsplit

from requests import PreparedRequest

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.network.doubles import is_network_replaced
from getpatter.telemetry.network.reply import HttpError, Reply, read_reply
from getpatter.telemetry.network.way import PORTS, find_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.telemetry.network.way import Way
    from getpatter.telemetry.network.wire import Wire

__all__ = ["FAILURES", "Http", "Reply", "WithdrawnError"]

# RFC 9110: what a field's value may hold; ours are ASCII.
_VALUE = re.compile("[ -~]*")

#: What a request raises when no usable answer came: the network's errors, names and URLs that
#: cannot be used, what the guards of test libraries raise (RuntimeError), and, in a program's last
#: moments, what can no longer be loaded.
FAILURES = (HttpError, OSError, ValueError, RuntimeError, ImportError)


class WithdrawnError(Exception):
    """Nothing may be sent any more: an opt-out came while the connection was made."""


class Http:
    """Requests to one URL, over a connection that is kept while it works.

    What the environment says of proxies and certificates is read for each new connection. Used by
    one thread at a time. A `fork` child opens a connection of its own.

    `may_send` is asked once more when a connection has been made, which can take seconds.
    """

    def __init__(self, url: str, may_send: "Callable[[], bool] | None" = None) -> None:
        self._may_send = may_send
        # Loads what a look-up of a name would load while it is under way, outside of the lock
        # that keeps forks from the middle of loading.
        "localhost".encode("idna")
        self._url = url
        self._target: tuple[str, str, int, str] | None = None
        self._way: Way | None = None
        self._wire: Wire | None = None
        self._process = os.getpid()

    def request(
        self, method: str, headers: "Mapping[str, str]", body: bytes, seconds: float
    ) -> Reply:
        """Send a request and return the answer. Raises one of `FAILURES` if there is none, and
        WithdrawnError where `may_send` says no, or a test has replaced the network.

        Beside `headers` the request has `Host`, `Accept-Encoding` and `Content-Length`.
        """
        # An empty context: no trace, no span and no baggage of the host is in it.
        return Context().run(self._request, method, headers, body, monotonic() + seconds)

    def close(self) -> None:
        """Close the connection; a later request opens another."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _request(
        self, method: str, headers: "Mapping[str, str]", body: bytes, until: float
    ) -> Reply:
        if is_network_replaced():
            raise WithdrawnError  # a test run is off
        before = self._wire
        way, wire = self._connected(until)
        if wire is not before and self._may_send is not None and not self._may_send():
            self.close()
            raise WithdrawnError
        head = self._head(method, headers, len(body), way)
        try:
            wire.send(head + body, until)
            reply, is_kept = read_reply(wire, until)
        except BaseException:
            self.close()
            raise
        if not is_kept:
            self.close()
        return reply

    def _connected(self, until: float) -> "tuple[Way, Wire]":
        if self._process != os.getpid():
            # The connection is the parent's: closing our copy of its descriptor says nothing.
            self._process = os.getpid()
            self.close()
        if self._wire is not None and not self._wire.is_quiet():
            self.close()
        if self._way is None or self._wire is None:
            scheme, host, port, _ = self._parsed()
            self._way = find_way(self._url, scheme, host, port)
            self._wire = self._way.open(until)
        return self._way, self._wire

    def _head(self, method: str, headers: "Mapping[str, str]", length: int, way: "Way") -> bytes:
        scheme, host, port, target = self._parsed()
        name = f"[{host}]" if ":" in host else host
        where = name if port == PORTS[scheme] else f"{name}:{port}"
        fields = {
            "Host": where,
            "Accept-Encoding": "identity",
            "Content-Length": str(length),
            **way.headers,
            **headers,
        }
        if any(_VALUE.fullmatch(value) is None for value in fields.values()):
            message = "a header must be printable ASCII"
            raise HttpError(message)
        path = f"http://{where}{target}" if way.is_forwarded else target
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def _parsed(self) -> tuple[str, str, int, str]:
        """Return scheme, host, port and target as they are sent."""
        if self._target is None:
            prepared = PreparedRequest()
            prepared.prepare_url(self._url, None)
            parts = urlsplit(str(prepared.url))
            host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
            self._target = parts.scheme, host, port, prepared.path_url
        return self._target
