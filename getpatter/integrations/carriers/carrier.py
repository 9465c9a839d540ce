"""A carrier: verifies its requests, and passes to calls what they report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls import Result
from getpatter.integrations.webhooks.request import (
    BAD_SIGNATURE,
    MALFORMED,
    NO_LIBRARY,
    NO_SECRET,
    Refused,
    Request,
    Verified,
)
from getpatter.telemetry import _clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter import Patter
    from getpatter.call import Call
    from getpatter.integrations.carriers.callback import Callback
    from getpatter.integrations.webhooks.request import Headers
    from getpatter.integrations.webhooks.web import AsgiApp, WsgiApp

__all__ = ["Carrier"]

_log = logging.getLogger("getpatter")
# What to do about a refusal that may be a mistake of the host's.
_ADVICE = {
    BAD_SIGNATURE: "a callback is not signed with the secret for the URL that was called; if none "
    "is, set public_url to what the carrier calls",
    NO_SECRET: "a callback cannot be verified: the secret is empty, or is no key of it",
    NO_LIBRARY: "a callback cannot be verified: pip install 'getpatter[telnyx]'",
}


class Carrier:
    """One of `twilio`, `telnyx`, `plivo`. No method raises."""

    def __init__(
        self,
        name: str,
        verify: Callable[[str, Request, float], dict[str, object]],
        read: Callable[[Mapping[str, object]], Callback],
    ) -> None:
        self.name = name
        self._verify = verify
        self._read = read
        # The refusals and the types of exceptions that were logged: one line of each.
        self._logged: set[str] = set()

    def verified(
        self,
        secret: str,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        *,
        public_url: str | None = None,
        now: float | None = None,
    ) -> Verified:
        """Return the fields of a request that the carrier signed; else none, and why.

        `secret` is the auth token of Twilio and Plivo (or a shared key of Twilio), the public key
        of Telnyx. `url` is the one that was called, with its query, and `body` is what arrived, as
        bytes, before anything has parsed it. `public_url` is what the carrier calls instead of this
        server, where a proxy or a tunnel stands before it: `https://voice.example.com`.
        """
        try:
            request = Request(method, url, headers, body, public_url)
            at = _clock.wall() if now is None else now
            return Verified(self._verify(_secret(secret), request, at))
        except Refused as refused:
            refusal = str(refused)
        except Exception as error:  # the public boundary: what arrives may be anything
            refusal = MALFORMED
            self._log_once(type(error).__name__, "a request cannot be read")
        if refusal in _ADVICE:
            self._log_once(refusal, _ADVICE[refusal])
        return Verified(refusal=refusal)

    def status(self, phone: Patter, fields: Mapping[str, object]) -> Result:
        """Pass what a callback reports to the call that it is about; for verified fields.

        A call that this process has ends as the carrier says, if the host says nothing else. One
        that it never had is reported if nobody answered it, once, whichever process hears of it
        first. Answers `unknown_status` for a word that the table does not have, `unknown_call` for
        a call with media in another process, `already_ended` and `already_reported` for a repeat.
        """
        try:
            said = self._read(fields)
            answer = self._told(phone, said)
            error = {} if answer else {"error_code": answer.status}
            phone.event("webhook", {"event": f"{self.name} {said.status:.80}", **error})
        except Exception as error:  # the public boundary: what a host hands over may be anything
            self._log_once(type(error).__name__, "fields of a callback cannot be read")
            return Result("refused_callback", f"{self.name}: these are no fields of a callback")
        return answer

    def _told(self, phone: Patter, said: Callback) -> Result:
        if not (said.is_known and said.ids):
            return Result("unknown_status", f"{self.name}: no such status, or no call is named")
        call = phone.find_call(self.name, *said.ids)
        if call is not None:
            return self._tell(call, said)
        end = said.end_for(said.direction)
        if end is None:
            return Result("ok")
        if end.answered or said.was_answered:
            message = f"{self.name}: the process that had its media reports this call"
            return Result("unknown_call", message)
        missed = phone.missed_call(self.name, *said.ids, direction=said.direction)
        if missed is None:
            return Result("already_reported", f"{self.name}: this call was reported before")
        return self._tell(missed, said)

    def _tell(self, call: Call, said: Callback) -> Result:
        status = {"carrier": self.name, "status": said.status}
        call.emitter(self.name).emit("carrier.status", status)
        end = said.end_for(call.direction or said.direction)
        return Result("ok") if end is None else call.carrier_ended(**end._asdict())

    def refused(self, phone: Patter, checked: Verified) -> None:
        """Emit that a request was refused: an event of the host, and never of a call."""
        fields = {"event": self.name, "status": 403, "error_code": checked.refusal}
        phone.event("webhook", fields)

    def asgi(self, phone: Patter, secret: str, *, public_url: str | None = None) -> AsgiApp:
        """Return an ASGI application that takes callbacks: mount it where the carrier calls."""
        from getpatter.integrations.webhooks.web import asgi

        return asgi(_Endpoint(self, phone, secret, public_url).answer)

    def wsgi(self, phone: Patter, secret: str, *, public_url: str | None = None) -> WsgiApp:
        """Return a WSGI application that takes callbacks."""
        from getpatter.integrations.webhooks.web import wsgi

        return wsgi(_Endpoint(self, phone, secret, public_url).answer)

    def _log_once(self, what: str, message: str) -> None:
        """Log what was refused, or the type of an exception; never what a request holds."""
        if what not in self._logged:
            self._logged.add(what)
            _log.warning("getpatter: %s: %s (%s)", self.name, message, what)


class _Endpoint(NamedTuple):
    """Where a carrier calls back: whose requests are taken, and whose calls they are about."""

    carrier: Carrier
    phone: Patter
    secret: str
    public_url: str | None

    def answer(self, method: str, url: str, headers: Headers, body: bytes) -> int:
        """Take a request; return the status of the answer."""
        from getpatter.integrations.webhooks.web import status_of

        base = self.public_url
        checked = self.carrier.verified(self.secret, method, url, headers, body, public_url=base)
        if checked:
            self.carrier.status(self.phone, checked.fields)
        else:
            self.carrier.refused(self.phone, checked)
        return status_of(checked)


def _secret(given: object) -> str:
    """Return the secret: an empty one would sign whatever anybody sends."""
    if not isinstance(given, str) or not given:
        raise Refused(NO_SECRET)
    return given
