"""The webhook sink: events as a signed HTTP POST, retried.

Sends the events, their signature and an idempotency key, and nothing else: it has no HTTP of its
own, but the one that carries telemetry.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from getpatter.calls.clock import new_id, timestamp_us
from getpatter.calls.endpoint import read
from getpatter.calls.events.sink import EventsLost
from getpatter.calls.mistakes import mistake
from getpatter.calls.sinks.signature import HEADER, sign
from getpatter.telemetry._plain import plain_number
from getpatter.telemetry._quiet import quiet_import
from getpatter.telemetry.network.loopback import is_loopback_host

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

    from getpatter.calls.events.event import Event
    from getpatter.telemetry.network.request import Http

__all__ = ["WebhookSink"]

# A receiver that takes longer is down; the hub serves the other sinks meanwhile.
_SECONDS = 5.0
# 1, 2, 4 … seconds; then what a receiver that restarts takes.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# About two minutes: longer than a restart, shorter than the patience of who looks.
_ATTEMPTS = 8
# A day: what is set longer is a mistake in the unit.
_LONGEST_WAIT = 86_400
# The answers after which the same request may succeed later.
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class WebhookSink:
    """POSTs events to `url` as `{"events": […]}`, up to 100 at once, signed with `secret`.

    A request that fails is sent again with the same `Idempotency-Key`, up to `attempts` times; then
    its events are lost, and counted. Raises ValueError at once for a URL that is none, for plain
    http to another machine (unless `allow_http`), and without a secret.
    """

    def __init__(
        self,
        url: str,
        secret: str | bytes,
        *,
        timeout: float = _SECONDS,
        attempts: int = _ATTEMPTS,
        first_pause: float = _FIRST_PAUSE,
        allow_http: bool = False,
    ) -> None:
        parts = _checked(url)
        if parts.scheme == "http" and not is_loopback_host(parts.hostname or "") and not allow_http:
            message = "a webhook to another machine needs https, or allow_http=True"
            raise ValueError(message)
        if not secret:
            message = "a webhook needs a secret to sign with"
            raise ValueError(message)
        if type(attempts) is not int or attempts < 1:
            raise ValueError(mistake("attempts", ("a whole number, at least 1",), attempts))
        if not _is_time(timeout) or not timeout:
            raise ValueError(mistake("timeout", ("seconds, above 0",), timeout))
        if not _is_time(first_pause):
            raise ValueError(mistake("first_pause", ("seconds, 0 or more",), first_pause))
        self._url = url
        # What of the URL may be shown: there may be a secret in the rest.
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._timeout = timeout
        self._attempts = attempts
        self._first_pause = first_pause
        self._process = os.getpid()
        self._http: Http | None = None
        self._key = ""
        self._tried = 0

    def write(self, events: Sequence[Event]) -> float | None:
        """Send these events; None when they have arrived, else the seconds until the next try."""
        if self._process != os.getpid():
            # A `fork` child: these are other events than those that its parent may be retrying.
            self._process = os.getpid()
            self._key, self._tried = "", 0
        if not self._key:
            self._key = new_id()
        self._tried += 1
        try:
            answer = self._post(events)
        except BaseException:
            # These events are lost: the next ones must not go under their key.
            self._key, self._tried = "", 0
            raise
        if isinstance(answer, float) and self._tried < self._attempts:
            return answer
        self._key, self._tried = "", 0
        if answer is None:
            return None
        said = "the receiver was not reached" if isinstance(answer, float) else answer
        raise EventsLost(len(events), f"{self._place}: {said}")

    def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            self._http.close()

    def _post(self, events: Sequence[Event]) -> float | str | None:
        """Return None if they arrived, seconds if they may later, a text if they never will."""
        if self._http is None:
            self._http = _open(self._url)
        from getpatter.telemetry.network.request import FAILURES

        body = json.dumps({"events": [event.as_dict() for event in events]}).encode()
        headers = {
            "User-Agent": "getpatter",
            "Content-Type": "application/json",
            "Idempotency-Key": self._key,
            HEADER: sign(self._secret, body, timestamp_us() // 1_000_000),
        }
        pause = min(_LONGEST_PAUSE, self._first_pause * 2.0 ** (self._tried - 1))
        try:
            reply = self._http.request("POST", headers, body, self._timeout)
        except FAILURES:
            return pause
        if 200 <= reply.status < 300:
            return None
        if reply.status not in _AGAIN:
            return f"HTTP {reply.status}"
        wait = reply.headers.get("retry-after", "")
        is_short = wait.isascii() and wait.isdigit() and len(wait) < 4
        return min(_LONGEST_PAUSE, float(wait)) if is_short else pause


def _open(url: str) -> Http:
    with quiet_import():
        from getpatter.telemetry.network.request import Http  # only who has a webhook loads it
    return Http(url)


def _checked(url: object) -> SplitResult:
    """Return the parts of a URL that can be asked for; raise ValueError for any other."""
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "a webhook needs an http or https URL"
        raise ValueError(message)
    read(f"{parts.scheme}://{parts.netloc}/")  # whether host and port can be
    return parts


def _is_time(seconds: object) -> bool:
    number = plain_number(seconds)
    return number is not None and 0 <= number <= _LONGEST_WAIT
