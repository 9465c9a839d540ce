"""Signed requests of carriers, made as their pages describe it and without a line of ours.

`make integrations-carriers` shows that the carriers' own libraries sign and verify the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TOKEN = "token-of-an-invented-account"
URL = "https://voice.example.com/status"
NOW = 1_800_000_000.0
FORM = "application/x-www-form-urlencoded"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
).decode()
SECRETS = {"twilio": TOKEN, "telnyx": PUBLIC_KEY, "plivo": TOKEN}

Fields = Sequence[tuple[str, str]]


class Sent(NamedTuple):
    """A request, as `verified` takes it after the secret."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


def _mac(token: str, text: str, algorithm: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), algorithm).digest()).decode()


def twilio(
    fields: Fields,
    url: str = URL,
    *,
    method: str = "POST",
    token: str = TOKEN,
    shared: bool = False,
) -> Sent:
    if method == "GET" and fields:
        url += ("&" if "?" in url else "?") + urlencode(fields)
    text = url if method == "GET" else url + "".join(a + b for a, b in sorted(set(fields)))
    headers = {"X-Twilio-Signature": _mac(token, text, "sha256" if shared else "sha1")}
    if shared:
        headers["X-Twilio-Webhooks-Signature-Settings"] = "key=sk_1,algorithm=HMAC_SHA256"
    if method == "GET":
        return Sent(method, url, headers, b"")
    return Sent(method, url, {**headers, "Content-Type": FORM}, urlencode(fields).encode())


def twilio_json(content: Mapping[str, object], url: str = URL, token: str = TOKEN) -> Sent:
    body = json.dumps(content).encode()
    url += f"?bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"X-Twilio-Signature": _mac(token, url, "sha1"), "Content-Type": "application/json"}
    return Sent("POST", url, headers, body)


def plivo(
    fields: Fields,
    url: str = URL,
    *,
    method: str = "POST",
    token: str = TOKEN,
    header: str = "X-Plivo-Signature-V3",
) -> Sent:
    if method == "GET" and fields:
        url += ("&" if "?" in url else "?") + urlencode(fields)
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}{parts.path}"
    asked = sorted(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join(f"{name}={value}" for name, value in asked)
    own = [] if method == "GET" else sorted(fields)
    if query or own:
        base += f"?{query}"
    if query and own:
        base += "."
    text = "".join(a + b for a, b in own)
    headers = {
        header: _mac(token, f"{base}{text}.12345", "sha256"),
        "X-Plivo-Signature-V3-Nonce": "12345",
    }
    if method == "GET":
        return Sent(method, url, headers, b"")
    return Sent(method, url, {**headers, "Content-Type": FORM}, urlencode(fields).encode())


def telnyx(content: Mapping[str, object], *, at: float = NOW, url: str = URL) -> Sent:
    body = json.dumps(content, ensure_ascii=False).encode()
    stamp = str(int(at))
    headers = {
        "telnyx-timestamp": stamp,
        "telnyx-signature-ed25519": base64.b64encode(
            KEY.sign(stamp.encode() + b"|" + body)
        ).decode(),
        "content-type": "application/json",
    }
    return Sent("POST", url, headers, body)


def hangup(cause: str, source: str = "unknown", sip: str = "unspecified", **more: Any) -> Sent:
    """A `call.hangup` of Telnyx."""
    payload = {
        "call_control_id": "v3:one",
        "call_leg_id": "leg-one",
        "hangup_cause": cause,
        "hangup_source": source,
        "sip_hangup_cause": sip,
        **more,
    }
    return telnyx({"data": {"id": "e-1", "event_type": "call.hangup", "payload": payload}})
