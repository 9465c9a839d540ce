"""What the carriers' own libraries sign and believe is what we believe, and no more.

Run by `make integrations-carriers`, in an environment that has these libraries.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import json
import time
import typing
from typing import Any

import carrier_requests as made
import pytest
from carrier_requests import PUBLIC_KEY, TOKEN, Sent
from hypothesis import given
from hypothesis import strategies as st
from livekit.api import AccessToken, TokenVerifier, WebhookReceiver
from livekit.protocol.webhook import WebhookEvent
from plivo.utils import signature_v3
from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature
from telnyx.types.call_hangup import Payload as HangupPayload
from telnyx.types.unwrap_webhook_event import UnwrapWebhookEvent
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest.api.v2010.account.call import CallInstance

from getpatter import Patter
from getpatter.integrations.carriers import callback, plivo, tables, telnyx, twilio
from getpatter.integrations.livekit_server import LiveKitWebhooks

LIVEKIT_KEY, LIVEKIT_SECRET = "an-invented-key", "an invented secret that is long enough"
URLS = (
    "https://voice.example.com/status",
    "https://voice.example.com/",
    "https://voice.example.com:8443/a/b.php?x=1",
    "http://voice.example.com/status?b=2&a=1&a=0",
    "http://voice.example.com:80/status?empty=&x=%20%2B%C3%A9",
)
# What carriers send: names of ASCII, values of any text.
NAMES = st.text("abcXYZ_[]1", min_size=1, max_size=6)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
FORMS = st.dictionaries(NAMES, VALUES, max_size=6)


def grouped(fields: list[tuple[str, str]]) -> dict[str, Any]:
    """As frameworks hand a form to the libraries: of a repeated name a list."""
    found: dict[str, Any] = {}
    for name, value in fields:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


class Multi(dict[str, Any]):
    """A form as Django has it."""

    def getlist(self, name: str) -> list[str]:
        value = self[name]
        return value if isinstance(value, list) else [value]


# Twilio


def twilio_says(sent: Sent, fields: list[tuple[str, str]]) -> bool:
    algorithm = get_signature_algorithm(
        sent.headers.get("X-Twilio-Webhooks-Signature-Settings", "")
    )
    params: Any = Multi(grouped(fields)) if sent.method == "POST" else {}
    signature = sent.headers["X-Twilio-Signature"]
    return bool(RequestValidator(TOKEN).validate(sent.url, params, signature, algorithm))


@given(
    form=FORMS, url=st.sampled_from(URLS), asked=st.sampled_from(URLS), shared=st.booleans(),
    method=st.sampled_from(["GET", "POST"]),
)  # fmt: skip
def test_twilio_believes_what_we_believe(
    form: dict[str, str], url: str, asked: str, shared: bool, method: str
) -> None:
    fields = [*form.items()]
    sent = made.twilio(fields, url, method=method, shared=shared)
    assert twilio_says(sent, fields)
    assert twilio.verified(TOKEN, *sent)
    other = sent._replace(url=asked if method == "POST" else f"{sent.url}?more=1")
    assert bool(twilio.verified(TOKEN, *other)) == twilio_says(other, fields)
    more = [*fields, ("more", "1")]
    forged = sent._replace(body=made.twilio(more, url).body)
    if method == "POST":
        assert not twilio_says(forged, more)
        assert not twilio.verified(TOKEN, *forged)


def test_twilio_signs_what_we_believe() -> None:
    repeated = [("To", "b"), ("To", "a"), ("To", "a"), ("CallSid", "CA1")]
    for url, fields in itertools.product(URLS, ([], repeated, [("CallerName", "Zoë +%&")])):
        for algorithm in ("HMAC_SHA1", "HMAC_SHA256"):
            signature = RequestValidator(TOKEN).compute_signature(
                url, Multi(grouped(fields)), algorithm
            )
            headers = {
                "X-Twilio-Signature": signature,
                "X-Twilio-Webhooks-Signature-Settings": f"key=sk,algorithm={algorithm}",
                "Content-Type": made.FORM,
            }
            body = made.twilio(fields, url).body
            assert twilio.verified(TOKEN, "POST", url, headers, body)


def test_twilio_believes_the_json_that_we_believe() -> None:
    sent = made.twilio_json({"CallSid": "CA1", "text": "Zoë"})
    for body, expected in ((sent.body, True), (sent.body + b" ", False)):
        signature = sent.headers["X-Twilio-Signature"]
        assert RequestValidator(TOKEN).validate(sent.url, body.decode(), signature) is expected
        assert bool(twilio.verified(TOKEN, *sent._replace(body=body))) is expected


def test_the_table_has_every_status_of_twilio() -> None:
    statuses = {
        value for name, value in vars(CallInstance.Status).items() if not name.startswith("_")
    }
    assert len(statuses) > 5
    assert statuses <= tables.TWILIO_STATUSES.keys() | tables.TWILIO_RUNNING


# Plivo


def plivo_says(sent: Sent, fields: list[tuple[str, str]]) -> bool:
    return bool(
        signature_v3.validate_v3_signature(
            sent.method,
            sent.url,
            sent.headers["X-Plivo-Signature-V3-Nonce"],
            TOKEN,
            sent.headers["X-Plivo-Signature-V3"],
            grouped(fields) if sent.method == "POST" else {},
        )
    )


# Plivo's library fails on a query that is not ASCII.
PLIVO_URLS = [url for url in URLS if "%C3" not in url]
ASCII = st.dictionaries(NAMES, st.text("abc +&%=", max_size=8), max_size=6)


@given(form=FORMS, url=st.sampled_from(PLIVO_URLS), asked=st.sampled_from(PLIVO_URLS))
def test_plivo_believes_what_we_believe(form: dict[str, str], url: str, asked: str) -> None:
    fields = [*form.items()]
    sent = made.plivo(fields, url)
    assert plivo_says(sent, fields)
    assert plivo.verified(TOKEN, *sent)
    other = sent._replace(url=asked)
    assert bool(plivo.verified(TOKEN, *other)) == plivo_says(other, fields)


@given(form=ASCII, url=st.sampled_from(PLIVO_URLS))
def test_plivo_believes_what_we_believe_of_a_query(form: dict[str, str], url: str) -> None:
    sent = made.plivo([*form.items()], url, method="GET")
    assert plivo_says(sent, [])
    assert plivo.verified(TOKEN, *sent)


def test_plivo_signs_what_we_believe() -> None:
    repeated = [("To", "b"), ("To", "a"), ("To", "a"), ("CallUUID", "u1")]
    for url, fields in itertools.product(
        PLIVO_URLS, ([], repeated, [("", ""), ("Name", "Zoë +%&")])
    ):
        base = signature_v3.construct_post_url(url, grouped(fields)).decode()
        signature = signature_v3.get_signature_v3(TOKEN.encode(), base, b"77").decode()
        headers = {
            "X-Plivo-Signature-V3": f"AAAA,{signature}",
            "X-Plivo-Signature-V3-Nonce": "77",
            "Content-Type": made.FORM,
        }
        assert plivo.verified(TOKEN, "POST", url, headers, made.plivo(fields, url).body)


# Telnyx


def telnyx_says(sent: Sent) -> bool:
    try:
        verify_webhook_signature(sent.body, sent.headers, PUBLIC_KEY)
    except WebhookVerificationError:
        return False
    return True


@given(note=VALUES, off=st.sampled_from([0, 290, -290, 310, -310, 100_000]))
def test_telnyx_believes_what_we_believe(note: str, off: int) -> None:
    sent = made.telnyx({"data": {"note": note}}, at=time.time() + off)
    for one in (sent, sent._replace(body=sent.body + b" "), sent._replace(headers={})):
        assert bool(telnyx.verified(PUBLIC_KEY, *one)) == telnyx_says(one)


def test_telnyx_believes_neither_what_is_no_signature() -> None:
    sent = made.telnyx({"data": {}}, at=time.time())
    for signature in ("", "AAAA", "é", base64.b64encode(bytes(64)).decode()):
        headers = {**sent.headers, "telnyx-signature-ed25519": signature}
        assert not telnyx_says(sent._replace(headers=headers))
        assert not telnyx.verified(PUBLIC_KEY, *sent._replace(headers=headers))


def literals(kind: Any) -> set[str]:
    """The words that a field of the library may be."""
    found: set[str] = set()
    for argument in typing.get_args(kind):
        found |= {argument} if isinstance(argument, str) else literals(argument)
    return found


def test_the_table_has_every_cause_and_source_of_telnyx() -> None:
    fields = HangupPayload.model_fields
    causes = literals(fields["hangup_cause"].annotation)
    assert len(causes) > 5
    assert causes <= tables.TELNYX_CAUSES.keys()
    assert literals(fields["hangup_source"].annotation) == {"caller", "callee", "unknown"}


def test_every_webhook_of_a_call_of_telnyx_is_known() -> None:
    kinds = [one for one in typing.get_args(UnwrapWebhookEvent) if hasattr(one, "model_fields")]
    events: set[str] = set()
    for kind in kinds:
        data = kind.model_fields.get("data")
        for one in typing.get_args(data.annotation) if data is not None else ():
            field = getattr(one, "model_fields", {}).get("event_type")
            events |= literals(field.annotation) if field is not None else set()
    calls = {event for event in events if event.startswith("call.")}
    assert {"call.initiated", "call.answered", "call.hangup", "call.bridged"} <= calls
    for event in calls - {"call.hangup"}:
        assert callback.telnyx({"data": {"event_type": event}}).is_known


@pytest.mark.parametrize("name", ["call_control_id", "call_leg_id", "sip_hangup_cause"])
def test_the_fields_that_are_read_of_telnyx_are_there(name: str) -> None:
    assert name in HangupPayload.model_fields


# LiveKit


def livekit_signed(body: str, secret: str = LIVEKIT_SECRET, key: str = LIVEKIT_KEY) -> AccessToken:
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    return AccessToken(key, secret).with_sha256(digest)


def livekit_says(body: str, token: str) -> bool:
    try:
        WebhookReceiver(TokenVerifier(LIVEKIT_KEY, LIVEKIT_SECRET)).receive(body, token)
    except Exception:  # whatever it is called: it is not believed
        return False
    return True


@given(name=VALUES, minutes=st.sampled_from([5, 0, -2, 600]))
def test_livekit_signs_what_we_believe(name: str, minutes: int) -> None:
    body = json.dumps({"event": "room_started", "room": {"sid": "RM_1", "name": name}})
    webhooks = LiveKitWebhooks(Patter(carrier="none", telemetry=False), LIVEKIT_KEY, LIVEKIT_SECRET)
    lasting = dt.timedelta(minutes=minutes)
    tokens = [
        livekit_signed(body).with_ttl(lasting).to_jwt(),
        livekit_signed(body + " ").with_ttl(lasting).to_jwt(),
        livekit_signed(body, secret="another secret that is long enough").to_jwt(),
        livekit_signed(body, key="another").to_jwt(),
        AccessToken(LIVEKIT_KEY, LIVEKIT_SECRET).to_jwt(),
        livekit_signed(body).to_jwt()[:-4] + "AAAA",
        "",
        name,
    ]
    for token in tokens:
        said = bool(webhooks.verified({"Authorization": token}, body.encode()))
        assert said == livekit_says(body, token)


def test_what_is_read_of_a_webhook_is_there() -> None:
    """The JSON that the server sends is that of these messages."""
    names = {field.json_name for field in WebhookEvent.DESCRIPTOR.fields}
    read = {"event", "id", "room", "participant", "track", "egressInfo", "ingressInfo"}
    assert read | {"numDropped", "roomEndReason"} <= names
    of = {field.json_name: field.message_type for field in WebhookEvent.DESCRIPTOR.fields}
    for message, fields in {
        "room": {"sid", "name"},
        "participant": {"sid", "identity", "disconnectReason"},
        "track": {"sid", "type", "source", "mimeType", "muted"},
        "egressInfo": {"egressId", "roomId", "status", "error", "errorCode", "sourceType"},
        "ingressInfo": {"ingressId", "inputType", "state"},
    }.items():
        assert fields <= {field.json_name for field in of[message].fields}, message
