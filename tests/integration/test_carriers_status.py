"""Callbacks of carriers and the calls that they are about: one call, one `call_completed`."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import carrier_requests as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from getpatter import Patter
from getpatter.calls import Event, Hub, Redaction
from getpatter.integrations.carriers import plivo, telnyx, twilio

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

LONG = 60.0
CARRIERS = {"twilio": twilio, "telnyx": telnyx, "plivo": plivo}
Callback = dict[str, Any]


def twilio_status(status: str, **more: str) -> Callback:
    return {"CallSid": "CA1", "CallStatus": status, "Direction": "outbound-api", **more}


def plivo_status(status: str, **more: str) -> Callback:
    return {"CallUUID": "u1", "RequestUUID": "r1", "CallStatus": status, **more}


def telnyx_event(event: str, **payload: str) -> Callback:
    ids = {"call_control_id": "v3:1", "call_leg_id": "leg-1"}
    return {"data": {"event_type": event, "payload": {**ids, **payload}}}


# All callbacks of one call; the last one says the end.
UNANSWERED: dict[str, tuple[str, list[Callback], str]] = {
    "twilio busy": (
        "twilio",
        [*map(twilio_status, ("queued", "initiated", "ringing", "busy"))],
        "busy",
    ),
    "twilio failed": (
        "twilio",
        [twilio_status("initiated"), twilio_status("failed", SipResponseCode="503")],
        "error",
    ),
    "telnyx": (
        "telnyx",
        [telnyx_event("call.initiated"), telnyx_event("call.hangup", hangup_cause="timeout")],
        "no_answer",
    ),
    "plivo": (
        "plivo",
        [plivo_status("ringing"), plivo_status("timeout", HangupCauseCode="3000")],
        "no_answer",
    ),
}
ANSWERED: dict[str, tuple[str, list[Callback], str]] = {
    "twilio": (
        "twilio",
        [*map(twilio_status, ("initiated", "ringing", "in-progress", "completed"))],
        "completed",
    ),
    "telnyx": (
        "telnyx",
        [
            telnyx_event("call.initiated"),
            telnyx_event("call.answered"),
            telnyx_event("call.hangup", hangup_cause="normal_clearing", hangup_source="caller"),
        ],
        "hangup_remote",
    ),
    "plivo": (
        "plivo",
        [
            plivo_status("in-progress"),
            plivo_status("completed", HangupCauseCode="4000", HangupSource="Callee"),
        ],
        "hangup_local",
    ),
}
IDS = {"twilio": "CA1", "telnyx": "leg-1", "plivo": "r1"}


def listened() -> tuple[Patter, list[Event]]:
    events: list[Event] = []
    phone = Patter(carrier="none", telemetry=False, diagnostics=Hub(events.append))
    return phone, events


def endings(phone: Patter, events: list[Event]) -> list[object]:
    """How the calls ended, in the words of `call_completed`."""
    assert phone.diagnostics.flush(LONG)
    return [event.data["disconnect_reason"] for event in events if event.type == "call.ended"]


def orders(callbacks: list[Callback]) -> list[list[Callback]]:
    """Every order of the callbacks, with each of them repeated at the beginning and at the end."""
    found = [list(order) for order in itertools.permutations(callbacks)]
    return [*found, *([*order, *order] for order in found)]


# calls of nobody here


@pytest.mark.parametrize(("name", "callbacks", "reason"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_call_that_nobody_answered_is_reported_once_in_any_order(
    name: str, callbacks: list[Callback], reason: str
) -> None:
    for order in orders(callbacks):
        phone, events = listened()
        for callback in order:
            CARRIERS[name].status(phone, callback)
        assert endings(phone, events) == [reason]


@pytest.mark.parametrize(("name", "callbacks", "_reason"), ANSWERED.values(), ids=ANSWERED)
def test_a_call_with_media_elsewhere_is_not_reported_here(
    name: str, callbacks: list[Callback], _reason: str
) -> None:
    for order in orders(callbacks):
        phone, events = listened()
        answers = [CARRIERS[name].status(phone, callback).status for callback in order]
        assert endings(phone, events) == []
        assert set(answers) == {"ok", "unknown_call"}


def test_a_call_that_plivo_says_was_answered_is_not_reported_here_whatever_its_code() -> None:
    phone, events = listened()
    answer = plivo.status(phone, plivo_status("completed", HangupCauseCode="8011"))
    assert answer.status == "unknown_call"
    assert endings(phone, events) == []


# calls that are known


@pytest.mark.parametrize(("name", "callbacks", "reason"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_known_call_that_nobody_answered_ends_once_in_any_order(
    name: str, callbacks: list[Callback], reason: str
) -> None:
    for order in orders(callbacks):
        phone, events = listened()
        call = phone.call(direction="outbound")
        call.known_as(name, IDS[name])
        for callback in order:
            CARRIERS[name].status(phone, callback)
        assert call.reporter.has_ended
        call.end()
        assert endings(phone, events) == [reason]


@pytest.mark.parametrize(("name", "callbacks", "reason"), ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("has_owners", [False, True])
def test_a_known_call_with_media_ends_once_in_any_order(
    name: str, callbacks: list[Callback], reason: str, has_owners: bool
) -> None:
    left = {"media": "left"}
    steps = [*callbacks, left] if has_owners else callbacks
    for order in orders(steps):
        phone, events = listened()
        call = phone.call(direction="inbound", ends_with="caller" if has_owners else None)
        call.known_as(name, IDS[name])
        call.answer()
        call.event("participant_active", "caller", {"owner": "media"})
        for step in order:
            if step is left:
                call.event("participant_left", "caller", {"owner": "media"})
            else:
                CARRIERS[name].status(phone, step)
        assert call.reporter.has_ended is has_owners
        call.end()
        CARRIERS[name].status(phone, callbacks[-1])
        assert endings(phone, events) == [reason]


@pytest.mark.parametrize(("name", "callbacks", "_reason"), ANSWERED.values(), ids=ANSWERED)
def test_a_call_that_was_connected_and_had_no_media_here_failed(
    name: str, callbacks: list[Callback], _reason: str
) -> None:
    phone, events = listened()
    with phone.call(direction="inbound") as call:
        call.known_as(name, IDS[name])
        for callback in callbacks:
            CARRIERS[name].status(phone, callback)
    assert endings(phone, events) == ["error"]
    (end,) = [event.data for event in events if event.type == "call.ended"]
    assert (end["outcome"], end["error_layer"]) == ("failed", "carrier")


@given(data=st.data())
@settings(max_examples=60)
def test_several_calls_with_repeats_in_any_order_end_once_each(data: st.DataObject) -> None:
    """Whatever of them is known here, and wherever the host ends its own."""
    phone, events = listened()
    known = phone.call(direction="inbound")
    known.known_as("telnyx", "leg-1")
    known.answer()
    callbacks = [
        *[("twilio", one) for one in UNANSWERED["twilio busy"][1]],
        *[("telnyx", one) for one in ANSWERED["telnyx"][1]],
        *[("plivo", one) for one in UNANSWERED["plivo"][1]],
    ]
    repeats = data.draw(st.lists(st.sampled_from(callbacks), max_size=8))
    for name, callback in data.draw(st.permutations([*callbacks, *repeats])):
        CARRIERS[name].status(phone, callback)
    known.end()
    assert sorted(endings(phone, events), key=str) == ["busy", "hangup_remote", "no_answer"]
    assert sum(event.type == "call.started" for event in events) == 3


# what is said of it on this machine


def test_each_callback_is_an_event_of_the_host_and_of_its_call() -> None:
    phone, events = listened()
    call = phone.call(direction="inbound", session="mine")
    call.known_as("twilio", "CA1")
    twilio.status(phone, twilio_status("ringing"))
    assert twilio.status(phone, twilio_status("dancing")).status == "unknown_status"
    assert twilio.status(phone, {"CallStatus": "busy"}).status == "unknown_status"
    call.end()
    assert phone.diagnostics.flush(LONG)
    hosts = [dict(event.data) for event in events if event.type == "webhook"]
    assert hosts == [
        {"event": "twilio ringing"},
        {"event": "twilio dancing", "error_code": "unknown_status"},
        {"event": "twilio busy", "error_code": "unknown_status"},
    ]
    (own,) = [event for event in events if event.type == "carrier.status"]
    assert own.session == "mine"
    assert own.data == {"carrier": "twilio", "status": "ringing"}


def test_a_stranger_writes_no_telemetry() -> None:
    phone, events = listened()
    checked = twilio.verified("other", *made.twilio([("CallSid", "CA1"), ("CallStatus", "busy")]))
    assert not checked
    twilio.refused(phone, checked)
    assert twilio.status(phone, checked.fields).status == "unknown_status"
    assert endings(phone, events) == []
    (event, _) = [event for event in events if event.type == "webhook"]
    assert event.data == {"event": "twilio", "status": 403, "error_code": "bad_signature"}


class Hostile:
    """Whatever is asked of it, it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_whatever_it_is_given_nothing_is_raised() -> None:
    phone, events = listened()
    odd: list[Any] = [None, 7, "text", Hostile(), [("CallSid", "CA1")], {}]
    for carrier, fields in itertools.product(CARRIERS.values(), odd):
        assert carrier.status(phone, fields).status in ("refused_callback", "unknown_status")
    assert endings(phone, events) == []


def test_with_diagnostics_off_calls_are_reported_all_the_same() -> None:
    phone = Patter(carrier="none", telemetry=False, diagnostics=False)
    call = phone.call(direction="outbound")
    call.known_as("twilio", "CA1")
    assert twilio.status(phone, twilio_status("busy"))
    assert call.reporter.has_ended


# telemetry: real processes

STATUS = """
import json, sys
from getpatter import Patter
from getpatter.integrations.carriers import {name} as carrier
phone = Patter(carrier="none")
for fields in json.loads({callbacks!r}):
    print(carrier.status(phone, fields).status)
"""


def completed(receiver: Receiver) -> list[dict[str, Any]]:
    return [event for event in receiver.events if event["event"] == "call_completed"]


@pytest.mark.parametrize(("name", "callbacks", "reason"), UNANSWERED.values(), ids=UNANSWERED)
def test_of_two_processes_one_reports_a_call(
    run_loaded: Run, receiver: Receiver, name: str, callbacks: list[Callback], reason: str
) -> None:
    for order in (callbacks, [*reversed(callbacks), callbacks[-1]]):
        done = run_loaded(STATUS.format(name=name, callbacks=json.dumps(order)))
        assert done.returncode == 0, done.stderr
    (event,) = completed(receiver)
    assert (event["disconnect_reason"], event["carrier"]) == (reason, name)


def test_a_process_that_knows_a_call_and_one_that_hears_of_its_end_report_it_once(
    run_loaded: Run, receiver: Receiver
) -> None:
    busy = json.dumps([twilio_status("busy")])
    assert run_loaded(STATUS.format(name="twilio", callbacks=busy)).returncode == 0
    dialled = """
from getpatter import Patter
phone = Patter(carrier="none")
for sid in ("CA1", "CA2"):
    with phone.call(direction="outbound") as call:
        call.known_as("twilio", sid)
"""
    assert run_loaded(dialled).returncode == 0
    reasons = [event["disconnect_reason"] for event in completed(receiver)]
    assert sorted(reasons) == ["busy", "hangup_local"], "one of CA1, one of CA2"


def test_a_call_with_media_is_reported_whoever_said_what_of_it(
    run_loaded: Run, receiver: Receiver
) -> None:
    busy = json.dumps([twilio_status("busy")])
    assert run_loaded(STATUS.format(name="twilio", callbacks=busy)).returncode == 0
    answered = """
from getpatter import Patter
with Patter(carrier="none").call(direction="inbound") as call:
    call.known_as("twilio", "CA2")
    call.answer()
"""
    assert run_loaded(answered).returncode == 0
    assert [event["outcome"] for event in completed(receiver)] == ["busy", "completed"]


def test_where_no_file_can_be_made_a_call_is_reported(run_loaded: Run, receiver: Receiver) -> None:
    """Better twice than never: which process would be the one is not known."""
    busy = json.dumps([twilio_status("busy")])
    code = STATUS.format(name="twilio", callbacks=busy)
    spoilt = "import os\nopen(os.path.join(os.environ['PATTER_TELEMETRY_STATE_DIR'], 'calls'), 'w')"
    assert run_loaded(code).returncode == 0
    assert len(completed(receiver)) == 1
    directory = run_loaded("import os; print(os.environ['HOME'])").stdout.strip()
    assert directory
    assert run_loaded("import os; os.makedirs('state', mode=0o700)").returncode == 0
    state = {"PATTER_TELEMETRY_STATE_DIR": "state"}
    assert run_loaded(spoilt, catch_up=False, **state).returncode == 0
    assert run_loaded(code, **state).returncode == 0
    assert run_loaded(code, **state).returncode == 0
    assert len(completed(receiver)) == 3


CANARY = "CANARY+15550001111"


def test_no_text_of_a_callback_leaves(run_loaded: Run, receiver: Receiver) -> None:
    """Whatever stands in its fields: of a call only words of our own tables are sent."""
    fields: dict[str, list[Callback]] = {
        "twilio": [
            twilio_status("busy", CallSid=CANARY, To=CANARY, From=CANARY, CallerName=CANARY),
            twilio_status(CANARY, CallSid=CANARY, Direction=CANARY, SipResponseCode=CANARY),
            twilio_status("failed", CallSid="CA9" + CANARY, SipResponseCode=CANARY),
        ],
        "telnyx": [
            telnyx_event(
                "call.hangup", call_control_id=CANARY, hangup_cause="user_busy", to=CANARY,
                hangup_source=CANARY, sip_hangup_cause=CANARY, client_state=CANARY,
            ),
            telnyx_event("call." + CANARY, hangup_cause=CANARY),
        ],
        "plivo": [
            plivo_status("busy", CallUUID=CANARY, To=CANARY, HangupCauseName=CANARY),
            plivo_status(CANARY, HangupSource=CANARY, HangupCauseCode=CANARY),
        ],
    }  # fmt: skip
    for name, callbacks in fields.items():
        done = run_loaded(STATUS.format(name=name, callbacks=json.dumps(callbacks)))
        assert done.returncode == 0, done.stderr
    assert len(completed(receiver)) == 4
    assert "CANARY" not in json.dumps(receiver.events)
    assert "15550001111" not in json.dumps(receiver.events)


def test_no_webhook_of_livekit_is_telemetry(run_loaded: Run, receiver: Receiver) -> None:
    code = f"""
from getpatter import Patter
from getpatter.integrations.livekit_server import LiveKitWebhooks
phone = Patter(carrier="none")
phone.diagnostics.attach(lambda event: None)
webhooks = LiveKitWebhooks(phone, "key", "secret")
room, person = {{"sid": {CANARY!r}, "name": {CANARY!r}}}, {{"identity": {CANARY!r}, "sid": "PA_1"}}
for event in ("room_started", "participant_joined", "participant_left", "room_finished"):
    assert webhooks.event({{"event": event, "room": room, "participant": person}})
assert phone.diagnostics.flush(60)
"""
    done = run_loaded(code)
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events] == ["first_run", "sdk_initialized"]
    assert "CANARY" not in json.dumps(receiver.events)


def test_redaction_removes_the_words_of_callbacks() -> None:
    events: list[Event] = []
    hub = Hub(events.append, redaction=Redaction(redact_text=True))
    phone = Patter(carrier="none", telemetry=False, diagnostics=hub)
    twilio.status(phone, twilio_status(CANARY, CallSid=CANARY))
    assert hub.flush(LONG)
    assert "CANARY" not in repr([event.data for event in events])
