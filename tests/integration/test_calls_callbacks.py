"""Callbacks run on threads of their own: none can harm the call, or another."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.calls.callbacks.listener import WAITING
from getpatter.calls.callbacks.recommendation import Recommendation, reduction
from getpatter.calls.callbacks.subscriptions import INIT_STATUSES, NAMES, Callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0


class Heard:
    """Keeps what a callback was given, and says when there are so many."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.threads: set[threading.Thread] = set()
        self._changed = threading.Condition()

    def __call__(self, payload: object) -> None:
        with self._changed:
            self.payloads.append(payload)
            self.threads.add(threading.current_thread())
            self._changed.notify_all()

    def wait(self, count: int) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.payloads) >= count, PATIENCE)
            return list(self.payloads)


class AsyncHeard(Heard):
    async def __call__(self, payload: object) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().__call__(payload)


@pytest.fixture
def callbacks() -> Callbacks:
    return Callbacks()


@pytest.mark.parametrize("heard", [Heard(), AsyncHeard()], ids=["plain", "async"])
@pytest.mark.parametrize("call", [None, "c"], ids=["host", "call"])
@pytest.mark.parametrize("name", NAMES)
def test_all_six_names_on_the_host_and_on_a_call_plain_and_async(
    name: str, call: str | None, heard: Heard
) -> None:
    callbacks = Callbacks()
    heard.payloads.clear()
    assert callbacks.on(name, heard, call=call)
    callbacks.dispatch(name, {"number": 1}, call="c")
    callbacks.dispatch(name, {"number": 2}, call="another")
    callbacks.dispatch(name, {"number": 3})
    expected = [1, 2, 3] if call is None else [1, 3]
    assert [payload["number"] for payload in heard.wait(len(expected))] == expected
    assert callbacks.drain(PATIENCE)
    assert len(heard.payloads) == len(expected)
    assert threading.current_thread() not in heard.threads


def test_an_unknown_name_is_an_answer(callbacks: Callbacks) -> None:
    answer = callbacks.on("statistics", print)
    assert answer.status == "unknown_callback"
    assert "statistics" in answer.message
    assert all(name in answer.message for name in NAMES)


@pytest.mark.parametrize("wrong", [None, "stats", 5, []])
def test_what_cannot_be_called_raises_at_once(callbacks: Callbacks, wrong: Any) -> None:
    with pytest.raises(TypeError, match="must be callable"):
        callbacks.on("stats", wrong)


def raise_error(_: object) -> None:
    message = "of the host's own"
    raise ValueError(message)


async def raise_later(_: object) -> None:
    await asyncio.sleep(0)
    raise_error(_)


def leave(_: object) -> None:
    raise SystemExit(3)


class Rubbish:
    def __await__(self) -> Iterator[None]:
        message = "no such loop"
        raise ValueError(message)


def answer_with_rubbish(_: object) -> object:
    return Rubbish()


@pytest.mark.parametrize("bad", [raise_error, raise_later, leave, answer_with_rubbish])
def test_one_that_raises_is_counted_and_said_once(bad: Any) -> None:
    callbacks = Callbacks()
    good, errors, of_the_call, of_another = Heard(), Heard(), Heard(), Heard()
    callbacks.on("stats", bad, call="c")
    callbacks.on("stats", good)
    callbacks.on("error", errors)
    callbacks.on("error", of_the_call, call="c")
    callbacks.on("error", of_another, call="another")
    for number in range(5):
        callbacks.dispatch("stats", {"number": number}, call="c")
    good.wait(5)
    (error,) = errors.wait(1)
    of_the_call.wait(1)
    assert callbacks.drain(PATIENCE)
    assert callbacks.counts()["stats"] == {"called": 5, "failed": 5}
    assert (error["code"], error["layer"], error["call"]) == ("callback_failed", "internal", "c")
    assert "stats" in error["message"]
    assert errors.payloads == of_the_call.payloads == [error]
    assert of_another.payloads == []


def test_an_error_callback_that_raises_is_not_told_of_itself(callbacks: Callbacks) -> None:
    other = Heard()
    callbacks.on("error", raise_error)
    callbacks.on("error", other)
    callbacks.error("stage_failed", "stt", "the recogniser is gone", call="c")
    first, second = other.wait(2)
    assert callbacks.drain(PATIENCE)
    assert {first["code"], second["code"]} == {"stage_failed", "callback_failed"}
    assert callbacks.counts()["error"] == {"called": 2, "failed": 1}


@pytest.mark.parametrize("is_async", [False, True])
def test_one_that_blocks_holds_nobody_up_and_what_it_misses_is_counted(
    callbacks: Callbacks, is_async: bool
) -> None:
    gate = threading.Event()
    begun = threading.Event()
    heard: list[Any] = []

    def block(payload: object) -> None:
        begun.set()
        assert gate.wait(PATIENCE)
        heard.append(payload)

    async def block_the_loop(payload: object) -> None:
        block(payload)
        await asyncio.sleep(0)

    good, errors = Heard(), Heard()
    callbacks.on("stats", block_the_loop if is_async else block)
    callbacks.on("error", errors)
    callbacks.dispatch("stats", {"number": -1})
    assert begun.wait(PATIENCE)
    callbacks.on("stats", good)
    for number in range(WAITING + 44):
        callbacks.dispatch("stats", {"number": number})
        good.wait(number + 1)
    (error,) = errors.wait(1)
    assert error["code"] == "callback_lost"
    assert not callbacks.drain(0)
    gate.set()
    assert callbacks.drain(PATIENCE)
    assert len(errors.payloads) == 1
    assert len(heard) == 1 + WAITING
    assert callbacks.counts()["stats"] == {
        "called": 1 + WAITING + WAITING + 44,
        "lost": 44,
    }


def test_each_callback_has_a_copy_of_its_own(callbacks: Callbacks) -> None:
    spoiled = threading.Event()
    heard = Heard()

    def spoil(payload: Any) -> None:
        payload["tracks"].clear()
        spoiled.set()

    def look(payload: Any) -> None:
        assert spoiled.wait(PATIENCE)
        heard(payload)

    callbacks.on("stats", spoil)
    callbacks.on("stats", look)
    callbacks.dispatch("stats", {"tracks": [1]})
    assert heard.wait(1) == [{"tracks": [1]}]


def test_settings_and_set_up_are_told_once_also_to_who_comes_later(callbacks: Callbacks) -> None:
    early, late, of_a_call = Heard(), Heard(), Heard()
    callbacks.on("default_config", early)
    callbacks.on("init", early)
    callbacks.default_config({"sample_rate": (0.5, "PATTER_TELEMETRY_SAMPLE")})
    callbacks.init("success")
    callbacks.on("default_config", late)
    callbacks.on("default_config", of_a_call, call="c")
    callbacks.on("init", late)
    settings = {"settings": {"sample_rate": {"value": 0.5, "source": "PATTER_TELEMETRY_SAMPLE"}}}
    set_up = {"status": "success", "message": ""}
    assert of_a_call.wait(1) == [settings]
    for heard in (early, late):
        heard.wait(2)
        assert callbacks.drain(PATIENCE)
        assert len(heard.payloads) == 2
        assert settings in heard.payloads
        assert set_up in heard.payloads


def test_init_has_five_statuses(callbacks: Callbacks) -> None:
    assert INIT_STATUSES == ("success", "disabled", "http_error", "auth_error", "state_error")
    for status in INIT_STATUSES:
        callbacks.init(status, "why")
    with pytest.raises(ValueError, match="not a status"):
        callbacks.init("fine")


def test_a_call_that_is_over_is_forgotten(callbacks: Callbacks) -> None:
    heard = Heard()
    callbacks.on("stats", heard, call="c")
    assert callbacks.wants("stats", "c")
    assert not callbacks.wants("stats", "another")
    callbacks.dispatch("stats", {"number": 1}, call="c")
    callbacks.forget("c")
    callbacks.dispatch("stats", {"number": 2}, call="c")
    assert not callbacks.wants("stats", "c")
    assert heard.wait(1) == [{"number": 1}]


def test_its_thread_ends_when_there_is_nothing_to_do(callbacks: Callbacks) -> None:
    heard = Heard()
    callbacks.on("stats", heard)
    for number in range(3):
        callbacks.dispatch("stats", {"number": number})
        heard.wait(number + 1)
        for thread in list(heard.threads):
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert len(heard.threads) == 3


def test_a_callback_may_attach_others_and_wait_for_them(callbacks: Callbacks) -> None:
    inner, done = Heard(), threading.Event()

    def outer(_: object) -> None:
        callbacks.on("stats", inner)
        callbacks.dispatch("stats", {"number": 1})
        if not callbacks.drain(0):
            done.set()

    callbacks.on("precall_test", outer)
    callbacks.dispatch("precall_test", {"endpoints": []})
    assert inner.wait(1) == [{"number": 1}]
    assert done.wait(PATIENCE)


def test_a_recommendation_is_applied_only_if_the_host_says_so(callbacks: Callbacks) -> None:
    applied: list[Recommendation] = []
    heard = Heard()
    callbacks.on("recommended_config", heard)
    raw = {"sample_rate": 0.1, "without": ["feature_used", "no_such_event"], "off": True}
    found = reduction(raw, sample_rate=0.5, events={"feature_used"}, apply=applied.append)
    callbacks.recommend(found)
    (given,) = heard.wait(1)
    assert (given.sample_rate, given.without, given.off) == (0.1, ("feature_used",), True)
    assert applied == []
    assert given.apply()
    assert applied == [given]


@pytest.mark.parametrize(
    "raw",
    [
        {"sample_rate": 0.5},  # no lower than it is
        {"sample_rate": 0.9},
        {"sample_rate": -1},
        {"sample_rate": float("nan")},
        {"sample_rate": True},
        {"sample_rate": "0.1"},
        {"without": []},
        {"without": "feature_used"},
        {"without": ["no_such_event", 5]},
        {"off": False},
        {"off": 1},
        {"on": True},
        {},
        [],
        None,
    ],
)
def test_what_would_not_reduce_is_no_recommendation(raw: object, callbacks: Callbacks) -> None:
    assert reduction(raw, sample_rate=0.5, events={"feature_used"}) is None
    heard = Heard()
    callbacks.on("recommended_config", heard)
    callbacks.recommend(None)
    assert callbacks.drain(PATIENCE)
    assert heard.payloads == []


def test_what_is_not_taken_of_a_recommendation_is_named() -> None:
    raw = {"sample_rate": 0.9, "off": True, "interval": 1, "without": ["x"]}
    found = reduction(raw, sample_rate=0.5, events=())
    assert found == Recommendation(off=True, ignored=("interval", "sample_rate", "without"))


def test_a_recommendation_that_cannot_be_applied_answers_so() -> None:
    def fail(_: object) -> None:
        message = "read-only"
        raise OSError(message)

    assert Recommendation(off=True).apply().status == "not_applied"
    found = reduction({"off": True}, sample_rate=1, events=(), apply=fail)
    assert found is not None
    answer = found.apply()
    assert answer.status == "not_applied"
    assert "read-only" in answer.message
