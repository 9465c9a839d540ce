"""Tokens: whether a LiveKit server signed a body. Pure.

A JSON Web Token (HS256) whose claim `sha256` is the digest of the body. Written here, since it is a
digest and five comparisons; a package for it would be one more dependency of the receiver.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from getpatter.integrations.webhooks.request import (
    BAD_SIGNATURE,
    MALFORMED,
    NO_SIGNATURE,
    STALE,
    UNSIGNED_BODY,
    Refused,
    object_of,
)

if TYPE_CHECKING:
    from typing import TypeGuard

__all__ = ["verified"]

# How far the clocks may differ, in seconds: as LiveKit's own library has it.
_LEEWAY = 60
_ALGORITHM = "HS256"


def verified(key: str, secret: str, token: str, body: bytes, now: float) -> dict[str, object]:
    """Return the event in a body that was signed; raises `Refused` for anything else."""
    if not token:
        raise Refused(NO_SIGNATURE)
    signed, _, signature = token.removeprefix("Bearer ").strip().rpartition(".")
    head, _, claims = signed.partition(".")
    header = _object(head)
    # The token does not choose how it is looked at.
    if header.get("alg") != _ALGORITHM or "crit" in header:
        raise Refused(BAD_SIGNATURE)
    expected = hmac.new(secret.encode(), signed.encode("utf-8", "replace"), "sha256").digest()
    if not hmac.compare_digest(expected, _decoded(signature)):
        raise Refused(BAD_SIGNATURE)
    _check(_object(claims), key, body, now)
    return object_of(body)


def _check(claims: dict[str, object], key: str, body: bytes, now: float) -> None:
    if claims.get("iss") != key or "aud" in claims:
        raise Refused(BAD_SIGNATURE)
    ends = claims.get("exp")
    if not _is_number(ends) or ends + _LEEWAY <= now:
        raise Refused(STALE)
    for name in ("nbf", "iat"):
        begins = claims.get(name, 0)
        if not _is_number(begins) or begins - _LEEWAY > now:
            raise Refused(STALE)
    digest = claims.get("sha256")
    if not isinstance(digest, str) or not digest:
        raise Refused(UNSIGNED_BODY)
    expected = base64.b64encode(hashlib.sha256(body).digest())
    if not hmac.compare_digest(expected, digest.encode("utf-8", "replace")):
        raise Refused(BAD_SIGNATURE)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _decoded(part: str) -> bytes:
    """Return what a part of a token says: base64 in its alphabet for URLs, without padding."""
    try:
        text = part.encode("ascii")
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused(MALFORMED) from None


def _object(part: str) -> dict[str, object]:
    try:
        found = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        raise Refused(MALFORMED) from None
    if not isinstance(found, dict):
        raise Refused(MALFORMED)
    return found
