"""The receiver: verifies webhooks of a LiveKit server, and emits what they say."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from getpatter.calls import Result
from getpatter.integrations.livekit_server import events, token
from getpatter.integrations.livekit_server.rooms import Rooms
from getpatter.integrations.webhooks.request import (
    MALFORMED,
    NO_SECRET,
    Refused,
    Request,
    Verified,
)
from getpatter.telemetry import _clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter import Patter
    from getpatter.integrations.webhooks.request import Headers
    from getpatter.integrations.webhooks.web import AsgiApp, WsgiApp

__all__ = ["LiveKitWebhooks"]

_WHY = {
    "repeated": "this webhook was taken before",
    "late": "its room or its participant had left before",
    "unknown_event": "no such event is known",
    "malformed": "it names no room, participant or track",
}


class LiveKitWebhooks:
    """Webhooks of one LiveKit server, for the diagnostics of one host object.

    They say nothing to telemetry: the process of the agent reports the call. `key` and `secret` are
    those with which the server signs. Every method is safe from any thread, and none raises.
    """

    def __init__(self, phone: Patter, key: str, secret: str) -> None:
        self._phone = phone
        self._key, self._secret = key, secret
        self._rooms = Rooms(phone)
        self._lock = threading.Lock()

    @property
    def dropped(self) -> int:
        """How many webhooks the server says it could not deliver."""
        return self._rooms.dropped

    def verified(self, headers: Headers, body: bytes, *, now: float | None = None) -> Verified:
        """Return the event in a body, as it arrived, that the server signed; else none, and why."""
        try:
            request = Request("POST", "", headers, body, None)
            if not (isinstance(self._secret, str) and self._secret and self._key):
                raise Refused(NO_SECRET)  # noqa: TRY301 - one answer for whatever is wrong
            at = _clock.wall() if now is None else now
            signed = request.header("authorization")
            return Verified(token.verified(self._key, self._secret, signed, request.body, at))
        except Refused as refused:
            return Verified(refusal=str(refused))
        except Exception:  # the public boundary: what arrives may be anything
            return Verified(refusal=MALFORMED)

    def event(self, fields: Mapping[str, object]) -> Result:
        """Emit what a verified webhook says. Answers `repeated`, `late`, `unknown_event` or
        `malformed` for one that says nothing.
        """
        try:
            said = events.read(fields)
            with self._lock:
                status = self._rooms.take(said, _clock.monotonic())
        except Exception:  # as above
            status = "malformed"
        if status == "ok":
            return Result(status)
        self._phone.event("webhook", {"event": "livekit", "error_code": status})
        return Result(status, f"livekit: a webhook says nothing: {_WHY[status]}")

    def refused(self, checked: Verified) -> None:
        """Emit that a request was refused."""
        fields = {"event": "livekit", "status": 403, "error_code": checked.refusal}
        self._phone.event("webhook", fields)

    def close(self) -> None:
        """End every room."""
        with self._lock:
            self._rooms.end_all()

    def asgi(self) -> AsgiApp:
        """Return an ASGI application that takes webhooks."""
        from getpatter.integrations.webhooks.web import asgi

        return asgi(self._answer)

    def wsgi(self) -> WsgiApp:
        """Return a WSGI application that takes webhooks."""
        from getpatter.integrations.webhooks.web import wsgi

        return wsgi(self._answer)

    def _answer(self, method: str, url: str, headers: Headers, body: bytes) -> int:  # noqa: ARG002
        from getpatter.integrations.webhooks.web import status_of

        checked = self.verified(headers, body)
        if checked:
            self.event(checked.fields)
        else:
            self.refused(checked)
        return status_of(checked)
