"""Transport: one batch to the collector and its answer back, over HTTP. The only network code.

Sends what the contract names and nothing else: no cookies, no credentials, no referrer; redirects
are not followed. Whatever goes wrong is an answer, not an exception. Owned by the worker.
"""

import ipaddress
import json
import sys
import time
from urllib.parse import urlsplit, urlunsplit

from getpatter.telemetry import _dependency, _stderr, schema
from getpatter.telemetry._turns import short_turns
from getpatter.telemetry.delivery import Answer, Batch, retry_after
from getpatter.telemetry.events import encode
from getpatter.telemetry.losses import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    import requests

    from getpatter.telemetry._bounded import BoundedAdapter
    from getpatter.telemetry.delivery import Event

__all__ = [
    "SECONDS",
    "HttpTransport",
    "StderrTransport",
    "erase",
    "is_loopback",
    "origin",
    "shown",
    "usable_endpoint",
]

#: What one request may take to connect, and then for each thing that is waited for.
SECONDS = 3.0
# An answer is a few numbers; the rest of a longer one is not read.
_ANSWER_BYTES = 65_536
# What urlsplit lets pass as part of a host, and no host name has.
_NOT_IN_A_HOST = frozenset(' \\"<>^`{|}')
# Where the collector behind the default endpoint is.
_DEPLOYED = "telemetry.getpatter.com"
# Whoever has loaded this runs tests; it is never loaded otherwise.
_TEST_GUARD = "getpatter.telemetry.pytest_plugin"
# A receipt is for a person to keep; a longer one is no receipt.
_RECEIPT_CHARACTERS = 200
# The longest age that the contract can express: a week.
_OLDEST = 604_800


def usable_endpoint(endpoint: object) -> str | None:
    """Return the URL to send to, without its credentials; None for one that must not be used.

    Must not: what is no http(s) URL, and plain http to anything but this machine. In a pytest run,
    whatever its tests do to the environment: the deployed collector.
    """
    if not isinstance(endpoint, str):
        return None
    try:
        parts = urlsplit(endpoint.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or not _NOT_IN_A_HOST.isdisjoint(host):
        return None
    if parts.scheme == "http" and not _is_loopback(host):
        return None
    if host.rstrip(".") == _DEPLOYED and _TEST_GUARD in sys.modules:
        return None
    name = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(netloc=name if port is None else f"{name}:{port}"))


def shown(url: str) -> str:
    """Return what of a usable endpoint may be shown or kept: a query may hold a token."""
    return url.partition("#")[0].partition("?")[0]


def origin(url: str) -> str:
    """Return scheme, host and port of a usable endpoint."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(url: str) -> bool:
    """Return whether a usable endpoint is on this machine."""
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpTransport:
    """Sends batches to one endpoint over one kept-alive connection; loads `requests` to be made.

    What the environment says of proxies and CAs is read before the first request, and again after
    one that nobody answered: reading it costs as much as a request.
    """

    __slots__ = ("_adapter", "_gzip", "_prepared", "_session", "_url")

    def __init__(self, url: str) -> None:
        self._url = url
        self._session, self._adapter = _session()
        self._prepared: tuple[requests.PreparedRequest, Mapping[str, Any]] | None = None
        self._gzip = False

    def send(self, batch: Batch, now: float, timeout: float = SECONDS) -> Answer:
        """Send the batch; `now` is the monotonic clock that closed it. Never raises."""
        body = batch.body = batch.body or encode(batch.events)
        headers = _headers(batch, now)
        if self._gzip:
            body = _gzip(body)
            headers["Content-Encoding"] = "gzip"
        seconds = min(timeout, SECONDS)
        until = time.monotonic() + seconds
        self._adapter.give(seconds)
        try:
            prepared, settings = self._prepare()
            request = prepared.copy()
            request.headers.update(headers)
            request.prepare_body(body, files=None)
            with self._session.send(
                request, timeout=seconds, allow_redirects=False, **settings
            ) as response:
                content = _read(response, until)
                self._gzip = _takes_gzip(response.headers.get("Accept-Encoding", ""))
                return Answer(
                    response.status_code,
                    _refused(content),
                    retry_after(response.headers.get("Retry-After"), response.headers.get("Date")),
                    _recommended(content),
                )
        except Exception:
            # What requests, urllib3 and http.client raise has no base in common, and in the
            # interpreter's last moments urllib3 cannot even load what it wants for an answer.
            self._prepared = None
            return Answer(None)

    def _prepare(self) -> "tuple[requests.PreparedRequest, Mapping[str, Any]]":
        """Return what is the same in every request, and the settings of the environment.

        Raises what `requests` does for a URL that it cannot use.
        """
        if self._prepared is None:
            import requests

            request = self._session.prepare_request(requests.Request("POST", self._url))
            settings = self._session.merge_environment_settings(
                self._url, proxies={}, stream=True, verify=None, cert=None
            )
            self._prepared = request, settings
        return self._prepared

    def close(self) -> None:
        """Close the connection; a later send opens another."""
        # The session alone leaves that to finalisers, which no longer run when a program ends.
        for manager in (self._adapter.poolmanager, *self._adapter.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it is no dict
                manager.pools[key].close()
        self._session.close()


def _gzip(body: bytes) -> bytes:
    """Return the body as a gzip archive, without a time stamp, which would say when."""
    import zlib  # only who is told that the collector takes it

    # Level 6 is a fifth smaller than 1 for twice its time; 9 takes off 3 % more for half as much
    # again. `Z_FILTERED` passes over the short repeats that random digits are full of.
    archive = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return archive.compress(body) + archive.flush()


def _headers(batch: Batch, now: float) -> dict[str, str]:
    headers = {
        "User-Agent": f"getpatter/{batch.version}",
        "Content-Type": "application/json",
        "Idempotency-Key": batch.key,
        "Patter-Batch-Age": str(min(max(int(now - batch.closed_at), 0), _OLDEST)),
        "Patter-Sample-Rate": repr(batch.rate),
    }
    if batch.report:
        headers["Patter-Client-Report"] = header(batch.report)
    return headers


def erase(url: str, install: str, sdk_version: str) -> tuple[int | None, str | None]:
    """Ask the collector of the usable endpoint `url` to erase an install id.

    Returns the status, None if no answer came, and the receipt, if there is one. Never raises.
    """
    until = time.monotonic() + SECONDS
    session, adapter = _session()
    adapter.give(SECONDS)
    version = schema.coerce("sdk_version", sdk_version)
    headers = {"User-Agent": f"getpatter/{0 if version is schema.REFUSED else version}"}
    try:
        with (
            session,
            session.delete(
                f"{origin(url)}/v1/installs/{install}",
                headers=headers,
                timeout=SECONDS,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            return response.status_code, _receipt(_read(response, until))
    except Exception:  # as in `send`
        return None, None


def _receipt(content: bytes) -> str | None:
    """Return the receipt in an answer; None for what must not be put on a terminal."""
    try:
        receipt = json.loads(content)["receipt"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_one = isinstance(receipt, str) and receipt.isprintable()
    return receipt if is_one and len(receipt) <= _RECEIPT_CHARACTERS else None


class StderrTransport:
    """Prints what would be sent, for `PATTER_TELEMETRY_DEBUG`. Sends nothing."""

    def __init__(self) -> None:
        self._seconds = _stderr.SECONDS

    def send(self, batch: Batch, now: float, timeout: float = SECONDS) -> Answer:  # noqa: ARG002
        """Print one line an event; a stderr that is gone or that nobody reads swallows them."""
        lines = [f"[getpatter telemetry] {encode_one(event)}\n" for event in batch.events]
        # Waits for a reader once: whoever does not read now will not at the next batch.
        self._seconds = _stderr.SECONDS if _stderr.write("".join(lines), self._seconds) else 0.0
        return Answer(200)

    def close(self) -> None:
        """Nothing is open."""


def encode_one(event: "Event") -> str:
    """Return one event as the text that would stand in a body."""
    return encode([event])[1:-1].decode()


def _session() -> "tuple[requests.Session, BoundedAdapter]":
    """Return a session that honours proxies and CAs of the environment, but no credentials; and
    what holds its connections.
    """
    # On the courier's thread, when it first sends. Half of the wait that this costs the host's
    # other threads is waiting for their turn.
    with short_turns():
        # Loads what a look-up of the collector's name would load while it is under way, outside of
        # the lock that keeps forks from the middle of loading.
        "localhost".encode("idna")
        from http.cookiejar import DefaultCookiePolicy

        _dependency.load("requests", "sessions.py")
        import requests

        from getpatter.telemetry._bounded import BoundedAdapter

    session, adapter = requests.Session(), BoundedAdapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # An auth of our own that adds nothing: without one, requests would look into `.netrc`.
    session.auth = lambda request: request
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    # Without a target it does not even prepare to follow: that would read a body of any length.
    session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]  # noqa: ARG005
    return session, adapter


# A weight that says no.
_NEVER = frozenset({"q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"})


def _takes_gzip(accepted: str) -> bool:
    """Return whether an `Accept-Encoding` names gzip, and not to refuse it."""
    for item in accepted.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in _NEVER
    return False


def _read(response: "requests.Response", until: float) -> bytes:
    """Read at most 64 KiB, and no longer than `until`."""
    content = b""
    for piece in _pieces(response):
        content += piece
        if len(content) > _ANSWER_BYTES or time.monotonic() > until:
            return b""
    return content


def _pieces(response: "requests.Response") -> "Iterator[bytes]":
    """Return the body as it comes in: a read that waits for a whole buffer would wait for each
    byte of it anew, however slowly they come.
    """
    read = getattr(response.raw, "read1", None)  # from urllib3 2.1 on
    if read is None:
        yield from response.iter_content(1)
        return
    while piece := read(_ANSWER_BYTES):
        yield piece


def _recommended(content: bytes) -> dict[str, object] | None:
    """Return what the answer recommends to collect; None if it says nothing of the kind."""
    try:
        recommended = json.loads(content)["recommended"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return recommended if isinstance(recommended, dict) else None


def _refused(content: bytes) -> list[int]:
    """Return the indices of the events that the answer names as refused; none if it is unclear."""
    try:
        said = json.loads(content)
        rows = said["refused"]
        return [row["index"] for row in rows if type(row["index"]) is int]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
