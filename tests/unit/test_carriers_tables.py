"""What each word of a carrier says of the end of a call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from getpatter.integrations.carriers import callback, tables
from getpatter.integrations.carriers.tables import (
    BUSY,
    CANCELED,
    COMPLETED,
    LOCAL,
    NO_ANSWER,
    End,
    failed,
)

REMOTE = End(answered=True, hung_up="remote")
CONFIG = End(answered=False, error="config")


@pytest.mark.parametrize(
    ("status", "sip", "end"),
    [
        ("busy", "", BUSY),
        *[("failed", sip, BUSY) for sip in ("486", "600", "603")],
        ("no-answer", "487", NO_ANSWER),
        *[("failed", sip, NO_ANSWER) for sip in ("408", "480", "487")],
        ("canceled", "", CANCELED),
        *[("failed", sip, failed("auth")) for sip in ("401", "403", "407")],
        *[("failed", sip, failed("input_validation")) for sip in ("404", "484")],
        *[("failed", sip, failed("connection")) for sip in ("500", "503", "599")],
        *[("failed", sip, failed("provider_error")) for sip in ("", "410", "604", "200", "x")],
        ("completed", "200", COMPLETED),
    ],
)
def test_twilio(status: str, sip: str, end: End) -> None:
    read = callback.twilio({"CallSid": "CA1", "CallStatus": status, "SipResponseCode": sip})
    assert (read.ids, read.end, read.is_known) == (("CA1",), end, True)


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress"])
def test_twilio_while_the_call_goes_on(status: str) -> None:
    read = callback.twilio({"CallStatus": status, "Direction": "outbound-api"})
    assert (read.end, read.is_known, read.direction) == (None, True, "outbound")


def telnyx(**payload: Any) -> callback.Callback:
    return callback.telnyx({"data": {"event_type": "call.hangup", "payload": payload}})


@pytest.mark.parametrize(
    ("cause", "sip", "end"),
    [
        ("user_busy", "", BUSY),
        ("call_rejected", "", BUSY),
        ("no_answer", "", NO_ANSWER),
        ("timeout", "", NO_ANSWER),
        ("originator_cancel", "", CANCELED),
        ("not_found", "", failed("input_validation")),
        ("not_found", "404", failed("input_validation")),
        ("not_found", "503", failed("connection")),
        ("unspecified", "503", failed("connection")),
        ("unspecified", "407", failed("auth")),
        ("unspecified", "486", BUSY),
        ("unspecified", "unspecified", COMPLETED),
        ("unspecified", "200", COMPLETED),
        ("normal_clearing", "200", COMPLETED),
        ("time_limit", "", LOCAL),
    ],
)
def test_telnyx(cause: str, sip: str, end: End) -> None:
    read = telnyx(hangup_cause=cause, sip_hangup_cause=sip, hangup_source="unknown")
    assert (read.end, read.is_known) == (end, True)
    assert read.end_for("inbound") == end


@pytest.mark.parametrize(
    ("direction", "source", "end"),
    [
        ("inbound", "caller", REMOTE),
        ("inbound", "callee", LOCAL),
        ("outbound", "caller", LOCAL),
        ("outbound", "callee", REMOTE),
        ("outbound", "unknown", COMPLETED),
        (None, "caller", COMPLETED),
    ],
)
def test_the_near_side_depends_on_the_direction(
    direction: str | None, source: str, end: End
) -> None:
    assert telnyx(hangup_cause="normal_clearing", hangup_source=source).end_for(direction) == end
    read = callback.plivo({"HangupCauseCode": "4000", "HangupSource": source.title()})
    assert read.end_for(direction) == end
    assert telnyx(hangup_cause="user_busy", hangup_source=source).end_for(direction) == BUSY
    assert telnyx(hangup_cause="time_limit", hangup_source=source).end_for(direction) == LOCAL


def test_telnyx_while_the_call_goes_on() -> None:
    for event in ("call.initiated", "call.answered", "call.bridged", "call.cost"):
        payload = {"call_control_id": "c", "call_leg_id": "l", "direction": "incoming"}
        read = callback.telnyx({"data": {"event_type": event, "payload": payload}})
        assert read == callback.Callback(("c", "l"), event, direction="inbound")
    assert not callback.telnyx({"data": {"event_type": "message.received"}}).is_known


@pytest.mark.parametrize(
    ("codes", "end"),
    [
        ((3010, 3020, 3100, 3110), BUSY),
        ((3000, 3070, 6010), NO_ANSWER),
        ((1000, 9000), CANCELED),
        ((1010, 1020, 2000, 2070, 3030, 3050, 3080, 3090, 3120, 3140), failed("provider_error")),
        ((5010, 5030), failed("provider_error")),
        ((4000,), COMPLETED),
        ((4010, 4020, 4030, 6000, 9110), LOCAL),
        ((6020,), End(answered=True, error="timeout", stage="carrier")),
        ((7011, 8011, 8013), CONFIG),
    ],
)
def test_the_codes_of_plivo(codes: tuple[int, ...], end: End) -> None:
    for code in codes:
        for status in ("completed", "failed", "something"):
            read = callback.plivo(
                {"CallUUID": "u", "CallStatus": status, "HangupCauseCode": str(code)}
            )
            assert (read.end, read.is_known) == (end, True)


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("busy", BUSY),
        ("no-answer", NO_ANSWER),
        ("timeout", NO_ANSWER),
        ("cancel", CANCELED),
        ("failed", failed("provider_error")),
        ("completed", COMPLETED),
    ],
)
def test_the_statuses_of_plivo_where_no_code_is_known(status: str, end: End) -> None:
    for code in ({}, {"HangupCauseCode": "0"}, {"HangupCauseCode": "3999"}):
        assert callback.plivo({"CallStatus": status, **code}).end == end


@pytest.mark.parametrize("source", ["API Request", "Answer XML"])
def test_what_plivo_was_asked_to_end_was_ended_here(source: str) -> None:
    read = callback.plivo({"HangupCauseCode": "4000", "HangupSource": source})
    assert read.end_for("inbound") == LOCAL


def test_plivo_while_the_call_goes_on() -> None:
    read = callback.plivo({"CallStatus": "in-progress", "HangupCauseCode": "4000"})
    assert (read.end, read.is_known) == (None, True)


READERS = (callback.twilio, callback.telnyx, callback.plivo)


@given(
    fields=st.dictionaries(
        st.sampled_from(["CallSid", "CallStatus", "HangupCauseCode", "HangupSource", "data"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["payload", "event_type", "x"]), inner)
            ),
        ),
    )
)
def test_whatever_the_fields_hold_is_read(fields: dict[str, object]) -> None:
    for read in READERS:
        said = read(fields)
        assert said.end is None or said.is_known
        assert all(isinstance(one, str) for one in (*said.ids, said.status))


def test_no_word_of_the_tables_says_two_things() -> None:
    for low, high, end in tables.PLIVO_CODES:
        for code in (low, high):
            assert tables.plivo_end(str(code)) == end
    assert not tables.TWILIO_RUNNING & tables.TWILIO_STATUSES.keys()
    assert not tables.PLIVO_RUNNING & tables.PLIVO_STATUSES.keys()
