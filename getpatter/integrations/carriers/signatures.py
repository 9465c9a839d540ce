"""Signatures: whether a request comes from the carrier, by the rules of each. Pure.

Each function takes the secret and the request, and returns the fields that were signed. It raises
`Refused` for all else: what cannot be verified is not believed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from getpatter.integrations.webhooks.request import (
    BAD_SIGNATURE,
    MALFORMED,
    NO_LIBRARY,
    NO_SECRET,
    NO_SIGNATURE,
    STALE,
    UNSIGNED_BODY,
    Refused,
    form,
    object_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from getpatter.integrations.webhooks.request import Request

    Fields = dict[str, object]
    #: Whether a message has this Ed25519 signature: key, signature, message.
    Ed25519 = Callable[[bytes, bytes, bytes], bool]

__all__ = ["ed25519", "plivo", "telnyx", "twilio"]

# How old, or how far ahead, a request of Telnyx may be, in seconds: as its own SDK has it.
_TOLERANCE = 300
_PORTS = {"http": 80, "https": 443}
# The algorithm that a request of Twilio names; a request that names none is of the first.
_ALGORITHMS = {"": "sha1", "hmac_sha1": "sha1", "hmac_sha256": "sha256"}


def twilio(secret: str, request: Request, now: float) -> Fields:  # noqa: ARG001 - no time is signed
    """HMAC of the URL and the sorted fields of the form, with the auth token or a shared key."""
    given = request.header("x-twilio-signature")
    if not given:
        raise Refused(NO_SIGNATURE)
    algorithm = _twilio_algorithm(request.header("x-twilio-webhooks-signature-settings"))
    query = form(request.query)
    fields: list[tuple[str, str]] = []
    if request.method == "POST" and request.is_form:
        fields = form(_characters(request.body))
    elif request.method == "POST":
        # What is no form is signed by its digest, and that stands in the URL.
        digests = [value for name, value in query if name == "bodySHA256"]
        if len(digests) != 1:
            raise Refused(UNSIGNED_BODY)
        _compare(hashlib.sha256(request.body).hexdigest(), digests)
    signed = "".join(name + value for name, value in sorted(set(fields)))
    # Carriers do not agree with themselves whether the port belongs to the URL.
    expected = [
        _mac(secret, url + signed, algorithm) for url in _with_and_without_port(request.url)
    ]
    if not any(_is_one_of(one, [given]) for one in expected):
        raise Refused(BAD_SIGNATURE)
    if request.method == "POST" and not request.is_form:
        return object_of(request.body)
    return _mapping(fields if request.method == "POST" else query)


def plivo(secret: str, request: Request, now: float) -> Fields:  # noqa: ARG001 - as above
    """HMAC of the URL, the sorted fields and a nonce, version 3; an older one is not enough."""
    headers = ("x-plivo-signature-v3", "x-plivo-signature-ma-v3")
    # Several at a time while a token is changed.
    given = [one.strip() for name in headers for one in request.header(name).split(",")]
    nonce = request.header("x-plivo-signature-v3-nonce")
    if not any(given) or not nonce:
        raise Refused(NO_SIGNATURE)
    fields = form(_characters(request.body)) if request.method == "POST" and request.is_form else []
    if request.method == "POST" and request.body and not request.is_form:
        raise Refused(UNSIGNED_BODY)
    parts = urlparse(request.url)
    query = form(parts.query)
    asked = "&".join(f"{name}={value}" for name, value in sorted(query))
    signed = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if asked or fields:
        signed += f"?{asked}"
    if asked and fields:
        signed += "."
    signed += "".join(name + value for name, value in sorted(fields))
    if not _is_one_of(_mac(secret, f"{signed}.{nonce}", "sha256"), given):
        raise Refused(BAD_SIGNATURE)
    return _mapping(fields if request.method == "POST" else query)


def telnyx(secret: str, request: Request, now: float) -> Fields:
    """Ed25519 of the time and the raw body, with the public key of the account."""
    signature = request.header("telnyx-signature-ed25519")
    stamp = request.header("telnyx-timestamp")
    if not signature or not stamp:
        raise Refused(NO_SIGNATURE)
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 10):
        raise Refused(MALFORMED)
    if abs(now - int(stamp)) > _TOLERANCE:
        raise Refused(STALE)
    is_signed = ed25519()
    if is_signed is None:
        raise Refused(NO_LIBRARY)
    key, given = _decoded(secret, 32), _decoded(signature, 64)
    if key is None:
        raise Refused(NO_SECRET)
    message = stamp.encode() + b"|" + request.body
    if given is None or not is_signed(key, given, message):
        raise Refused(BAD_SIGNATURE)
    return object_of(request.body)


def ed25519() -> Ed25519 | None:
    """Return the check of PyNaCl, else that of cryptography; None where neither is installed.

    Never one of our own: what is wrong with such code shows to nobody but an attacker.
    """
    try:
        from nacl.signing import VerifyKey
    except ImportError:
        return _of_cryptography()

    def is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            VerifyKey(key).verify(message, signature)
        except Exception:  # whatever it is called: it is not signed
            return False
        return True

    return is_signed


def _of_cryptography() -> Ed25519 | None:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return None

    def is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except Exception:  # as above
            return False
        return True

    return is_signed


def _twilio_algorithm(settings: str) -> str:
    named = ""
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            named = value.strip().lower()
            break
    if named not in _ALGORITHMS:
        raise Refused(BAD_SIGNATURE)
    return _ALGORITHMS[named]


def _with_and_without_port(url: str) -> tuple[str, str]:
    parts = urlparse(url)
    if parts.port is None:
        port = _PORTS.get(parts.scheme, 80)
        return parts.geturl(), parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
    bare = parts.netloc.rpartition(":")[0]
    return parts._replace(netloc=bare).geturl(), parts.geturl()


def _mac(secret: str, text: str, algorithm: str) -> str:
    digest = hmac.new(secret.encode(), text.encode("utf-8", "surrogatepass"), algorithm).digest()
    return base64.b64encode(digest).decode()


def _is_one_of(expected: str, given: Iterable[str]) -> bool:
    """Compare with each in the same time, whatever is equal."""
    plain = expected.encode()
    equal = [hmac.compare_digest(plain, one.encode("utf-8", "replace")) for one in given]
    return any(equal)


def _compare(expected: str, given: Iterable[str]) -> None:
    if not _is_one_of(expected, given):
        raise Refused(BAD_SIGNATURE)


def _decoded(text: str, length: int) -> bytes | None:
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == length else None


def _characters(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(MALFORMED) from None


def _mapping(fields: Iterable[tuple[str, str]]) -> Fields:
    """Return each field once: the first of a name."""
    found: Fields = {}
    for name, value in fields:
        found.setdefault(name, value)
    return found
