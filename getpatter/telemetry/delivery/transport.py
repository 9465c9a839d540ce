"""Transport: one batch to the collector and its answer back, over HTTP.

Sends what the contract names and nothing else; `network/request.py` holds that. Whatever the
network does is an answer, not an exception. Used by the thread that sends.
"""

import json
import sys
from urllib.parse import urlsplit, urlunsplit

from getpatter.telemetry import _dependency, _stderr, schema
from getpatter.telemetry._quiet import quiet_import
from getpatter.telemetry._turns import short_turns
from getpatter.telemetry.delivery.batch import Batch, Response, encode
from getpatter.telemetry.delivery.retry_after import retry_after
from getpatter.telemetry.losses import header
from getpatter.telemetry.network.loopback import is_loopback_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.telemetry.delivery.batch import Event
    from getpatter.telemetry.network.request import Http

__all__ = [
    "SECONDS",
    "HttpTransport",
    "StderrTransport",
    "endpoint_problem",
    "erase",
    "is_loopback",
    "origin",
    "request_headers",
    "shown",
    "usable_endpoint",
]

#: What one request may take to connect, and then for each thing that is waited for.
SECONDS = 3.0
# What urlsplit lets pass as part of a host, and no host name has.
_NOT_IN_A_HOST = frozenset(' \\"<>^`{|}')
# Where the collector behind the default endpoint is.
_DEPLOYED = "telemetry.getpatter.com"
# A process that has loaded this runs tests; it is never loaded otherwise.
_TEST_GUARD = "getpatter.telemetry.pytest_plugin"
# A receipt is for a person to keep; a longer one is no receipt.
_RECEIPT_CHARACTERS = 200
# However many events a collector says that it takes.
_MOST_EVENTS = 512
# The longest age that the contract can express: a week.
_OLDEST = 604_800


def usable_endpoint(endpoint: object) -> str | None:
    """Return the URL to send to, without its credentials; None for one that must not be used.

    Must not: what is no http(s) URL, and plain http to anything but this machine. In a pytest run,
    whatever its tests do to the environment: the deployed collector.
    """
    return _checked(endpoint)[0]


def endpoint_problem(endpoint: object) -> str | None:
    """Return why an endpoint must not be used, None if it may be. Repeats nothing of it."""
    return _checked(endpoint)[1]


def _checked(endpoint: object) -> "tuple[str | None, str | None]":
    try:
        parts = urlsplit(endpoint.strip() if isinstance(endpoint, str) else "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None, "it is not a valid URL"
    if parts.scheme not in ("http", "https"):
        return None, "it does not begin with https:// or http://"
    if not host or not _is_name(host) or port == 0:
        return None, "it has no valid port" if port == 0 else "it has no valid host name"
    if parts.scheme == "http" and not is_loopback_host(host):
        return None, "plain http is allowed to this machine only; use https"
    if host.rstrip(".") == _DEPLOYED and _TEST_GUARD in sys.modules:
        return None, "the deployed collector is not used in a pytest run"
    name = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(netloc=name if port is None else f"{name}:{port}")), None


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return _NOT_IN_A_HOST.isdisjoint(host) and all(0 < len(label) < 64 for label in labels)


def shown(url: str) -> str:
    """Return what of a usable endpoint may be shown or kept, in one word: a query may hold a
    token.
    """
    return "%20".join(url.partition("#")[0].partition("?")[0].split())


def origin(url: str) -> str:
    """Return scheme, host and port of a usable endpoint."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(url: str) -> bool:
    """Return whether a usable endpoint is on this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


class HttpTransport:
    """Sends batches to one endpoint over one kept-alive connection; loads `requests` to be made."""

    __slots__ = ("_gzip", "_http")

    def __init__(self, url: str, has_consent: "Callable[[], bool] | None" = None) -> None:
        self._http = _open(url, has_consent)
        self._gzip = False

    def send(self, batch: Batch, now: float, timeout: float = SECONDS) -> Response:
        """Send the batch; `now` is the monotonic clock that closed it.

        Never raises because of what the network or the collector does.
        """
        from getpatter.telemetry.network.request import FAILURES, WithdrawnError

        body = batch.encoded()
        headers = batch.headers = request_headers(batch, now)
        if self._gzip:
            body = _gzip(body)
            headers["Content-Encoding"] = "gzip"
        try:
            reply = self._http.request("POST", headers, body, min(timeout, SECONDS))
        except FAILURES:
            return Response(None)
        except WithdrawnError:
            return Response.none("opted_out")
        said = reply.headers
        self._gzip = _takes_gzip(said.get("accept-encoding", ""))
        return Response(
            reply.status,
            _refused(reply.body),
            retry_after(said.get("retry-after"), said.get("date")),
            _recommended(reply.body),
            _max_events(said.get("patter-max-events", "")),
        )

    def close(self) -> None:
        """Close the connection; a later send opens another."""
        self._http.close()


def _open(url: str, has_consent: "Callable[[], bool] | None" = None) -> "Http":
    # On the thread that sends, when it first does. Half of the wait that this costs the host's
    # other threads is waiting for their turn.
    with short_turns(), quiet_import():
        _dependency.load("requests", "sessions.py")
        from getpatter.telemetry.network.request import Http
    return Http(url, has_consent)


def _gzip(body: bytes) -> bytes:
    """Return the body as a gzip archive, without a time stamp, which would say when."""
    import zlib  # only if the collector takes it

    # Level 6 is a fifth smaller than 1 for twice its time; 9 takes off 3 % more for half as much
    # again. `Z_FILTERED` passes over the short repeats that random digits are full of.
    archive = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return archive.compress(body) + archive.flush()


def request_headers(batch: Batch, now: float) -> dict[str, str]:
    """Return what a request says beside its body, but for `Host`, `Accept-Encoding: identity` and
    `Content-Length`.
    """
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
    """Ask the collector of the usable endpoint `url` to erase an install ID.

    Returns the status, None if no answer came, and the receipt, if there is one.
    """
    parts = urlsplit(url)
    above = parts.path.rpartition("/")[0]
    http = _open(urlunsplit(parts._replace(path=f"{above}/installs/{install}", fragment="")))
    from getpatter.telemetry.network.request import FAILURES, WithdrawnError

    version = schema.coerce("sdk_version", sdk_version)
    headers = {"User-Agent": f"getpatter/{0 if version is schema.UNFIT else version}"}
    try:
        reply = http.request("DELETE", headers, b"", SECONDS)
    except (*FAILURES, WithdrawnError):
        return None, None
    finally:
        http.close()
    return reply.status, _receipt(reply.body)


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

    def send(self, batch: Batch, now: float, timeout: float = SECONDS) -> Response:  # noqa: ARG002
        """Print one line an event; a stderr that is gone or that nobody reads swallows them."""
        lines = [f"[getpatter telemetry] {encode_one(event)}\n" for event in batch.events]
        # Waits for a reader once: one that does not read now will not at the next batch.
        self._seconds = _stderr.SECONDS if _stderr.write("".join(lines), self._seconds) else 0.0
        return Response(200)

    def close(self) -> None:
        """Nothing is open."""


def encode_one(event: "Event") -> str:
    """Return one event as the text that would stand in a body."""
    return encode([event])[1:-1].decode()


# A weight that says no.
_NEVER = frozenset({"q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"})


def _takes_gzip(accepted: str) -> bool:
    """Return whether an `Accept-Encoding` names gzip, and not to refuse it."""
    for item in accepted.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in _NEVER
    return False


def _max_events(said: str) -> int | None:
    """Return how many events a request may have, as the collector says; None if it does not."""
    if not (said.isascii() and said.isdigit()) or said.startswith("0"):
        return None
    return min(int(said[:4]), _MOST_EVENTS)  # four digits show that it is more


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
