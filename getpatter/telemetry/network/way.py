"""The way to a host: directly, or through the proxy that the environment names; and its TLS.

What `requests` reads of the environment counts here as it does there, but that nothing goes
through a proxy to this machine. Credentials of a proxy are sent to that proxy only.
"""

import os
import socket
import ssl
from base64 import b64encode
from urllib.parse import SplitResult, urlsplit

from requests.utils import (
    DEFAULT_CA_BUNDLE_PATH,
    extract_zipped_paths,
    get_auth_from_url,
    get_environ_proxies,
    prepend_scheme_if_needed,
    select_proxy,
)

from getpatter.telemetry.network.loopback import is_loopback_host
from getpatter.telemetry.network.reply import HttpError, read_reply
from getpatter.telemetry.network.wire import Plain, Tls, above_standard_streams, connect, left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.network.wire import Wire

__all__ = ["PORTS", "Way", "find_way"]

PORTS = {"http": 80, "https": 443}


def find_way(url: str, scheme: str, host: str, port: int) -> "Way":
    """Return the way to the host of `url`, as the environment is now."""
    proxy = None if is_loopback_host(host) else select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(str(prepend_scheme_if_needed(proxy, "http"))) if proxy else None  # type: ignore[no-untyped-call]
    return Way(host, port, _context() if scheme == "https" else None, parts)


def _context() -> ssl.SSLContext:
    """Return what judges certificates: of those that the environment names, or of `requests`'.

    Nothing is set that is so by itself: where gevent has replaced `ssl` after it was loaded, most
    of its properties recur without end.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    environ = os.environ  # noqa: TID251 - where `requests` looks
    named = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    bundle = str(extract_zipped_paths(named or DEFAULT_CA_BUNDLE_PATH))  # type: ignore[no-untyped-call]
    is_folder = os.path.isdir(bundle)
    context.load_verify_locations(None if is_folder else bundle, bundle if is_folder else None)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Way:
    """How to connect. `is_forwarded`: the proxy reads the request and passes it on, which then
    names the whole URL and has `headers` for the proxy.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, proxy: SplitResult | None
    ) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._proxy = proxy
        is_read = proxy is not None and proxy.scheme in PORTS
        self.is_forwarded = is_read and context is None
        self.headers: Mapping[str, str] = {}
        if proxy is not None and self.is_forwarded:
            self.headers = _credentials(proxy)

    def open(self, until: float) -> "Wire":
        """Connect."""
        wire = self._open(until)
        if self._context is None:
            return wire
        return Tls(wire, self._context, self._host, until)

    def _open(self, until: float) -> "Wire":
        proxy = self._proxy
        if proxy is None:
            return _connect(self._host, self._port, until)
        if proxy.scheme.startswith("socks"):
            return _through_socks(proxy, self._host, self._port, until)
        port = proxy.port or PORTS[proxy.scheme]
        wire: Wire = _connect(proxy.hostname or "", port, until)
        if proxy.scheme == "https":
            wire = Tls(wire, _context(), proxy.hostname or "", until)
        if not self.is_forwarded:
            try:
                self._tunnel(wire, proxy, until)
            except BaseException:
                wire.close()
                raise
        return wire

    def _tunnel(self, wire: "Wire", proxy: SplitResult, until: float) -> None:
        name = f"[{self._host}]" if ":" in self._host else self._host
        where = f"{name}:{self._port}"
        fields = {"Host": where, **_credentials(proxy)}
        lines = [f"CONNECT {where} HTTP/1.1", *(f"{key}: {fields[key]}" for key in fields)]
        wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"), until)
        reply, _ = read_reply(wire, until, is_tunnel=True)
        if not 200 <= reply.status < 300:
            message = "the proxy does not lead there"
            raise HttpError(message)


def _connect(host: str, port: int, until: float) -> Plain:
    return connect(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), until)


def _credentials(proxy: SplitResult) -> dict[str, str]:
    user, password = get_auth_from_url(proxy.geturl())
    if not user:
        return {}
    said = b64encode(f"{user}:{password}".encode("latin-1", "replace")).decode("ascii")
    return {"Proxy-Authorization": f"Basic {said}"}


def _through_socks(proxy: SplitResult, host: str, port: int, until: float) -> Plain:
    """Connect with PySocks, as `requests` does, if it is installed."""
    import socks

    user, password = get_auth_from_url(proxy.geturl())
    made = socks.create_connection(
        (host, port),
        timeout=left(until),  # type: ignore[arg-type] # a float is what a socket takes
        proxy_type=socks.SOCKS5 if proxy.scheme.startswith("socks5") else socks.SOCKS4,
        proxy_addr=proxy.hostname,
        proxy_port=proxy.port or 1080,
        proxy_rdns=proxy.scheme in {"socks5h", "socks4a"},
        proxy_username=user or None,
        proxy_password=password or None,
    )
    own = above_standard_streams(socket.socket(fileno=made.detach()))
    own.settimeout(0)
    return Plain(own)
