"""A call as a waterfall: the rows of events that are odd, and lines that fit."""

from __future__ import annotations

import pytest

from getpatter.calls import Event
from getpatter.calls.events.redaction import REDACTED
from getpatter.calls.view.drawing import render
from getpatter.calls.view.page import page
from getpatter.calls.view.timeline import Timeline, milliseconds, rounded
from getpatter.calls.view.waterfall import Row, waterfall

SECOND = 1_000_000


def event(number: int, at: float, name: str, **data: object) -> Event:
    return Event(
        type=name,
        session="call",
        node="room",
        timestamp_us=round(at * SECOND),
        sequence=number,
        data=data,
    )


def presences(*events: Event) -> list[Row]:
    return [row for row in waterfall(events).rows if row.state == "present"]


def test_a_participant_is_there_from_its_first_event_to_its_last() -> None:
    (row,) = presences(
        event(0, 10, "participant_joined", participant="alice"),
        event(1, 11, "participant_active", participant="alice"),
        event(2, 14, "participant_left", participant="alice"),
        event(3, 15, "room_ended"),
    )
    assert (row.name, row.begin, row.end) == ("alice", 0.0, 4_000.0)


def test_one_that_comes_back_has_a_row_each_time() -> None:
    rows = presences(
        event(0, 0, "participant_active", participant="alice"),
        event(1, 1, "participant_left", participant="alice"),
        event(2, 3, "participant_active", participant="alice"),
        event(3, 5, "room_ended"),
    )
    assert [(row.begin, row.end) for row in rows] == [(0.0, 1_000.0), (3_000.0, 5_000.0)]


def test_names_that_were_removed_tell_nobody_apart_and_are_not_drawn() -> None:
    assert not presences(
        event(0, 0, "participant_active", participant=REDACTED),
        event(1, 1, "participant_active", participant=REDACTED),
        event(2, 2, "participant_left", participant=REDACTED),
    )


def test_a_clock_that_was_set_back_makes_nothing_shorter_than_nothing() -> None:
    (row,) = presences(
        event(0, 10, "participant_active", participant="alice"),
        event(1, 9, "participant_left", participant="alice"),
    )
    assert row.end == row.begin


@pytest.mark.parametrize("seconds", [0.001, 1, 99, 100, 3_600, 604_800])
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_is_longer_than_the_terminal(seconds: float, columns: int) -> None:
    drawn = waterfall(
        [
            event(0, 0, "participant_active", participant="a" * 80),
            event(1, seconds, "participant_left", participant="a" * 80),
        ]
    )
    assert max(len(line) for line in render(drawn, columns)) <= columns


def test_a_list_of_the_hosts_own_is_shown_as_it_is() -> None:
    line = Timeline().line(event(0, 0, "x", values=[7], objects=[{"a": 1}, {"a": 2}]))
    assert line.endswith("values=[7] objects=2")


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ({"error_layer": "none"}, "the call ended without an error code"),
        ({}, "the call ended without an error code"),
        ({"error_layer": "other"}, "the call ended without an error code"),
        (
            {"error_layer": "none", "disconnect_reason": "timeout", "leave_reason": "Backend"},
            "the call ended without an error code (disconnect_reason=timeout leave_reason=Backend)",
        ),
        ({"error_layer": "llm"}, "the call ended without an error code, in the layer llm"),
        ({"error_layer": "none", "error_code": "config"}, "config"),
        ({"message": "gone", "error_layer": "stt"}, "gone, in the layer stt"),
    ],
)
def test_the_reason_names_no_layer_and_no_code_where_there_is_none(
    ended: dict[str, str], reason: str
) -> None:
    drawn = waterfall(
        [event(0, 0, "call.started"), event(1, 1, "call.ended", outcome="failed", **ended)]
    )
    assert drawn.reason == reason
    assert f"failed: {reason}"[:60] in render(drawn, 200)[1]


@pytest.mark.parametrize(
    ("ms", "took", "length"),
    [
        (0, "0.0 ms", "0 ms"),
        (0.0004, "0 ms", "0 ms"),
        (0.25, "0.25 ms", "0.25 ms"),
        (0.999, "0.999 ms", "0.999 ms"),
        (1.25, "1.2 ms", "1.2 ms"),
        (12.5, "12.5 ms", "12 ms"),
        (1_234.5, "1,234.5 ms", "1,234 ms"),
        (604_800_000, "604,800 s", "604,800,000 ms"),
    ],
)
def test_durations_of_every_size_can_be_read(ms: float, took: str, length: str) -> None:
    assert (milliseconds(ms), rounded(ms)) == (took, length)


def test_a_call_shorter_than_a_millisecond_has_a_length_and_a_scale() -> None:
    events = [
        event(0, 0, "call.started"),
        event(1, 0.0004, "stage.completed", stage="llm", elapsed_ms=0.25, outcome="success"),
        event(2, 0.0008, "call.ended", outcome="completed"),
    ]
    drawn = waterfall(events)
    assert render(drawn, 100)[0] == "call call  0.8 ms"
    html = page(drawn, events)
    assert "<dt>length</dt><dd>0.8 ms</dd>" in html
    for tick in ("0 ms", "0.2 ms", "0.4 ms", "0.6 ms", "0.8 ms"):
        assert f'%">{tick}</span>' in html
    assert '<div class="took">0.25 ms</div>' in html
    assert "<td>0.400</td>" in html
