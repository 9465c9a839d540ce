"""From emitters to sinks: who gets what, what a bad sink harms, and that every loss is counted."""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from lone_call import lone_call

from getpatter import Patter
from getpatter.calls import CallbackSink, Event, EventsLost, Hub, NullHub, Redaction
from getpatter.calls.event_types import HEALTH
from getpatter.calls.events.sessions import HEALTH_SECONDS, Sessions
from getpatter.calls.events.sink import SINK_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Run

# Far more than anything here takes, on any machine.
LONG = 60.0


class Collected:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_closed = False

    def write(self, events: Sequence[Event]) -> None:
        self.events += events

    def close(self) -> None:
        self.is_closed = True

    def types(self) -> list[str]:
        return [event.type for event in self.events]


class Hangs(Collected):
    """A sink that hangs in its first write until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_hanging = threading.Event()
        self.let_go = threading.Event()

    def write(self, events: Sequence[Event]) -> None:
        self.is_hanging.set()
        assert self.let_go.wait(LONG)
        super().write(events)


class Null:
    def record(self, name: str, /, **dimensions: object) -> None:
        """Telemetry is another matter."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close(LONG)


def lost(hub: Hub, sink: str | None = None) -> dict[str, int]:
    stats: Any = hub.stats()
    found: dict[str, int] = stats["lost"] if sink is None else stats["sinks"][sink]["lost"]
    return found


def test_an_event_reaches_every_sink_as_it_was_told(hub: Hub) -> None:
    one, two = Collected(), Collected()
    hub.attach(one)
    hub.attach(two)
    session = hub.session("mine")
    emitter = hub.emitter("llm", session)
    assert emitter.emit("token", {"count": 3}, correlation_id="c", turn_id="2")
    assert emitter.emit("done", 7)
    assert hub.flush(LONG)
    first, second = one.events
    assert (first.type, first.session, first.node) == ("token", "mine", "llm")
    assert (first.data, first.correlation_id, first.turn_id) == ({"count": 3}, "c", "2")
    assert (first.sequence, second.sequence) == (0, 1)
    assert second.data == {"value": 7}
    assert first.timestamp_us <= second.timestamp_us
    assert two.events == one.events
    assert first.as_dict()["type_id"] == "getpatter.diagnostics/event@1"


@pytest.mark.parametrize("data", [None, "text", 1.5, [1, 2], ("a",)])
def test_data_that_is_no_object_is_wrapped(hub: Hub, data: object) -> None:
    seen = Collected()
    hub.attach(seen)
    hub.emitter("x", hub.session()).emit("odd", data)
    assert hub.flush(LONG)
    value = seen.events[0].data["value"]
    assert value == (list(data) if isinstance(data, tuple) else data)


def test_without_a_sink_there_is_no_thread_and_a_late_subscriber_gets_the_ring() -> None:
    hub = Hub(ring_events=3)
    before = threading.active_count()
    session = hub.session()
    emitter = hub.emitter("x", session)
    for number in range(5):
        assert emitter.emit("event", {"number": number})
    assert threading.active_count() == before
    seen = Collected()
    hub.attach(seen)
    emitter.emit("event", {"number": 5})
    assert hub.flush(LONG)
    assert [event.data["number"] for event in seen.events] == [2, 3, 4, 5]
    assert [event.sequence for event in seen.events] == [2, 3, 4, 5]
    hub.close(LONG)
    assert seen.is_closed


def test_the_ring_is_per_session_and_can_be_off(hub: Hub) -> None:
    sessions = [hub.session("default"), hub.session("two", ring_events=2)]
    sessions.append(hub.session("off", ring_events=0))
    for number in range(150):
        for session in sessions:
            hub.emitter("x", session, per_second=1_000).emit("event", {"number": number})
    seen = Collected()
    hub.attach(seen)
    assert hub.flush(LONG)
    got = [event.session for event in seen.events]
    assert {name: got.count(name) for name in ("default", "two", "off")} == {
        "default": 100,
        "two": 2,
        "off": 0,
    }


def test_who_subscribes_while_events_come_gets_each_once_and_in_order() -> None:
    """No gap and no double between what the ring holds and what comes."""
    for _ in range(20):
        hub = Hub(ring_events=10_000, per_second=1_000_000)
        hub.attach(Collected())
        emitter = hub.emitter("x", hub.session())
        is_going = threading.Event()

        def emit(emitter: Any = emitter, is_going: threading.Event = is_going) -> None:
            for number in range(600):
                emitter.emit("event", {"number": number})
                if number == 100:
                    is_going.set()

        thread = threading.Thread(target=emit)
        thread.start()
        assert is_going.wait(LONG)
        late = Collected()
        hub.attach(late)
        thread.join()
        assert hub.flush(LONG)
        assert [event.data["number"] for event in late.events] == list(range(600))
        hub.close(LONG)


# bad sinks


def test_a_sink_that_fails_harms_only_itself_and_is_said_once(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Collected):
        def write(self, events: Sequence[Event]) -> None:
            raise RuntimeError(len(events))

    good, failures = Collected(), []
    hub.on_failure = lambda sink, message: failures.append((sink, message))
    hub.attach(Fails(), "bad")
    hub.attach(good, "good")
    emitter = hub.emitter("x", hub.session())
    with caplog.at_level(logging.WARNING, "getpatter.calls"):
        for _ in range(3):
            emitter.emit("event", {})
            assert hub.flush(LONG)
    assert good.types().count("event") == 3
    assert lost(hub, "bad")["sink_failed"] >= 3
    assert lost(hub, "good") == {}
    assert failures == [("bad", "RuntimeError: 1")]
    assert len(caplog.records) == 1


def test_a_sink_that_hangs_does_not_hold_up_the_others(hub: Hub) -> None:
    slow, good = Hangs(), Collected()
    hub.attach(slow, "slow")
    hub.attach(good, "good")
    emitter = hub.emitter("x", hub.session(), per_second=1_000_000)
    emitter.emit("event", {"number": 0})
    assert slow.is_hanging.wait(LONG)
    more = SINK_EVENTS + 50
    for number in range(1, more):
        emitter.emit("event", {"number": number})
        if number % 200 == 0:
            hub.flush(0.0)
    # The slow one still hangs: waiting for all must fail, and meanwhile the good one gets all.
    for _ in range(int(LONG)):
        if hub.flush(1.0) or len(good.events) >= more:
            break
    assert not slow.let_go.is_set()
    assert [e.data["number"] for e in good.events if e.type == "event"] == list(range(more))
    slow.let_go.set()
    assert hub.flush(LONG)
    got = [event for event in slow.events if event.type == "event"]
    counted = lost(hub, "slow")["sink_full"]
    assert counted >= 1
    assert len(slow.events) + counted >= more
    assert got[-1].data["number"] == more - 1
    emitter.emit("after", {})
    assert hub.flush(LONG)
    assert slow.types()[-1] == "after"


def test_a_sink_that_asks_for_another_try_gets_the_same_events_again(hub: Hub) -> None:
    class Later(Collected):
        tries: list[list[int]]

        def write(self, events: Sequence[Event]) -> float | None:  # type: ignore[override]
            self.tries.append([event.sequence for event in events])
            if len(self.tries) < 3:
                return 0.0
            self.events += events
            return None

    sink = Later()
    sink.tries = []
    hub.attach(sink)
    hub.emitter("x", hub.session()).emit("event", {})
    assert hub.flush(LONG)
    assert sink.tries == [[0], [0], [0]]
    assert sink.types() == ["event"]


def test_a_sink_says_how_many_it_lost(hub: Hub) -> None:
    class Half(Collected):
        def write(self, events: Sequence[Event]) -> None:
            raise EventsLost(len(events) - 1, "not all of them fit")

    hub.attach(Half(), "half")
    emitter = hub.emitter("x", hub.session())
    for _ in range(5):
        emitter.emit("event", {})
    assert hub.flush(LONG)
    stats: Any = hub.stats()
    failed = lost(hub, "half").get("sink_failed", 0)
    assert stats["sinks"]["half"]["delivered"] + failed == 5
    assert failed < 5


def test_what_a_callback_changes_no_other_sink_sees(hub: Hub) -> None:
    seen = Collected()

    def spoil(event: Event) -> None:
        event.data["nested"].clear()  # type: ignore[attr-defined]
        raise ValueError

    hub.attach(spoil, "spoils")
    hub.attach(seen)
    hub.emitter("x", hub.session()).emit("event", {"nested": {"a": 1}})
    assert hub.flush(LONG)
    assert seen.events[0].data == {"nested": {"a": 1}}
    assert lost(hub, "spoils") == {"sink_failed": 1}


@pytest.mark.parametrize("sink", [None, 3, "calls.jsonl", object()])
def test_what_is_no_sink_is_refused_at_once(hub: Hub, sink: Any) -> None:
    with pytest.raises(TypeError, match="sink"):
        hub.attach(sink)


@pytest.mark.parametrize("odd", [-1, 1.5, "100", True, None])
@pytest.mark.parametrize("name", ["per_second", "ring_events", "queue_events"])
def test_a_number_that_is_none_is_refused_at_once(name: str, odd: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Hub(**{name: odd})


def test_an_async_callback_is_refused_at_once() -> None:
    async def callback(event: Event) -> None:
        """Nobody would await it."""

    with pytest.raises(TypeError, match="plain function"):
        CallbackSink(callback)


# losses


def test_over_the_rate_limit_events_are_refused_counted_and_reported() -> None:
    seen = Collected()
    hub = Hub(seen, per_second=0)
    emitter = hub.emitter("llm", hub.session("mine"))
    answer = emitter.try_emit("token", {})
    assert not emitter.emit("token", {})
    assert (bool(answer), answer.status) == (False, "rate_limit")
    assert "emit" in answer.message
    assert lost(hub) == {"rate_limit": 2}
    hub.close(LONG)
    (health,) = seen.events
    assert (health.type, health.session) == (HEALTH, "mine")
    assert health.data == {"lost": {"llm": {"rate_limit": 2}}}


def test_health_comes_every_five_seconds_at_most_and_only_if_there_is_something() -> None:
    sessions = Sessions(Redaction())
    session = sessions.session("mine", 0)
    begun = session.health_at
    assert begun is not None
    assert sessions.health(begun + 100, ()) == ([], None)
    sessions.lose(session, "llm", "rate_limit", 1)
    assert sessions.health(begun + HEALTH_SECONDS - 0.01, ()) == ([], begun + HEALTH_SECONDS)
    (first,), _ = sessions.health(begun + HEALTH_SECONDS, ())
    assert first.data == {"lost": {"llm": {"rate_limit": 1}}}
    sessions.lose(session, "llm", "rate_limit", 2)
    events, due = sessions.health(begun + 2 * HEALTH_SECONDS - 0.01, ())
    assert (events, due) == ([], begun + 2 * HEALTH_SECONDS)
    (second,), _ = sessions.health(begun + 2 * HEALTH_SECONDS, ())
    assert second.data == {"lost": {"llm": {"rate_limit": 2}}}
    assert sessions.health(begun + 100, ()) == ([], None)


class Rude(Mapping[str, object]):
    """A mapping that cannot be read."""

    def __getitem__(self, name: str) -> object:
        raise RuntimeError(name)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


@pytest.mark.internal_error
def test_data_that_cannot_be_read_is_counted_and_harms_nobody(hub: Hub) -> None:
    seen = Collected()
    hub.attach(seen)
    emitter = hub.emitter("x", hub.session())
    assert emitter.emit("event", {"nested": Rude()})
    assert emitter.emit("event", Rude())
    assert emitter.emit("event", {})
    assert hub.flush(LONG)
    assert [event.data for event in seen.events] == [{"value": "[Rude]"}, {}]
    assert lost(hub) == {"internal_error": 1}


@pytest.mark.internal_error
def test_a_listener_that_raises_harms_nobody(hub: Hub) -> None:
    class Fails(Collected):
        def write(self, events: Sequence[Event]) -> None:
            raise RuntimeError(len(events))

        def close(self) -> None:
            raise RuntimeError

    def listen(sink: str, message: str) -> None:
        raise RuntimeError(sink, message)

    seen = Collected()
    assert hub.on_failure is None
    hub.on_failure = listen
    hub.attach(Fails())
    hub.attach(seen)
    hub.emitter("x", hub.session()).emit("event", {})
    assert hub.flush(LONG)
    assert hub.close(LONG)
    assert "event" in seen.types()
    assert seen.is_closed


@pytest.mark.parametrize("event_type", ["", "x" * 129, None, 7, b"bytes", ["list"]])
def test_a_type_that_is_none_is_refused_and_counted(hub: Hub, event_type: Any) -> None:
    emitter = hub.emitter("x", hub.session())
    answer = emitter.try_emit(event_type, {})
    assert answer.status == "bad_type"
    with emitter.span(event_type):
        pass
    assert lost(hub) == {"bad_type": 3}


def test_a_full_queue_refuses_and_counts() -> None:
    slow = Hangs()
    hub = Hub(slow, queue_events=10, per_second=1_000_000)
    emitter = hub.emitter("x", hub.session())
    emitter.emit("first", {})
    assert slow.is_hanging.wait(LONG)
    answers = [emitter.try_emit("event", {}).status for _ in range(10)]
    taken = answers.count("ok")
    assert set(answers) <= {"ok", "queue_full"}
    slow.let_go.set()
    hub.close(LONG)
    assert lost(hub).get("queue_full", 0) == 10 - taken
    assert slow.types().count("event") == taken


def test_after_its_end_a_session_takes_no_more(hub: Hub) -> None:
    session = hub.session()
    emitter = hub.emitter("x", session)
    session.close()
    assert emitter.try_emit("event", {}).status == "closed"
    assert lost(hub) == {"closed": 1}


def test_a_closed_hub_takes_no_more_and_counts_what_was_left() -> None:
    slow = Hangs()
    hub = Hub(slow)
    emitter = hub.emitter("x", hub.session())
    emitter.emit("first", {})
    assert slow.is_hanging.wait(LONG)
    assert not hub.close(0.0)
    assert not emitter.emit("late", {})
    assert not hub.emitter("x", hub.session()).emit("later", {})
    assert lost(hub) == {"closed": 2}
    slow.let_go.set()


def test_nothing_is_lost_that_is_not_counted() -> None:
    """Eight threads, a small queue, a limit: what was taken arrives, what was not is counted."""
    seen = Collected()
    hub = Hub(seen, queue_events=64, per_second=3_000)
    barrier, taken = threading.Barrier(8), []

    def emit(number: int) -> None:
        emitter = hub.emitter(f"node-{number}", hub.session(f"session-{number}"))
        barrier.wait(LONG)
        taken.append(sum(emitter.emit("event", {"n": n}) for n in range(4_000)))

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hub.close(LONG)
    stats: Any = hub.stats()
    (name,) = stats["sinks"]
    arrived = seen.types().count("event")
    assert sum(taken) == arrived + lost(hub, name).get("sink_full", 0)
    assert sum(taken) + sum(lost(hub).values()) == 32_000
    reported: dict[str, int] = {}
    for event in seen.events:
        if event.type == HEALTH:
            said: Any = event.data["lost"]
            for reasons in said.values():
                for reason, times in reasons.items():
                    reported[reason] = reported.get(reason, 0) + times
    assert {r: reported.get(r, 0) for r in lost(hub)} == lost(hub)


# redaction, spans, off


def test_redaction_stands_before_every_sink_and_before_the_ring_is_told() -> None:
    hub = Hub(redaction=Redaction(redact_text=True))
    seen = Collected()
    with lone_call(Null(), {}, hub=hub, session="mine") as call:
        call.emitter("tool").emit("said", {"Jane": "Jane Doe, 42"})
        hub.attach(seen)
        call.leave("Jane is angry")
    call.reporter.flush()
    hub.flush(LONG)
    assert seen.events
    assert "Jane" not in str([event.as_dict() for event in seen.events])
    assert seen.events[-1].data["leave_reason"] == "Custom"
    hub.close(LONG)


def test_a_span_tells_its_start_and_its_end_with_the_time_between(hub: Hub) -> None:
    seen = Collected()
    hub.attach(seen)
    emitter = hub.emitter("tool", hub.session())
    with emitter.span("lookup", {"key": "weather"}, correlation_id="c", turn_id="1") as span:
        span.set("found", True)
    with pytest.raises(KeyError), emitter.span("lookup"):
        raise KeyError
    assert hub.flush(LONG)
    assert seen.types() == ["lookup.start", "lookup.end"] * 2
    start, end, _, failed = seen.events
    assert start.data == {"key": "weather"}
    latency = end.data.pop("latency_ms")
    assert isinstance(latency, float)
    assert latency >= 0
    assert end.data == {"key": "weather", "found": True}
    assert (end.correlation_id, end.turn_id) == ("c", "1")
    assert failed.data["error"] == "KeyError"


def test_off_answers_the_same_calls_and_keeps_nothing() -> None:
    hub = NullHub()
    emitter = hub.emitter("x", hub.session("mine"))
    assert emitter.emit("event", {}) is False
    assert emitter.try_emit("event", {}).status == "off"
    with emitter.span("event"):
        pass
    assert hub.attach(print) == ""
    assert hub.flush()
    assert hub.close()
    assert hub.stats() == {"waiting": 0, "lost": {}, "sinks": {}}


# what is left behind


def test_ten_thousand_calls_leave_nothing_behind() -> None:
    seen: list[str] = []
    hub = Hub(lambda event: seen.append(event.type) if event.type == "call.ended" else None)
    left: weakref.WeakSet[Any] = weakref.WeakSet()
    for number in range(10_000):
        with lone_call(Null(), {}, hub=hub) as call:
            left.add(call)
            left.add(call.reporter)
            if number % 2:
                call.emitter("x").emit("event", {"number": number})
        if number % 100 == 0:
            assert hub.flush(LONG)
    del call
    assert hub.flush(LONG)
    gc.collect()
    assert len(left) == 0
    assert len(seen) == 10_000
    assert lost(hub) == {}
    hub.close(LONG)


def test_a_hub_that_nobody_holds_any_more_ends_its_thread() -> None:
    before = set(threading.enumerate())
    hub = Hub(Collected())
    hub.emitter("x", hub.session()).emit("event", {})
    assert hub.flush(LONG)
    alive = weakref.ref(hub)
    threads = set(threading.enumerate()) - before
    assert {thread.name for thread in threads} == {"getpatter-calls", "getpatter-sink-collected"}
    del hub
    gc.collect()
    assert alive() is None
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


def test_a_hub_that_nobody_holds_any_more_still_delivers_and_closes_its_sinks() -> None:
    class Says(Hangs):
        closed = threading.Event()

        def close(self) -> None:
            self.closed.set()

    sink = Says()
    hub = Hub(sink)
    session = hub.session()
    emitter, refused = hub.emitter("x", session), hub.emitter("x", session, per_second=0)
    emitter.emit("event", {})
    assert sink.is_hanging.wait(LONG)
    for told in (emitter, refused, emitter):
        told.emit("event", {})
    del hub, emitter, refused, told
    gc.collect()
    sink.let_go.set()
    assert sink.closed.wait(LONG)
    assert sink.types() == ["event"] * 3 + [HEALTH]


def test_a_hub_for_a_host_is_a_hub() -> None:
    with pytest.raises(TypeError, match="diagnostics"):
        Patter(carrier="none", telemetry=False, diagnostics="calls.jsonl")  # type: ignore[arg-type]
    assert isinstance(Patter(carrier="none", diagnostics=False).diagnostics, NullHub)
    hub = Hub()
    assert Patter(carrier="none", diagnostics=hub).diagnostics is hub


FORK = """
import json, os, sys
from getpatter import Patter
from getpatter.calls import JsonLinesSink
patter = Patter(carrier="none", telemetry=False)
patter.diagnostics.attach(JsonLinesSink("calls.jsonl"))
call = patter.call(direction="inbound", session="parents")
call.turn()
stage = call.reporter.begin("llm")
child = os.fork()
if child == 0:
    call.turn(); call.reporter.complete(stage); call.leave("not mine"); call.end()
    call.emitter("x").emit("not mine", {})
    with patter.call(direction="inbound", session="childs") as own:
        own.turn()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
call.reporter.complete(stage)
call.end()
"""


def test_a_forked_child_tells_its_own_calls_and_not_its_parents(run: Run, tmp_path: Any) -> None:
    done = run(FORK)
    assert done.returncode == 0, done.stderr
    import json

    lines = (tmp_path / "work" / "calls.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    told: dict[str, list[str]] = {"parents": [], "childs": []}
    for event in events:
        told[event["session"]].append(event["type"])
    assert told["parents"] == [
        *("call.started", "call.answered", "call.turn"),
        *("stage.initiated", "stage.completed", "call.ended"),
    ]
    assert told["childs"] == ["call.started", "call.answered", "call.turn", "call.ended"]


EXIT = """
from getpatter import Patter
from getpatter.calls import JsonLinesSink
patter = Patter(carrier="none", telemetry=False)
patter.diagnostics.attach(JsonLinesSink("calls.jsonl"))
call = patter.call(direction="inbound")
call.turn()
"""


def test_an_ending_program_still_tells_the_end_of_its_calls(run: Run, tmp_path: Any) -> None:
    done = run(EXIT)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "work" / "calls.jsonl").read_text()
    assert text.count('"call.ended"') == 1
    assert os.stat(tmp_path / "work" / "calls.jsonl").st_mode & 0o077 == 0
