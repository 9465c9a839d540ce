"""Whatever a sink or a callback raises or answers is counted, and harms no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from odd_sinks import LONG, Collected, Raises, emit, of

from getpatter.calls import Callbacks, Event, EventsLost, Hub

if TYPE_CHECKING:
    from collections.abc import Sequence


class Timeout(BaseException):
    """As gevent's: an exception that `except Exception` does not catch."""


class Wordless(BaseException):
    """An exception that has nothing to say, not even when it is asked."""

    def __str__(self) -> str:
        raise SystemExit


RAISED = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    Timeout(),
    Wordless(),
    pytest.fail.Exception("in the host's own test"),
    RuntimeError("an ordinary one"),
]
every_kind = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close(LONG)


@every_kind
def test_a_sink_may_raise_anything(
    hub: Hub, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = Collected(), Raises(error, times=3)
    failures: list[tuple[str, str]] = []
    hub.on_failure = lambda sink, message: failures.append((sink, message))
    hub.attach(bad, "bad")
    hub.attach(good, "good")
    with caplog.at_level(logging.WARNING, "getpatter.calls"):
        emit(hub, 5)
    assert [e.data["number"] for e in good.events if e.type == "event"] == list(range(5))
    assert of(hub, "bad") == {"delivered": 2, "waiting": 0, "lost": {"sink_failed": 3}}
    assert [event.data["number"] for event in bad.events] == [3, 4]
    ((name, message),) = failures
    assert name == "bad"
    assert message.startswith(type(error).__name__)
    assert len(caplog.records) == 1
    assert hub.close(LONG)
    assert good.is_closed.is_set()


def test_what_is_raised_need_not_say_what_it_is(hub: Hub) -> None:
    class Nothing(BaseException):
        __class__ = property(lambda _: 1 / 0)

    def callback(_: object) -> None:
        raise Nothing

    good, callbacks = Collected(), Callbacks()
    hub.attach(Raises(Nothing(), times=3), "bad")
    hub.attach(good, "good")
    emit(hub, 5)
    assert sum(event.type == "event" for event in good.events) == 5
    assert of(hub, "bad") == {"delivered": 2, "waiting": 0, "lost": {"sink_failed": 3}}
    assert hub.close(LONG)
    callbacks.on("stats", callback)
    callbacks.dispatch("stats", {})
    assert callbacks.drain(LONG)
    assert callbacks.counts()["stats"] == {"failed": 1}


@every_kind
def test_a_callable_sink_may_raise_anything(hub: Hub, error: BaseException) -> None:
    called = []

    def callback(event: Event) -> None:
        called.append(event.data["number"])
        if event.data["number"] == 1:
            raise error

    hub.attach(callback, "callback")
    emitter = hub.emitter("x", hub.session())
    for number in range(4):
        emitter.emit("event", {"number": number})
    assert hub.flush(LONG)
    assert called == [0, 1, 2, 3]
    assert of(hub, "callback") == {"delivered": 3, "waiting": 0, "lost": {"sink_failed": 1}}


@pytest.mark.internal_error
@every_kind
def test_who_hears_of_failures_may_raise_anything(hub: Hub, error: BaseException) -> None:
    class Handler(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            raise error

    def listen(*_: object) -> None:
        raise error

    logger, handler, good = logging.getLogger("getpatter.calls"), Handler(), Collected()
    hub.on_failure = listen
    hub.attach(Raises(RuntimeError(), times=1), "bad")
    hub.attach(good, "good")
    logger.addHandler(handler)
    try:
        emit(hub, 3)
    finally:
        logger.removeHandler(handler)
    assert of(hub, "bad") == {"delivered": 2, "waiting": 0, "lost": {"sink_failed": 1}}
    assert sum(event.type == "event" for event in good.events) == 3


@every_kind
@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_may_raise_anything(error: BaseException, is_async: bool) -> None:
    callbacks = Callbacks()
    heard: list[int] = []
    failures: list[Any] = []

    def callback(payload: Any) -> None:
        heard.append(payload["number"])
        if payload["number"] == 1:
            raise error

    async def later(payload: Any) -> None:
        await asyncio.sleep(0)
        callback(payload)

    callbacks.on("stats", later if is_async else callback)
    callbacks.on("error", failures.append)
    for number in range(3):
        callbacks.dispatch("stats", {"number": number})
    assert callbacks.drain(LONG)
    assert heard == [0, 1, 2]
    assert callbacks.counts()["stats"] == {"called": 2, "failed": 1}
    assert [failure["code"] for failure in failures] == ["callback_failed"]


@pytest.mark.internal_error
@every_kind
def test_data_may_raise_anything_when_it_is_read(hub: Hub, error: BaseException) -> None:
    class Rude(Mapping[str, object]):
        def __getitem__(self, name: str) -> object:
            raise error

        def __iter__(self) -> Iterator[str]:
            raise error

        def __len__(self) -> int:
            return 1

    seen = Collected()
    hub.attach(seen)
    emitter = hub.emitter("x", hub.session())
    emitter.emit("event", {"nested": Rude()})
    emitter.emit("event", {})
    assert hub.flush(LONG)
    assert [event.data for event in seen.events] == [{}]
    assert hub.stats()["lost"] == {"internal_error": 1}


@pytest.mark.parametrize(
    "answer", [True, "soon", [], -1, float("nan"), float("inf"), ..., b"12"], ids=repr
)
def test_an_answer_that_is_neither_none_nor_seconds_is_a_failure(hub: Hub, answer: Any) -> None:
    class Answers(Collected):
        def write(self, events: Sequence[Event]) -> float | None:
            super().write(events)
            found: float | None = answer
            return found

    sink = Answers()
    failures: list[str] = []
    hub.on_failure = lambda *said: failures.append(said[1])
    hub.attach(sink, "odd")
    emit(hub, 2)
    assert of(hub, "odd") == {"delivered": 0, "waiting": 0, "lost": {"sink_failed": 2}}
    assert len(failures) == 1
    assert "seconds" in failures[0]


@pytest.mark.parametrize(("lost", "counted"), [(-5, 0), (7, 1), ("all", 1), (None, 1), (True, 1)])
def test_a_sink_cannot_lose_what_it_was_not_given(hub: Hub, lost: Any, counted: int) -> None:
    hub.attach(Raises(EventsLost(lost, "some"), times=1), "odd")
    emit(hub)
    found = of(hub, "odd")
    assert (found["delivered"], found["lost"].get("sink_failed", 0)) == (1 - counted, counted)


def test_a_sink_may_do_to_its_list_what_it_likes(hub: Hub) -> None:
    class Clears(Collected):
        def write(self, events: Sequence[Event]) -> float | None:
            is_first = not self.events
            super().write(events)
            events.clear()  # type: ignore[attr-defined]
            return 0.0 if is_first else None

    sink = Clears()
    hub.attach(sink, "clears")
    emit(hub)
    assert [event.sequence for event in sink.events] == [0, 0]
    assert of(hub, "clears")["delivered"] == 1
