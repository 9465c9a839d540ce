"""Latencies that were measured elsewhere, and facts that are known only after a call began."""

from typing import Any

import pytest
from lone_call import lone_call

from getpatter import Call, Patter
from getpatter.calls import Event, Hub
from getpatter.calls.view.summary import SummingUp
from getpatter.calls.view.turns import turns

PATIENCE = 20.0


class Recorder:
    """Takes what a call records, as a telemetry client would."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        self.events.append({"event": name, **dimensions})


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def hub(events: list[Event]) -> Hub:
    return Hub(events.append)


@pytest.fixture
def call(recorder: Recorder, hub: Hub) -> Call:
    return lone_call(recorder, {"engine": None, "provider": None}, hub=hub)


def named(recorder: Recorder, name: str) -> dict[str, Any]:
    (event,) = [event for event in recorder.events if event["event"] == name]
    return event


def lost(hub: Hub) -> object:
    """Return how many values were refused."""
    counted: Any = hub.stats()["lost"]
    return counted.get("bad_value", 0)


def completed(recorder: Recorder) -> dict[str, Any]:
    return named(recorder, "call_completed")


def test_an_answer_that_is_given_stands_in_place_of_what_is_derived(
    recorder: Recorder, call: Call
) -> None:
    with call:
        call.turn()
        call.observe("tts", 0.1)
        call.observe("answer", 0.59)
    assert completed(recorder)["latency_ms"] == 590


def test_an_answer_may_be_given_before_the_stages(recorder: Recorder, call: Call) -> None:
    with call:
        call.turn()
        call.observe("answer", 0.59)
        with call.stage("tts") as stage:
            stage.first()
    assert completed(recorder)["latency_ms"] == 590


def test_only_the_turn_that_was_given_an_answer_has_that_one(
    recorder: Recorder, call: Call
) -> None:
    with call:
        call.turn()
        call.observe("answer", 0.8)
        call.turn()
        call.observe("tts", 0.9)  # derived: nearly nothing
    assert completed(recorder)["latency_ms"] == 800
    assert completed(recorder)["tts_first_byte_ms"] == 900


def test_the_first_answer_of_a_turn_counts(
    recorder: Recorder, call: Call, hub: Hub, events: list[Event]
) -> None:
    with call:
        call.turn()
        call.observe("answer", 0.3)
        call.observe("answer", 0.7)
    assert completed(recorder)["latency_ms"] == 300
    assert hub.flush(PATIENCE)
    (said,) = [event.data for event in events if event.type == "call.turn_answered"]
    assert said == {"turn": 1, "latency_ms": 300.0}


def test_of_a_turn_that_is_reported_late_nothing_is_derived(recorder: Recorder, call: Call) -> None:
    with call:
        call.turn(late=True)
        call.observe("stt", 0.2)
        call.observe("tts", 0.1)
    said = completed(recorder)
    assert said.get("latency_ms") is None
    assert (said["stt_latency_ms"], said["tts_first_byte_ms"]) == (200, 100)
    assert said["turn_count_bucket"] == "1"


def test_views_show_what_was_given_and_nothing_of_late_turns(
    call: Call, hub: Hub, events: list[Event]
) -> None:
    with call:
        call.turn()
        call.observe("tts", 0.1)
        call.observe("answer", 0.6)
        call.turn(late=True)
        call.observe("tts", 0.1)
        call.turn(late=True)
        call.observe("answer", 0.4)
    assert hub.flush(PATIENCE)
    ordered = sorted(events, key=lambda event: event.sequence)
    assert [turn.answer for turn in turns(ordered)] == [600.0, None, 400.0]
    summing = SummingUp()
    for event in ordered:
        summing.append(event)
    assert summing.summary().took["answer"] == [600.0, 400.0]


def test_a_greeting_belongs_to_no_turn(recorder: Recorder, call: Call) -> None:
    with call:
        call.observe("answer", 0.9)
        call.observe("llm", 0.9)
        with call.stage("tts") as stage:
            stage.first()
        call.turn()
        call.observe("llm", 0.25)
    said = completed(recorder)
    assert said["llm_ttft_ms"] == 250
    assert (said.get("tts_first_byte_ms"), said.get("latency_ms")) == (None, None)


def test_what_is_longer_than_the_call_is_dropped_and_counted(
    recorder: Recorder, call: Call, hub: Hub, events: list[Event]
) -> None:
    with call:
        call.turn()
        call.observe("stt", 247.3)
        call.observe("answer", 31.0)
        call.observe("stt", 0.3)
    said = completed(recorder)
    assert (said["stt_latency_ms"], said.get("latency_ms")) == (300, None)
    assert hub.flush(PATIENCE)
    assert [event.type for event in events].count("stage.completed") == 1
    assert lost(hub) == 2


def test_of_several_runs_the_first_that_speaks_counts(recorder: Recorder, call: Call) -> None:
    with call:
        call.turn()
        with call.stage("llm"):
            pass  # asks for a tool, and says nothing
        with call.stage("llm") as stage:
            stage.first()
        call.observe("llm", 0.9)
        call.observe("stt", 0.1)
        call.observe("stt", 0.2)
    assert completed(recorder)["llm_ttft_ms"] <= 500
    assert completed(recorder)["stt_latency_ms"] == 100


def test_runs_add_up_where_the_host_asks_for_it(recorder: Recorder, call: Call) -> None:
    with call:
        call.turn()
        call.observe("llm", 0.25)
        call.observe("llm", 0.5, add=True)
        call.observe("stt", 0.25)
        with call.stage("stt", add=True):
            pass
    assert completed(recorder)["llm_ttft_ms"] == 750
    assert completed(recorder)["stt_latency_ms"] >= 250


# what a call is made of


def test_a_call_may_have_a_carrier_of_its_own(events: list[Event]) -> None:
    phone = Patter(carrier="none", telemetry=False, diagnostics=Hub(events.append))
    phone.call(direction="inbound", carrier="Telnyx").end()
    phone.call(direction="inbound").end()
    assert phone.diagnostics.flush(PATIENCE)
    said = [event.data["carrier"] for event in events if event.type == "call.started"]
    assert said == ["telnyx", "none"]


@pytest.mark.parametrize("odd", [5, "", "ä", object()])
def test_a_carrier_that_is_none_is_refused(odd: Any, events: list[Event]) -> None:
    phone = Patter(carrier="none", telemetry=False, diagnostics=Hub(events.append))
    found: list[Any] = []
    phone.on("error", found.append)
    phone.call(direction="inbound", carrier=odd).end()
    assert phone.diagnostics.flush(PATIENCE)
    assert [error["code"] for error in found] == ["refused_value"]
    assert events[0].data["carrier"] == "none"


def test_what_answers_may_be_described_until_the_answer(
    recorder: Recorder, call: Call, hub: Hub, events: list[Event]
) -> None:
    with call:
        call.describe(stt="deepgram/nova-3")
        call.describe(engine="pipeline", llm="openai/gpt-4o", tts="cartesia/sonic-2")
        call.answer()
        call.describe(engine="realtime")
    for name in ("call_started", "call_completed"):
        event = named(recorder, name)
        assert (event["engine"], event["provider"]) == ("pipeline", "openai")
    assert hub.flush(PATIENCE)
    first, second = [event.data for event in events if event.type == "call.described"]
    assert first == {
        "engine": "pipeline",
        "provider": "deepgram",
        "stt_provider": "deepgram",
        "stt_model": "deepgram-nova-3",
    }
    assert second["stt_model"] == "deepgram-nova-3"
    assert second["llm_provider"] == "openai"
    assert lost(hub) == 1


@pytest.mark.parametrize("odd", ["gpt", 5, object()])
def test_an_engine_that_is_none_changes_nothing(recorder: Recorder, call: Call, odd: Any) -> None:
    with call:
        call.describe(engine=odd, stt="deepgram/nova-3")
        call.answer()
    assert named(recorder, "call_started")["provider"] is None
