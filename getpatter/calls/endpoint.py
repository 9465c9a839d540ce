"""An endpoint to probe: what the host named, read into host, port and the steps to take.

Does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["SCHEMES", "Endpoint", "read"]

#: Scheme → its port, and whether it is encrypted.
SCHEMES = {"http": (80, False), "https": (443, True), "ws": (80, False), "wss": (443, True)}
_PORTS = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to. Without a `scheme` nothing is known but that there is a port."""

    name: str
    host: str
    port: int
    scheme: str = ""
    #: What is asked for, with the query; only with a scheme.
    target: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        """What can be measured of it, in order."""
        if not self.scheme:
            return ("dns", "connect")
        tls = ("tls",) if SCHEMES[self.scheme][1] else ()
        return ("dns", "connect", *tls, "first_byte")

    def request(self) -> bytes:
        """Return the request that its first byte answers: of a page, or to open a WebSocket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        own_port = SCHEMES[self.scheme][0]
        lines = [
            f"GET {self.target} HTTP/1.1",
            f"Host: {host}" if self.port == own_port else f"Host: {host}:{self.port}",
            "User-Agent: getpatter",
            "Accept: */*",
        ]
        if self.scheme.startswith("ws"):
            # The key of RFC 6455, section 1.3: no answer is checked against it.
            lines += [
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ]
        else:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def read(named: str | tuple[str, int]) -> Endpoint:
    """Read `host:port`, `[address]:port`, (host, port), or a URL of HTTP(S) or WS(S).

    Raises ValueError for anything else, and never repeats credentials of a URL.
    """
    if isinstance(named, tuple):
        return _read_pair(*named)
    if not isinstance(named, str):
        message = f"an endpoint is a host and a port, or a URL, not {type(named).__name__}"  # type: ignore[unreachable] # who has no type checker finds out here
        raise ValueError(message)  # noqa: TRY004 - one kind of error for one kind of mistake
    has_scheme = "://" in named
    parts = urlsplit(named if has_scheme else f"//{named}")
    scheme = parts.scheme.lower()
    if has_scheme and scheme not in SCHEMES:
        message = f"an endpoint's URL begins with {', '.join(SCHEMES)}, not {scheme!r:.20}"
        raise ValueError(message)
    host, port = parts.hostname or "", parts.port
    if not has_scheme:
        if port is None or parts.path or parts.query or parts.username:
            message = "an endpoint without a scheme is a host and a port: host:port"
            raise ValueError(message)
        return _checked(named, host, port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    port = SCHEMES[scheme][0] if port is None else port
    return _checked(shown, host, port, scheme, target)


def _read_pair(host: object, port: object) -> Endpoint:
    if not isinstance(host, str) or not isinstance(port, int):
        message = "an endpoint is a host and a port, or a URL"
        raise ValueError(message)  # noqa: TRY004 - as above
    return _checked(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", host, port)


def _checked(name: str, host: str, port: int, scheme: str = "", target: str = "") -> Endpoint:
    if not host or port not in _PORTS:
        message = f"an endpoint needs a host and a port of 1 to 65535: {name!r:.80}"
        raise ValueError(message)
    text = host + target
    if not target.isascii() or any(character <= " " or character == "\x7f" for character in text):
        message = f"an endpoint is plain text without spaces: {name!r:.80}"
        raise ValueError(message)
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        message = f"an endpoint's host is no name: {name!r:.80}"
        raise ValueError(message) from error
    return Endpoint(name, ascii_host, port, scheme, target)
