"""A request is believed if the carrier signed it, and only then."""

from __future__ import annotations

import base64
import sys

import carrier_requests as made
import pytest
from carrier_requests import NOW, PUBLIC_KEY, TOKEN, URL, Sent
from hypothesis import given
from hypothesis import strategies as st

from getpatter.integrations.carriers import (
    Carrier,
    callback,
    plivo,
    signatures,
    telnyx,
    twilio,
)

FIELDS = [("CallSid", "CA1"), ("CallStatus", "busy"), ("To", "+15550001111"), ("Empty", "")]
CARRIERS = {"twilio": twilio, "telnyx": telnyx, "plivo": plivo}


def why(name: str, sent: Sent, secret: object = None, **options: str) -> str:
    """Why a request is not believed; "" if it is."""
    secret = made.SECRETS[name] if secret is None else secret
    checked = CARRIERS[name].verified(secret, *sent, now=NOW, **options)  # type: ignore[arg-type]
    assert bool(checked) is not bool(checked.refusal)
    assert checked or not checked.fields
    return checked.refusal


ALL = {
    "twilio form": ("twilio", made.twilio(FIELDS)),
    "twilio get": ("twilio", made.twilio(FIELDS, URL + "?tenant=1", method="GET")),
    "twilio json": ("twilio", made.twilio_json({"CallSid": "CA1"})),
    "twilio shared key": ("twilio", made.twilio(FIELDS, shared=True)),
    "twilio repeated": ("twilio", made.twilio([*FIELDS, ("To", "b"), ("To", "a"), ("To", "a")])),
    "twilio other characters": ("twilio", made.twilio([("CallerName", "Zoë & 日本 +%")])),
    "plivo form": ("plivo", made.plivo(FIELDS)),
    "plivo with a query": ("plivo", made.plivo(FIELDS, URL + "?b=2&a=1")),
    "plivo get": ("plivo", made.plivo(FIELDS[:3], method="GET")),
    "plivo without fields": ("plivo", made.plivo([], URL + "?a=1")),
    "plivo main account": ("plivo", made.plivo(FIELDS, header="X-Plivo-Signature-Ma-V3")),
    "plivo repeated": ("plivo", made.plivo([*FIELDS, ("To", "b"), ("To", "a"), ("To", "a")])),
    "telnyx": ("telnyx", made.hangup("user_busy", note="Zoë 日本")),
}


@pytest.mark.parametrize(("name", "sent"), ALL.values(), ids=ALL)
def test_what_the_carrier_signed_is_believed(name: str, sent: Sent) -> None:
    assert why(name, sent) == ""


@pytest.mark.parametrize(("name", "sent"), ALL.values(), ids=ALL)
def test_what_was_changed_is_not(name: str, sent: Sent) -> None:
    for changed in (
        sent._replace(url=sent.url + ("&" if "?" in sent.url else "?") + "more=1"),
        sent._replace(body=sent.body + b"&more=1") if sent.body else sent,
        sent._replace(body=sent.body[:-3]) if sent.body else sent,
    ):
        if changed != sent and not (name == "telnyx" and changed.body == sent.body):
            assert why(name, changed), changed


@pytest.mark.parametrize(("name", "sent"), ALL.values(), ids=ALL)
def test_without_its_headers_it_is_not(name: str, sent: Sent) -> None:
    signed = {key: value for key, value in sent.headers.items() if key.lower() != "content-type"}
    for missing in signed:
        if missing.endswith("Settings"):
            continue
        headers = {key: value for key, value in sent.headers.items() if key != missing}
        assert why(name, sent._replace(headers=headers)) == "no_signature"
        assert why(name, sent._replace(headers={**headers, missing: "é=="}))
    assert why(name, sent._replace(headers={})) == "no_signature"


@pytest.mark.parametrize(("name", "sent"), ALL.values(), ids=ALL)
@pytest.mark.parametrize("secret", ["", None, b"bytes", 7, "x"])
def test_no_secret_believes_nothing(name: str, sent: Sent, secret: object) -> None:
    checked = CARRIERS[name].verified(secret, *sent, now=NOW)  # type: ignore[arg-type]
    assert checked.refusal in ("no_secret", "bad_signature")
    assert secret == "x" or checked.refusal == "no_secret"


@pytest.mark.parametrize("name", CARRIERS)
def test_a_secret_of_someone_else_believes_nothing(name: str) -> None:
    other = base64.b64encode(bytes(32)).decode()
    for kind, sent in ALL.values():
        if kind == name:
            assert why(name, sent, other) == "bad_signature"


def test_twilio_may_sign_with_the_port_or_without() -> None:
    for signed, asked in (
        ("https://voice.example.com:443/s", "https://voice.example.com/s"),
        ("https://voice.example.com/s", "https://voice.example.com:8443/s"),
        ("http://voice.example.com:80/s?a=1", "http://voice.example.com/s?a=1"),
    ):
        sent = made.twilio(FIELDS, signed)
        assert why("twilio", sent._replace(url=asked)) == ""
        assert why("twilio", sent._replace(url=asked.replace("voice", "other"))) == "bad_signature"


@pytest.mark.parametrize("name", ["twilio", "plivo"])
def test_behind_a_proxy_the_public_url_counts(name: str) -> None:
    sign = getattr(made, name)
    sent = sign(FIELDS, "https://voice.example.com/base/status?a=1")
    inside = sent._replace(url="http://10.0.0.7:8000/status?a=1")
    assert why(name, inside) == "bad_signature"
    assert why(name, inside, public_url="https://voice.example.com/base") == ""
    assert why(name, inside, public_url="https://voice.example.com/base/") == ""
    assert why(name, inside, public_url="https://voice.example.com") == "bad_signature"


def test_the_older_signature_of_plivo_is_not_enough() -> None:
    sent = made.plivo(FIELDS)
    headers = {name.replace("V3", "V2"): value for name, value in sent.headers.items()}
    assert why("plivo", sent._replace(headers=headers)) == "no_signature"


def test_plivo_signs_with_both_tokens_while_one_is_changed() -> None:
    sent = made.plivo(FIELDS)
    both = "AAAA," + sent.headers["X-Plivo-Signature-V3"]
    headers = {**sent.headers, "X-Plivo-Signature-V3": both}
    assert why("plivo", sent._replace(headers=headers)) == ""


@pytest.mark.parametrize(("off", "refusal"), [(0, ""), (300, ""), (-300, ""), (301, "stale")])
def test_an_old_request_of_telnyx_is_stale(off: int, refusal: str) -> None:
    sent = made.telnyx({"data": {}}, at=NOW + off)
    assert why("telnyx", sent) == refusal


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9", "\uff11\uff18", "9" * 40])
def test_a_time_that_is_none_is_not_believed(stamp: str) -> None:
    sent = made.telnyx({"data": {}})
    headers = {**sent.headers, "telnyx-timestamp": stamp}
    assert why("telnyx", sent._replace(headers=headers)) in ("malformed", "no_signature", "stale")


def test_a_body_that_the_url_has_no_digest_of_is_not_signed() -> None:
    sent = made.twilio_json({"CallSid": "CA1"})
    bare = made.twilio([], URL)
    json_headers = {**bare.headers, "Content-Type": "application/json"}
    assert why("twilio", bare._replace(headers=json_headers, body=b"{}")) == "unsigned_body"
    assert why("twilio", sent._replace(body=b"{}")) == "bad_signature"
    form = made.plivo([])
    headers = {**form.headers, "Content-Type": "application/json"}
    assert why("plivo", form._replace(headers=headers, body=b"{}")) == "unsigned_body"


def test_an_algorithm_that_is_none_is_not_believed() -> None:
    sent = made.twilio(FIELDS, shared=True)
    for said in ("algorithm=none", "algorithm=HMAC_MD5", "key=1,algorithm=HMAC_SHA1"):
        headers = {**sent.headers, "X-Twilio-Webhooks-Signature-Settings": said}
        assert why("twilio", sent._replace(headers=headers)) == "bad_signature"


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"method": "DELETE"}, "method"),
        ({"body": b"a" * 1_048_577}, "too_large"),
        ({"url": "http://[::1"}, "malformed"),
        ({"url": None}, "malformed"),
        ({"headers": None}, "malformed"),
        ({"headers": [("a",)]}, "malformed"),
        ({"headers": {1: 2}}, "malformed"),
        ({"body": "text"}, "malformed"),
        ({"body": None}, "malformed"),
        ({"method": None}, "malformed"),
    ],
)
def test_what_no_carrier_sends_is_refused(
    name: str, change: dict[str, object], refusal: str
) -> None:
    sent = next(sent for kind, sent in ALL.values() if kind == name)
    got = why(name, sent._replace(**change))  # type: ignore[arg-type]
    # The URL is no part of what Telnyx signs.
    assert got == refusal or ("url" in change and (got or name == "telnyx"))


@pytest.mark.parametrize("body", [b"\xff=1", b"a=%ff", b"&".join([b"a=1"] * 600)])
def test_a_form_that_is_none_is_refused(body: bytes) -> None:
    for name, sent in (("twilio", made.twilio([])), ("plivo", made.plivo([]))):
        headers = {**sent.headers, "Content-Type": made.FORM}
        assert why(name, sent._replace(headers=headers, body=body)) == "malformed"


@pytest.mark.parametrize("content", [[1], "text", None, 7])
def test_json_that_is_no_object_is_refused(content: object) -> None:
    assert why("telnyx", made.telnyx(content)) == "malformed"  # type: ignore[arg-type]
    assert why("twilio", made.twilio_json(content)) == "malformed"  # type: ignore[arg-type]


def test_headers_may_come_as_pairs_of_bytes_and_in_any_case() -> None:
    sent = made.twilio(FIELDS)
    pairs = [(name.upper().encode(), value.encode()) for name, value in sent.headers.items()]
    checked = twilio.verified(TOKEN, sent.method.lower(), sent.url, pairs, sent.body)
    assert checked.fields == dict(FIELDS)


def test_two_signatures_of_twilio_are_none() -> None:
    sent = made.twilio(FIELDS)
    pairs = [*sent.headers.items(), ("x-twilio-signature", "AAAA")]
    assert twilio.verified(TOKEN, sent.method, sent.url, pairs, sent.body).refusal


@pytest.mark.parametrize("absent", ["nacl", "cryptography"])
def test_either_library_will_do_for_telnyx(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == absent]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    sent = made.hangup("user_busy")
    assert why("telnyx", sent) == ""
    assert why("telnyx", sent._replace(body=sent.body + b" ")) == "bad_signature"


def test_without_a_library_telnyx_believes_nothing_and_says_once_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for absent in ("nacl", "cryptography"):
        for name in [name for name in sys.modules if name.split(".")[0] == absent]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, absent, None)
    carrier = Carrier("telnyx", signatures.telnyx, callback.telnyx)
    for _ in range(3):
        assert carrier.verified(PUBLIC_KEY, *made.hangup("x"), now=NOW).refusal == "no_library"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("getpatter: telnyx: ")
    assert "pip install" in line


def test_a_public_key_that_is_none_believes_nothing() -> None:
    sent = made.hangup("user_busy")
    for key in ("AAAA", PUBLIC_KEY[:-4], PUBLIC_KEY + "AAAA", "é" * 44):
        assert why("telnyx", sent, key) == "no_secret"


@given(
    fields=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6),
    query=st.lists(st.tuples(st.text("ab", min_size=1), st.text("cd")), max_size=3),
)
def test_any_form_that_was_signed_is_believed(
    fields: list[tuple[str, str]], query: list[tuple[str, str]]
) -> None:
    from urllib.parse import urlencode

    encodable = [one for one in fields if all(text.isprintable() for text in one)]
    url = URL + (f"?{urlencode(query)}" if query else "")
    assert why("twilio", made.twilio(encodable, url)) == ""
    assert why("plivo", made.plivo(encodable, url)) == ""


@given(body=st.binary(max_size=200), text=st.text(max_size=60))
def test_whatever_arrives_nothing_is_raised(body: bytes, text: str) -> None:
    for name, carrier in CARRIERS.items():
        headers = {key: text for _, sent in ALL.values() for key in sent.headers}
        for method, url in (("POST", URL), ("GET", f"{URL}?{text}"), (text, text)):
            assert not carrier.verified(made.SECRETS[name], method, url, headers, body, now=NOW)
