"""Calls whose ids come again, and what a sink is given that is attached late."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from lone_call import lone_call
from odd_sinks import LONG, Collected, emit, of

from getpatter.calls import Event, Hub, JsonLinesSink
from getpatter.calls.view.calls_of import by_call
from getpatter.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close(LONG)


def test_a_second_call_of_the_same_id_is_another_call(hub: Hub) -> None:
    first = hub.session("mine")
    for number in range(3):
        hub.emitter("x", first).emit("event", {"call": 1, "number": number})
    seen = Collected()
    hub.attach(seen, "seen")
    first.close()
    second = hub.session("mine")
    for number in range(5):
        hub.emitter("x", second).emit("event", {"call": 2, "number": number})
    assert hub.flush(LONG)
    got = [(event.data["call"], event.data["number"]) for event in seen.events]
    assert got == [(1, n) for n in range(3)] + [(2, n) for n in range(5)]
    assert of(hub, "seen") == {"delivered": 8, "waiting": 0, "lost": {}}


def test_calls_of_one_id_at_a_time_are_all_replayed(hub: Hub) -> None:
    sessions = [hub.session("mine") for _ in range(3)]
    for session in sessions:
        hub.emitter("x", session).emit("event", {})
    one, two = Collected(), Collected()
    hub.attach(one)
    for session in sessions:
        hub.emitter("x", session).emit("event", {})
    hub.attach(two)
    assert hub.flush(LONG)
    for sink in (one, two):
        assert sorted(event.sequence for event in sink.events) == [0, 0, 0, 1, 1, 1]


def test_a_sink_is_given_only_what_is_under_way(hub: Hub) -> None:
    ended, going = hub.session("ended"), hub.session("going")
    for session in (ended, going):
        hub.emitter("x", session).emit("event", {})
    ended.close()
    seen = Collected()
    hub.attach(seen)
    assert hub.flush(LONG)
    assert [event.session for event in seen.events] == ["going"]
    assert ended.id == "ended"  # it is still there


def test_a_call_that_was_under_way_when_a_sink_came_is_given_whole(hub: Hub) -> None:
    """Though it has ended before the hub's thread came to look."""
    is_held, let_go = threading.Event(), threading.Event()

    class Slow(Mapping[str, object]):
        def __getitem__(self, name: str) -> object:
            return name

        def __iter__(self) -> Iterator[str]:
            is_held.set()
            assert let_go.wait(LONG)
            return iter("a")

        def __len__(self) -> int:
            return 1

    hub.attach(Collected())
    hub.emitter("y", hub.session("other", ring_events=0)).emit("event", {"nested": Slow()})
    assert is_held.wait(LONG)
    session = hub.session("mine")
    emitter = hub.emitter("x", session)
    emitter.emit("event", {})
    late = Collected()
    hub.attach(late)
    emitter.emit("event", {})
    session.close()
    let_go.set()
    assert hub.flush(LONG)
    mine = [event.sequence for event in late.events if event.session == "mine"]
    assert mine == [0, 1]


def test_sinks_of_one_kind_have_names_of_their_own(hub: Hub) -> None:
    names = [hub.attach(Collected()) for _ in range(4)]
    names += [hub.attach(Collected(), "collected-2"), hub.attach(Collected(), "collected-2")]
    assert len(set(names)) == 6
    emit(hub)
    stats: Any = hub.stats()
    assert {name: sink["delivered"] for name, sink in stats["sinks"].items()} == dict.fromkeys(
        names, 1
    )


class Null:
    def record(self, name: str, /, **dimensions: object) -> None:
        """Telemetry is another matter."""


def test_show_draws_the_last_of_the_calls_of_one_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "calls.jsonl"
    hub = Hub(JsonLinesSink(path))
    for stage in ("stt", "llm", "tts"):
        with lone_call(Null(), {}, hub=hub, session="mine") as call:
            call.turn()
            call.emitter("x").emit("filler", {})
            with call.stage(stage):
                pass
    assert hub.close(LONG)
    assert main(["calls", "show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert [stage in shown for stage in ("stt", "llm", "tts")] == [False, False, True]


def numbered(*sequences: int, session: str = "mine") -> list[Event]:
    return [Event("event", session, "node", 1, sequence, {}) for sequence in sequences]


@pytest.mark.parametrize(
    ("given", "last"),
    [
        ((), ()),
        ((0, 1, 2), (0, 1, 2)),
        ((0, 2, 1, 3), (0, 2, 1, 3)),  # threads that overtake each other
        ((1, 0, 2), (1, 0, 2)),
        ((0, 1, 2, 0, 1), (0, 1)),
        ((47, 48, 49, 0, 1), (0, 1)),  # the beginning of the first is rotated away
        ((47, 48, 49, 0, 1, 2, 0), (0,)),
        ((5, 6, 7), (5, 6, 7)),
    ],
)
def test_each_call_numbers_its_events_anew(given: tuple[int, ...], last: tuple[int, ...]) -> None:
    events = [*numbered(9, session="other"), *numbered(*given), *numbered(0, session="other")]
    known: list[list[Event]] = by_call(events, list)
    mine = [call for call in known if call[0].session == "mine"]
    assert [event.sequence for call in mine[-1:] for event in call] == list(last)
