"""The webhook sink: events as a signed HTTP POST, retried. The only network code of the sinks.

Sends the events, their signature and an idempotency key, and nothing else: no cookies, no
credentials of `.netrc`; redirects are not followed.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from getpatter.calls.clock import new_id, timestamp_us
from getpatter.calls.sinks.signature import HEADER, sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    import requests

    from getpatter.calls.event import Event

__all__ = ["WebhookSink"]

# A receiver that takes longer is down; the hub serves the other sinks meanwhile.
_SECONDS = 5.0
# 1, 2, 4 … seconds; then what a receiver that restarts takes.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
# About two minutes: longer than a restart, shorter than the patience of who looks.
_ATTEMPTS = 8
# The answers after which the same request may succeed later.
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            message = "a webhook needs an http or https URL"
            raise ValueError(message)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_http:
            message = "a webhook to another machine needs https, or allow_http=True"
            raise ValueError(message)
        if not secret:
            message = "a webhook needs a secret to sign with"
            raise ValueError(message)
        if attempts < 1:
            message = "attempts is at least 1"
            raise ValueError(message)
        self._url = url
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._timeout = timeout
        self._attempts = attempts
        self._first_pause = first_pause
        self._process = os.getpid()
        self._session: requests.Session | None = None
        self._key = ""
        self._tried = 0

    def write(self, events: Sequence[Event]) -> float | None:
        """Send these events; None when they have arrived, else the seconds until the next try."""
        if self._process != os.getpid():
            # A `fork` child: the connection is its parent's, and not even to be closed from here.
            self._process = os.getpid()
            self._session, self._key, self._tried = None, "", 0
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
        message = "the receiver was not reached" if isinstance(answer, float) else answer
        raise ConnectionError(message)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _post(self, events: Sequence[Event]) -> float | str | None:
        """Return None if they arrived, seconds if they may later, a text if they never will."""
        body = json.dumps({"events": [event.as_dict() for event in events]}).encode()
        at = timestamp_us() // 1_000_000
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": self._key,
            HEADER: sign(self._secret, body, at),
        }
        if self._session is None:
            self._session = _session()
        pause = min(_LONGEST_PAUSE, self._first_pause * 2.0 ** (self._tried - 1))
        try:
            with self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,  # what it answers beside its status is not read
            ) as response:
                status, wait = response.status_code, response.headers.get("Retry-After", "")
        except (OSError, ValueError):  # what requests raises is an OSError, what urllib3 does, one
            return pause
        if 200 <= status < 300:
            return None
        if status not in _AGAIN:
            return f"the receiver answered {status}"
        is_short = wait.isascii() and wait.isdigit() and len(wait) < 4
        return min(_LONGEST_PAUSE, float(wait)) if is_short else pause


def _session() -> requests.Session:
    import requests  # only who has a webhook loads it

    session = requests.Session()
    # An auth of our own that adds nothing: without one, requests would look into `.netrc`.
    session.auth = lambda request: request
    session.headers.clear()
    session.headers["User-Agent"] = "getpatter"
    return session
