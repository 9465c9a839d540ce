"""The signature of a webhook's body, for who sends it and for who receives it.

`Patter-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>." and the body>`: the time is
signed too, so that a request that somebody kept cannot be sent again later.
"""

from __future__ import annotations

import hashlib
import hmac

from getpatter.calls.clock import timestamp_us

__all__ = ["HEADER", "sign", "verify"]

HEADER = "Patter-Signature"
# How far clocks may differ, and how long a request may take on its way.
_TOLERANCE_SECONDS = 300


def sign(secret: bytes, body: bytes, at: int) -> str:
    """Return the value of the header for a body that is sent `at` seconds since 1970."""
    return f"t={at},v1={_digest(secret, body, at)}"


def verify(
    secret: str | bytes,
    header: str | None,
    body: bytes,
    now: float | None = None,
    tolerance: float = _TOLERANCE_SECONDS,
) -> bool:
    """Return whether `body` was signed with `secret`, at most `tolerance` seconds from `now`,
    which is the time of this machine unless given.

    The header is whatever somebody sent, or None: what is no signature is False, never an error.
    """
    if not isinstance(header, str) or not header.isascii():
        return False
    key = secret.encode() if isinstance(secret, str) else secret
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    said = parts.get("t", "")
    if not (said.isascii() and said.isdigit()) or len(said) > 15:
        return False
    expected = _digest(key, body, int(said))
    at = timestamp_us() / 1e6 if now is None else now
    is_signed = hmac.compare_digest(expected.encode(), parts.get("v1", "").encode())
    return is_signed and abs(at - int(said)) <= tolerance


def _digest(secret: bytes, body: bytes, at: int) -> str:
    return hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
