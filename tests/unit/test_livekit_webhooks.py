"""Webhooks of a LiveKit server: believed if they are signed, and emitted once, in any order."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import hmac
import itertools
import json
import time
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from getpatter import Patter
from getpatter.calls import Event, Hub
from getpatter.integrations.livekit_server import LiveKitWebhooks
from getpatter.integrations.livekit_server.events import read
from getpatter.integrations.livekit_server.rooms import Rooms

KEY, SECRET = "an-invented-key", "an invented secret that is long enough"
NOW = 1_800_000_000.0
LONG = 60.0


def part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def token(body: bytes, secret: str = SECRET, head: Any = None, **claims: Any) -> str:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    said = {"iss": KEY, "nbf": NOW, "exp": NOW + 300, "sha256": digest, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    head = {"alg": "HS256", "typ": "JWT"} if head is None else head
    signed = f"{part(json.dumps(head).encode())}.{part(json.dumps(said).encode())}"
    mac = hmac.new(secret.encode(), signed.encode(), "sha256").digest()
    return f"{signed}.{part(mac)}"


def listened() -> tuple[LiveKitWebhooks, Patter, list[Event]]:
    events: list[Event] = []
    phone = Patter(carrier="none", telemetry=False, diagnostics=Hub(events.append))
    return LiveKitWebhooks(phone, KEY, SECRET), phone, events


# what is believed


def refusal(body: bytes, given: str, *, now: float = NOW) -> str:
    webhooks, _, _ = listened()
    checked = webhooks.verified({"Authorization": given}, body, now=now)
    assert bool(checked) is not bool(checked.refusal)
    return checked.refusal


def test_what_the_server_signed_is_believed() -> None:
    body = b'{"event": "room_started"}'
    assert refusal(body, token(body)) == ""
    assert refusal(body, f"Bearer {token(body)}") == ""
    assert refusal(body, token(body, nbf=None, iat=NOW)) == ""


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "another"}, "bad_signature"),
        ({"iss": None}, "bad_signature"),
        ({"aud": "others"}, "bad_signature"),
        ({"exp": None}, "stale"),
        ({"exp": NOW - 61}, "stale"),
        ({"exp": "tomorrow"}, "stale"),
        ({"exp": True}, "stale"),
        ({"nbf": NOW + 61}, "stale"),
        ({"iat": NOW + 61}, "stale"),
        ({"sha256": None}, "unsigned_body"),
        ({"sha256": ""}, "unsigned_body"),
        ({"sha256": "AAAA"}, "bad_signature"),
        ({"sha256": 7}, "unsigned_body"),
    ],
)
def test_a_token_that_says_something_else_is_not(claims: dict[str, Any], why: str) -> None:
    assert refusal(b"{}", token(b"{}", **claims)) == why


def test_the_clocks_may_differ_by_a_minute() -> None:
    assert refusal(b"{}", token(b"{}", exp=NOW - 59)) == ""
    assert refusal(b"{}", token(b"{}", nbf=NOW + 59)) == ""


@pytest.mark.parametrize(
    "head",
    [{"alg": "none"}, {"alg": "HS512"}, {"alg": "hs256"}, {}, {"alg": "HS256", "crit": ["x"]}],
)
def test_the_token_does_not_choose_how_it_is_looked_at(head: dict[str, Any]) -> None:
    assert refusal(b"{}", token(b"{}", head=head)) == "bad_signature"


def test_what_was_changed_is_not_believed() -> None:
    good = token(b"{}")
    signed, _, mac = good.rpartition(".")
    assert refusal(b"{ }", good) == "bad_signature"
    assert refusal(b"{}", token(b"{}", secret="another")) == "bad_signature"
    assert refusal(b"{}", f"{signed}.{part(bytes(32))}") == "bad_signature"
    assert refusal(b"{}", f"{signed}.") == "bad_signature"
    other = token(b"{}", exp=NOW + 999).rpartition(".")[0]
    assert refusal(b"{}", f"{other}.{mac}") == "bad_signature"
    assert refusal(b"[]", token(b"[]")) == "malformed"


@given(text=st.text(max_size=40), body=st.binary(max_size=40))
def test_whatever_arrives_nothing_is_raised(text: str, body: bytes) -> None:
    webhooks, _, _ = listened()
    for given_token in (text, f"{text}.{text}.{text}", f"{part(b'[]')}.{part(b'{}')}.{text}"):
        assert not webhooks.verified({"Authorization": given_token}, body, now=NOW)
    assert not webhooks.verified({}, body)
    assert webhooks.verified(None, body).refusal == "malformed"  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "secret"), [("", SECRET), (KEY, ""), (KEY, None)])
def test_no_secret_believes_nothing(key: str, secret: Any) -> None:
    _, phone, _ = listened()
    checked = LiveKitWebhooks(phone, key, secret).verified(
        {"Authorization": token(b"{}", secret="")}, b"{}", now=NOW
    )
    assert checked.refusal == "no_secret"


# what is emitted

ROOM = {"sid": "RM_1", "name": "reception"}
_IDS = itertools.count()


def webhook(event: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "id": f"EV_{next(_IDS)}", "room": ROOM, **more}


def person(identity: str = "alice", sid: str = "PA_1", **more: Any) -> dict[str, Any]:
    return {"participant": {"identity": identity, "sid": sid, **more}}


TRACK = {"track": {"sid": "TR_1", "source": "MICROPHONE", "mimeType": "audio/opus"}}
CALL = [
    webhook("room_started"),
    webhook("participant_joined", **person()),
    webhook("track_published", **person(), **TRACK),
    webhook("track_unpublished", **person(), **TRACK),
    webhook("participant_left", **person(disconnectReason="CLIENT_INITIATED")),
    webhook("room_finished", roomEndReason="ROOM_END_IDLE_TIMEOUT"),
]


def emitted(phone: Patter, events: list[Event]) -> list[tuple[str, dict[str, object]]]:
    """The events of the room, without what the statistics add."""
    assert phone.diagnostics.flush(LONG)
    left_out = ("call", "webhook", "participant_stats")
    return [
        (event.type, {name: value for name, value in event.data.items() if name != "call"})
        for event in sorted(events, key=lambda event: event.sequence)
        if event.type not in left_out
    ]


def test_a_call_as_it_is_told() -> None:
    webhooks, phone, events = listened()
    for fields in CALL:
        assert webhooks.event(fields)
    owner = {"participant": "alice", "owner": "livekit_webhook"}
    track = {"participant": "alice", "track": "TR_1"}
    heard = {"media_type": "audio", "source": "microphone", "codec": "audio/opus", "muted": False}
    assert emitted(phone, events) == [
        ("room_started", {"metadata": {"room": "reception"}}),
        ("participant_joined", owner),
        ("participant_active", owner),
        ("track_published", {**track, **heard}),
        ("track_unpublished", track),
        ("participant_left", {**owner, "reason": "client_initiated"}),
        ("room_ended", {"reason": "room_end_idle_timeout"}),
    ]
    assert {event.session for event in events} == {"RM_1"}


@given(order=st.permutations(CALL[:-1]), repeats=st.lists(st.sampled_from(CALL), max_size=4))
@settings(max_examples=60)
def test_in_any_order_each_participant_ends_once(
    order: list[dict[str, Any]], repeats: list[dict[str, Any]]
) -> None:
    webhooks, phone, events = listened()
    for fields in (*order, CALL[-1], *repeats):
        webhooks.event(fields)
    kinds = [kind for kind, _ in emitted(phone, events)]
    assert kinds[0] == "room_started"
    assert kinds[-1] == "room_ended"
    for kind in ("room_started", "participant_joined", "participant_left", "room_ended"):
        assert kinds.count(kind) == 1
    assert "connection_aborted" not in kinds


def test_what_comes_after_the_end_says_nothing() -> None:
    webhooks, phone, events = listened()
    webhooks.event(webhook("participant_left", **person()))
    assert webhooks.event(webhook("participant_joined", **person())).status == "late"
    webhooks.event(webhook("room_finished"))
    assert webhooks.event(webhook("participant_joined", **person("bob", "PA_2"))).status == "late"
    assert webhooks.event(webhook("room_started")).status == "late"
    kinds = [kind for kind, _ in emitted(phone, events)]
    assert kinds.count("participant_left") == 1
    assert kinds[-1] == "room_ended"


def test_somebody_who_comes_back_is_another_participant() -> None:
    webhooks, phone, events = listened()
    for fields in (
        webhook("participant_joined", **person(sid="PA_1")),
        webhook("participant_joined", **person(sid="PA_2")),  # that PA_1 left comes later
        webhook("participant_left", **person(sid="PA_1")),
        webhook("participant_left", **person(sid="PA_2")),
    ):
        webhooks.event(fields)
    kinds = [kind for kind, _ in emitted(phone, events) if kind.startswith("participant_")]
    assert kinds == ["participant_joined", "participant_active", "participant_left"] * 2


def test_a_connection_that_was_aborted_never_was_active() -> None:
    webhooks, phone, events = listened()
    webhooks.event(webhook("participant_connection_aborted", **person()))
    kinds = [kind for kind, _ in emitted(phone, events)]
    assert kinds == ["room_started", "participant_joined", "connection_aborted"]


@pytest.mark.parametrize(
    ("fields", "kind", "data"),
    [
        (
            {
                "event": "egress_ended",
                "egressInfo": {"egressId": "EG_1", "status": "EGRESS_FAILED", "error": "disk"},
            },
            "egress_ended",
            {"egress": "EG_1", "status": "egress_failed", "error": "disk"},
        ),
        (
            {
                "event": "ingress_started",
                "ingressInfo": {
                    "ingressId": "IN_1",
                    "inputType": "WHIP_INPUT",
                    "state": {"status": "ENDPOINT_PUBLISHING"},
                },
            },
            "ingress_started",
            {"ingress": "IN_1", "ingress_kind": "whip_input", "status": "endpoint_publishing"},
        ),
    ],
)
def test_egress_and_ingress(fields: dict[str, Any], kind: str, data: dict[str, object]) -> None:
    webhooks, phone, events = listened()
    assert webhooks.event(fields)
    assert emitted(phone, events) == [(kind, data)]


def test_webhooks_that_the_server_dropped_are_counted() -> None:
    webhooks, phone, events = listened()
    webhooks.event(webhook("room_started", numDropped=2))
    webhooks.event(webhook("participant_joined", **person(), numDropped="3"))
    assert webhooks.dropped == 5
    assert phone.diagnostics.flush(LONG)
    reports = [event.data["content"] for event in events if event.type == "report"]
    assert reports == [{"dropped": 2}, {"dropped": 3}]


def test_a_room_whose_end_never_comes_ends_when_there_are_many() -> None:
    webhooks, phone, events = listened()
    for number in range(1_001):
        webhooks.event({**webhook("room_started"), "room": {"sid": f"RM_{number}"}})
    assert phone.diagnostics.flush(LONG)
    assert [event.session for event in events if event.type == "room_ended"] == ["RM_0"]
    webhooks.close()
    assert phone.diagnostics.flush(LONG)
    assert sum(event.type == "room_ended" for event in events) == 1_001


def test_a_room_of_which_nothing_came_for_a_day_has_ended() -> None:
    _, phone, events = listened()
    rooms = Rooms(phone)
    for number, at in enumerate((0.0, 80_000.0, 86_399.0, 86_400.0)):
        fields = {**webhook("room_started"), "room": {"sid": f"RM_{number % 3}"}}
        rooms.take(read(fields), at)
    assert phone.diagnostics.flush(LONG)
    assert [event.session for event in events if event.type == "room_ended"] == ["RM_0"]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_behind_a_server_what_was_signed_is_taken(kind: str) -> None:
    webhooks, phone, events = listened()
    body = json.dumps(CALL[1]).encode()
    good = token(body, nbf=None, exp=time.time() + 60)
    statuses = [answer(webhooks, kind, body, one) for one in (good, token(b"other"), "")]
    statuses.append(answer(webhooks, kind, b"a" * 1_100_000, good))
    assert statuses == [204, 403, 403, 413]
    kinds = [kind for kind, _ in emitted(phone, events)]
    assert kinds == ["room_started", "participant_joined", "participant_active"]


def answer(webhooks: LiveKitWebhooks, kind: str, body: bytes, signed: str) -> int:
    """The status that answers a request, as a server would call the application."""
    statuses: list[int] = []
    if kind == "wsgi":
        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": signed,
            "wsgi.input": BytesIO(body),
        }
        webhooks.wsgi()(environ, lambda status, _: statuses.append(int(status[:3])))
        return statuses[0]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def ask() -> None:
        headers = [(b"authorization", signed.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        await webhooks.asgi()(scope, receive, send)

    asyncio.run(ask())
    return statuses[0]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "unknown_event"),
        ({"event": "dancing"}, "unknown_event"),
        ({"event": "room_started"}, "malformed"),
        ({"event": "participant_joined", "room": ROOM}, "malformed"),
        ({"event": "track_published", "room": ROOM, **person()}, "malformed"),
        ({"event": "egress_started"}, "malformed"),
        ({"event": ["room_started"], "room": 7, "participant": "x"}, "unknown_event"),
        (None, "malformed"),
        (7, "malformed"),
    ],
)
def test_what_is_no_webhook_says_nothing(fields: Any, status: str) -> None:
    webhooks, _, _ = listened()
    assert webhooks.event(fields).status == status


def test_a_repeat_says_nothing() -> None:
    webhooks, _, _ = listened()
    fields = webhook("room_started")
    assert webhooks.event(fields)
    assert webhooks.event(fields).status == "repeated"


def test_nothing_of_a_room_is_telemetry_and_off_is_off() -> None:
    phone = Patter(carrier="none", telemetry=False, diagnostics=False)
    webhooks = LiveKitWebhooks(phone, KEY, SECRET)
    for fields in CALL:
        assert webhooks.event(fields)


# a room without a call


def test_a_room_has_participants_and_ends_once() -> None:
    _, phone, events = listened()
    room = phone.room("mine")
    assert room.id == room.session == "mine"
    assert room.event("participant_active", "alice")
    assert room.sample("alice", {"track": "mic", "direction": "up", "packets": 50})
    assert room.connection("alice", connection_state="online")
    room.end()
    room.end()
    assert phone.diagnostics.flush(LONG)
    kinds = [event.type for event in events if event.type != "participant_stats"]
    assert kinds == ["room_started", "participant_active", "participant_left", "room_ended"]


def test_a_room_that_nobody_refers_to_ends() -> None:
    _, phone, events = listened()
    room = phone.room()
    room.event("participant_active", "alice")
    del room
    gc.collect()
    assert phone.diagnostics.flush(LONG)
    assert events[-1].type == "room_ended"
