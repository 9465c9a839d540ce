"""A call and its reporter: what is told, when it is handed on, and that a call ends once."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from lone_call import lone_call

from getpatter import Call
from getpatter.calls import Backend, Delivery, Event, Hub, Reporter, SdkDriven, UserAction
from getpatter.calls.enums import FailureCode, IceState, JoinReason, Role, StageName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LONG = 60.0
raising = pytest.raises  # around the whole of a call, not one statement


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        self.events.append((name, dimensions))

    def completed(self) -> list[dict[str, Any]]:
        return [dimensions for name, dimensions in self.events if name == "call_completed"]


class Writes:
    """A sink that keeps what it gets, write by write."""

    def __init__(self) -> None:
        self.writes: list[list[Event]] = []

    def write(self, events: Sequence[Event]) -> None:
        self.writes.append(list(events))

    def close(self) -> None:
        """Nothing is held."""

    def events(self) -> list[Event]:
        return [event for write in self.writes for event in write]

    def types(self) -> list[str]:
        return [event.type for event in self.events()]


@pytest.fixture
def sink() -> Writes:
    return Writes()


@pytest.fixture
def hub(sink: Writes) -> Iterator[Hub]:
    made = Hub(sink)
    yield made
    made.close(LONG)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def make(hub: Hub, recorder: Recorder, **options: Any) -> Call:
    return lone_call(recorder, {"direction": "inbound"}, hub=hub, session="mine", **options)


def test_a_call_is_told_from_its_start_to_its_end(
    hub: Hub, sink: Writes, recorder: Recorder
) -> None:
    with make(hub, recorder) as call:
        call.turn()
        with call.stage("stt"):
            pass
        with call.stage("tts") as stage:
            stage.retry()
            stage.first()
        call.observe("eou", 0.25)
        call.cost(0.5)
        call.hangup("remote")
    assert hub.flush(LONG)
    assert sink.types() == [
        *("call.started", "call.answered", "call.turn"),
        *("stage.initiated", "stage.completed") * 3,
        "call.ended",
    ]
    events = sink.events()
    assert [event.sequence for event in events] == list(range(10))
    assert {event.turn_id for event in events[2:]} == {"1"}
    tts = events[6].data
    assert (tts["stage"], tts["retry_count"], tts["outcome"]) == ("tts", 1, "success")
    assert isinstance(tts["first_ms"], float)
    assert events[8].data["elapsed_ms"] == 250.0
    ended = events[-1].data
    assert ended["disconnect_reason"] == recorder.completed()[0]["disconnect_reason"]
    assert (ended["outcome"], ended["turns"], ended["cost_usd"]) == ("completed", 1, 0.5)


def test_an_exception_fails_its_stage_with_a_reason_that_stays_here(
    hub: Hub, sink: Writes, recorder: Recorder
) -> None:
    message = "secret of the host"
    with raising(TimeoutError), make(hub, recorder) as call:
        call.turn()
        with call.stage("llm"):
            raise TimeoutError(message)
    assert hub.flush(LONG)
    failed = next(event.data for event in sink.events() if event.data.get("failure_code"))
    assert failed["failure_code"] == "REQUEST_TIMEOUT"
    assert failed["reason"] == f"TimeoutError: {message}"
    assert sink.events()[-1].data["error_layer"] == "llm"
    assert "secret" not in str(recorder.events)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_three_owners_that_each_say_the_end_twice(
    hub: Hub, sink: Writes, recorder: Recorder, order: tuple[int, ...]
) -> None:
    """Media, signalling and the status webhook: one terminal event, one `call_completed`."""
    call = make(hub, recorder)
    call.turn()
    call.reporter.begin("llm")
    owners: list[Callable[[], object]] = [
        call.end,
        lambda: call.leave(Backend("CALL_ENDED_EVENT")),
        lambda: call.leave(UserAction("HANGUP")),
    ]
    for number in (*order, *order):
        owners[number]()
    assert hub.flush(LONG)
    assert sink.types().count("call.ended") == 1
    assert sink.types().count("stage.completed") == 1
    assert len(recorder.completed()) == 1


def test_three_owners_at_once(hub: Hub, sink: Writes, recorder: Recorder) -> None:
    for _ in range(30):
        call = make(hub, recorder)
        barrier = threading.Barrier(3)

        def end(reason: Any, call: Call = call, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(LONG)
            for _ in range(2):
                call.reporter.begin("ws_join")
                call.leave(reason)

        threads = [
            threading.Thread(target=end, args=(reason,))
            for reason in (UserAction(), Backend("CALL_ENDED_EVENT"), SdkDriven("END_CALL"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert hub.flush(LONG)
    assert sink.types().count("call.ended") == 30
    assert len(recorder.completed()) == 30
    counts = {kind: sink.types().count(kind) for kind in ("stage.initiated", "stage.completed")}
    # What began in the very moment of the end may have been refused, whole pairs only.
    assert counts["stage.completed"] <= counts["stage.initiated"] <= 90


def test_leaving_aborts_what_is_in_flight_of_this_call_alone(
    hub: Hub, sink: Writes, recorder: Recorder
) -> None:
    one, other = make(hub, recorder), make(hub, recorder)
    ids = [one.reporter.begin(stage) for stage in ("stt", "llm", "tts")]
    kept = other.reporter.begin("llm")
    one.leave(SdkDriven("TASK_REMOVED"))
    for stage_id in ids:
        assert one.reporter.complete(stage_id).status == "unknown_stage"
    assert one.reporter.begin("stt") == ""
    assert one.reporter.join("migration").status == "already_left"
    assert one.reporter.ice("publisher", "checking").status == "already_left"
    assert other.reporter.complete(kept)
    other.end()
    assert hub.flush(LONG)
    aborted = [e.data["stage_id"] for e in sink.events() if e.data.get("failure_code")]
    assert aborted == ids
    codes = {e.data["failure_code"] for e in sink.events() if e.data.get("failure_code")}
    assert codes == {"SDK_DRIVEN"}


def test_in_place_hands_on_each_event_at_once(hub: Hub, sink: Writes, recorder: Recorder) -> None:
    call = make(hub, recorder)
    for number in range(1, 4):
        call.reporter.begin("llm")
        assert hub.flush(LONG)
        assert sink.types().count("stage.initiated") == number
    call.end()


def test_a_batch_is_handed_on_when_full_on_demand_and_at_the_end(
    hub: Hub, sink: Writes, recorder: Recorder
) -> None:
    call = make(hub, recorder, delivery="BATCH")
    for _ in range(8):
        call.reporter.begin("llm")
    assert hub.flush(LONG)
    assert sink.events() == []  # nine so far, with call.started
    call.reporter.begin("llm")
    assert hub.flush(LONG)
    assert len(sink.events()) == 10
    call.reporter.begin("llm")
    call.reporter.flush()
    assert hub.flush(LONG)
    assert len(sink.events()) == 11
    writes = len(sink.writes)
    call.reporter.flush()
    assert hub.flush(LONG)
    assert len(sink.writes) == writes  # an empty flush sends nothing
    call.end()
    assert hub.flush(LONG)
    assert sink.types()[11:] == [*["stage.completed"] * 10, "call.ended"]
    moments = [event.timestamp_us for event in sink.events()]
    assert moments == sorted(moments)


def test_a_delivery_that_is_none_is_refused_at_once(hub: Hub, recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="delivery"):
        make(hub, recorder, delivery="LATER")


def test_over_the_limit_stages_are_lost_in_pairs(sink: Writes, recorder: Recorder) -> None:
    hub = Hub(sink, per_second=1)
    call = lone_call(recorder, {}, hub=hub, session="mine")
    for _ in range(50):
        call.reporter.complete(call.reporter.begin("llm"))
    call.end()
    hub.close(LONG)
    initiated = [e.data["stage_id"] for e in sink.events() if e.type == "stage.initiated"]
    completed = [e.data["stage_id"] for e in sink.events() if e.type == "stage.completed"]
    assert initiated == completed
    assert 1 <= len(initiated) < 50
    stats: Any = hub.stats()
    assert stats["lost"]["rate_limit"] == 2 * (50 - len(initiated))
    assert sink.types().count("call.ended") == 1


def test_attempts_and_connections_are_told(hub: Hub, sink: Writes, recorder: Recorder) -> None:
    call = make(hub, recorder)
    first = call.reporter.attempt_id
    assert call.reporter.join("first_attempt")
    assert call.reporter.attempt_id == first
    assert call.reporter.join(JoinReason.FAST_RECONNECT)
    assert call.reporter.attempt_id != first
    for state in ("new", "checking", IceState.CONNECTED, "closed"):
        assert call.reporter.ice(Role.SUBSCRIBER, state)
    call.end()
    assert hub.flush(LONG)
    joins = [e.data["join_reason"] for e in sink.events() if e.type == "call.joining"]
    assert joins == ["first_attempt", "fast_reconnect"]
    begun, done = (e.data for e in sink.events() if e.type.startswith("stage."))
    assert (begun["role"], done["outcome"]) == ("subscriber", "success")
    assert begun["attempt_id"] == call.reporter.attempt_id


ODD: list[Any] = [None, 7, "", "no such", [], {}, ..., float("nan")]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_what_the_api_cannot_do_is_answered(hub: Hub, recorder: Recorder, odd: Any) -> None:
    call = make(hub, recorder)
    reporter = call.reporter
    assert reporter.begin(odd) == ""
    assert reporter.complete(odd).status == "unknown_stage"
    assert reporter.retry(odd).status == "unknown_stage"
    assert reporter.join(odd).status == "unknown_join_reason"
    assert reporter.ice(odd, "checking").status == "unknown_role"
    assert reporter.ice("publisher", odd)  # a state that means nothing does nothing
    stage_id = reporter.begin("llm")
    if odd is not None:
        assert reporter.complete(stage_id, odd).status == "unknown_failure_code"
    reporter.first(odd)
    answer = reporter.complete(
        stage_id, "CUSTOM", reason=odd, retry_count=odd, previously_connected_at=odd
    )
    assert answer
    again = reporter.complete(stage_id)
    assert (bool(again), again.status) == (False, "unknown_stage")
    assert "complete" in again.message
    call.end()


def test_a_reporter_of_ones_own(hub: Hub, sink: Writes) -> None:
    reporter = Reporter(hub.emitter("sip", hub.session("mine")), delivery=Delivery.BATCH)
    stage_id = reporter.begin(StageName.CARRIER)
    reporter.complete(stage_id, FailureCode.SERVER_ERROR, reason="503")
    assert reporter.leave("enough")
    assert reporter.leave("enough").status == "already_left"
    reporter.flush()
    assert hub.flush(LONG)
    assert [(event.type, event.node) for event in sink.events()] == [
        ("stage.initiated", "sip"),
        ("stage.completed", "sip"),
    ]


def test_a_forgotten_call_is_told_as_a_defect(hub: Hub, sink: Writes, recorder: Recorder) -> None:
    import gc

    call = make(hub, recorder)
    call.turn()
    call.reporter.begin("llm")
    del call
    gc.collect()
    assert hub.flush(LONG)
    assert sink.events()[-1].type == "call.ended"
    assert sink.events()[-1].data["error_code"] == "internal"
    assert sink.events()[-2].data["failure_code"] == "SDK_DRIVEN"
    assert len(recorder.completed()) == 1


# connections that fail while a call goes on


def changes(sink: Writes) -> list[tuple[Any, ...]]:
    told = [event.data for event in sink.events() if event.type == "connection.changed"]
    return [(data["role"], data["previous"], data["state"]) for data in told]


def test_every_change_of_a_connection_is_told(hub: Hub, sink: Writes, recorder: Recorder) -> None:
    call = make(hub, recorder)
    for state in ("new", "checking", "checking", "connected", "disconnected", "connected"):
        assert call.reporter.ice("publisher", state)
    assert call.reporter.ice("subscriber", "failed")
    assert call.reporter.ice("publisher", "closed")
    assert call.reporter.ice("publisher", "gone fishing")
    call.end()
    assert call.reporter.ice("publisher", "new").status == "already_left"
    assert hub.flush(LONG)
    assert changes(sink) == [
        ("publisher", "new", "checking"),
        ("publisher", "checking", "connected"),
        ("publisher", "connected", "disconnected"),
        ("publisher", "disconnected", "connected"),
        ("subscriber", "new", "failed"),
        ("publisher", "connected", "closed"),
    ]


FAILED = ("error", "carrier", "error", "connection")


@pytest.mark.parametrize(
    ("states", "is_failed"),
    [
        (["checking", "connected", "failed"], True),
        (["checking", "connected", "disconnected", "failed", "closed"], True),
        (["checking", "connected", "failed", "checking"], True),
        (["checking", "failed"], True),
        (["checking", "connected", "failed", "checking", "connected"], False),
        (["checking", "connected", "failed", "completed"], False),
        (["checking", "connected", "disconnected"], False),
        (["checking", "connected", "closed"], False),
    ],
)
@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_a_call_that_ends_while_its_connection_has_failed(
    hub: Hub, recorder: Recorder, role: Any, states: list[str], *, is_failed: bool
) -> None:
    with make(hub, recorder) as call:
        call.answer()
        for state in states:
            call.reporter.ice(role, state)
    (said,) = recorder.completed()
    found = (said["outcome"], said["error_layer"], said["disconnect_reason"], said["error_code"])
    assert found == (FAILED if is_failed else ("completed", "none", "completed", None))


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        (lambda call: call.hangup("remote"), ("completed", "hangup_remote", None)),
        (lambda call: call.leave(UserAction()), ("completed", "hangup_local", None)),
        (lambda call: call.error("timeout", "llm"), ("error", "timeout", "timeout")),
    ],
)
def test_the_host_knows_better_how_a_call_ended(
    hub: Hub, recorder: Recorder, how: Callable[[Call], object], ending: tuple[Any, ...]
) -> None:
    with make(hub, recorder) as call:
        call.answer()
        call.reporter.ice("publisher", "failed")
        how(call)
    (said,) = recorder.completed()
    assert (said["outcome"], said["disconnect_reason"], said["error_code"]) == ending


def test_one_connection_that_failed_is_enough(hub: Hub, recorder: Recorder) -> None:
    with make(hub, recorder) as call:
        call.reporter.ice("publisher", "failed")
        call.reporter.ice("subscriber", "connected")
    (said,) = recorder.completed()
    assert (said["outcome"], said["error_layer"]) == ("failed", "carrier")
