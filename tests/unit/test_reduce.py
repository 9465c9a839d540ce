"""`reduce` takes any way in which a program names events, or says that it does not."""

import enum
from pathlib import Path
from typing import Any

import pytest
from in_process import client

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.testing import Receiver


class Event(str, enum.Enum):
    STARTED = "call_started"
    COMPLETED = "call_completed"


class Name(str):
    """A name that says something else of itself."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 1

    def __str__(self) -> str:
        return "other"


WAYS: dict[str, Any] = {
    "names": ["call_started"],
    "a name": "call_started",
    "an enumeration": [Event.STARTED],
    "a member of one": Event.STARTED,
    "text of a class of its own": {Name("call_started")},
    "an iterator": iter(["call_started"]),
    "keys": {"call_started": 1},
}


@pytest.fixture
def made(tmp_path: Path, receiver: Receiver) -> TelemetryClient:
    return client(tmp_path, receiver.endpoint)


@pytest.mark.parametrize("way", WAYS)
def test_events_are_left_out_however_they_are_named(
    made: TelemetryClient, receiver: Receiver, way: str
) -> None:
    made.reduce(without=WAYS[way])
    for name in ("call_started", Event.STARTED, Event.COMPLETED, Name("call_started")):
        made.record(name)
    assert made.flush(10)
    assert [event["event"] for event in receiver.events] == ["call_completed"]
    assert made.stats()["lost"] == {"call_started": {"opted_out": 3}}
    assert "call_started" not in made.collects()[1]


if hasattr(enum, "StrEnum"):  # from Python 3.11

    def test_a_string_enumeration_names_events(made: TelemetryClient) -> None:
        names = enum.StrEnum("names", {"STARTED": "call_started"})
        made.reduce(without=list(names))
        assert "call_started" not in made.collects()[1]


@pytest.mark.parametrize("unknown", ["call_stared", "", b"call_started", None, 5, ["x"], [None]])
def test_what_names_no_event_is_an_error_when_the_rest_is_done(
    made: TelemetryClient, unknown: Any
) -> None:
    names = unknown if not isinstance(unknown, list) else [*unknown, "call_started"]
    with pytest.raises(ValueError, match="without must name events"):
        made.reduce(sample_rate=0.25, without=names, off=False)
    rate, events = made.collects()
    assert rate == 0.25
    assert ("call_started" in events) is not isinstance(unknown, list)


def test_the_same_holds_while_telemetry_is_off() -> None:
    off = TelemetryClient(sdk_version="1", environ={"DO_NOT_TRACK": "1"})
    off.reduce(without="call_started", sample_rate=0.5)
    with pytest.raises(ValueError, match="unknown: 'x'"):
        off.reduce(without="x")
