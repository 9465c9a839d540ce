"""A value that is none is told once, counted each time, and the call goes on."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from getpatter import Call, Patter
from getpatter.calls import Hub, JsonLinesSink, Redaction, WebhookSink

PATIENCE = 20.0


@pytest.fixture
def errors() -> list[Any]:
    return []


@pytest.fixture
def patter(errors: list[Any]) -> Patter:
    made = Patter(carrier="none", telemetry=False, diagnostics=Hub())
    made.on("error", errors.append)
    return made


def lost(patter: Patter) -> object:
    counted: Any = patter.diagnostics.stats()["lost"]
    return counted.get("bad_value", 0)


def use_stage(call: Call, name: Any) -> None:
    with call.stage(name):
        pass


class Hostile(str):
    __slots__ = ()

    def fail(self, *_: object) -> Any:
        raise RuntimeError

    __str__ = __repr__ = __hash__ = __eq__ = __len__ = __format__ = fail


STAGES = "must be 'stt', 'eou', 'llm', 'tts', "
SIDES = "side of hangup() must be 'local' or 'remote', not "
MISTAKES: dict[str, tuple[Any, str]] = {
    "a stage": (lambda call: use_stage(call, "asr"), f"name of stage() {STAGES}"),
    "a stage in capitals": (lambda call: use_stage(call, "STT"), ", not 'STT'. Did you mean 'stt'"),
    "a stage that is none": (lambda call: use_stage(call, ["stt"]), "not list"),
    "an observed stage": (lambda call: call.observe("asr", 1), f"name of observe() {STAGES}"),
    "a latency": (
        lambda call: call.observe("stt", -1),
        "seconds of observe() must be a number from 0 to 604,800, not -1. It is ignored.",
    ),
    "a number to call": (lambda call: call.observe("stt", 15550142424), "not so large a number."),
    "a side": (lambda call: call.hangup("me"), f"{SIDES}a text of 2 characters. It is ignored."),
    "a side in short": (lambda call: call.hangup("loca"), f"{SIDES}'loca'. Did you mean 'local'?"),
    "a side with a slip": (lambda call: call.hangup("remtoe"), f"{SIDES}'remtoe'. Did you mean 'r"),
    "no side": (lambda call: call.hangup(""), f"{SIDES}an empty text."),
    "a side that is none": (lambda call: call.hangup(None), f"{SIDES}NoneType."),
    "a side that acts": (lambda call: call.hangup("\x1b[2J\u202e"), f"{SIDES}a text of 5 char"),
    "a hostile side": (lambda call: call.hangup(Hostile("me")), f"{SIDES}a text of 2 characters."),
    "the stage of an error": (
        lambda call: call.error("timeout", stage="asr"),
        f"stage of error() {STAGES}",
    ),
    "a cost": (lambda call: call.cost("12"), "usd of cost() must be a number, not a text of 2 ch"),
    "an engine": (
        lambda call: call.describe(engine="realtim"),
        "engine of describe() must be 'realtime', 'convai' or 'pipeline', not 'realtim'. Did you",
    ),
    "a description that is late": (
        lambda call: (call.answer(), call.describe(engine="realtime")),
        "describe() must come before answer(). It is ignored.",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_logged_and_counted(
    patter: Patter, errors: list[Any], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    make, words = MISTAKES[name]
    with caplog.at_level(logging.WARNING, "getpatter"):
        for _ in range(3):
            with patter.call(direction="inbound", session="mine") as call:
                make(call)
    assert patter.diagnostics.flush(PATIENCE)
    mistakes = [error for error in errors if error["code"] == "refused_value"]
    assert [error["layer"] for error in mistakes] == ["internal"] * 3
    assert words in mistakes[0]["message"]
    assert "mine" in mistakes[0]["message"]
    assert lost(patter) == 3
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("getpatter: ")
    assert words in line


@pytest.mark.parametrize("secret", ["+15550142424", "jane", "sk-5Jx0q", "call me back"])
def test_what_was_given_is_in_no_log_and_no_message(
    patter: Patter, errors: list[Any], caplog: pytest.LogCaptureFixture, secret: Any
) -> None:
    with patter.call(direction=secret) as call:
        call.hangup(secret)
        call.observe(secret, 1)
        call.cost(secret)
        use_stage(call, secret)
    assert patter.diagnostics.flush(PATIENCE)
    assert len(errors) == 5
    assert secret not in caplog.text + "".join(error["message"] for error in errors)


@pytest.mark.parametrize("direction", ["in", "", 5, "inbound "])
def test_a_direction_that_is_none(
    patter: Patter, errors: list[Any], caplog: pytest.LogCaptureFixture, direction: Any
) -> None:
    with patter.call(direction=direction) as call:
        call.turn()
    assert patter.diagnostics.flush(PATIENCE)
    assert [error["code"] for error in errors] == ["refused_value"]
    assert lost(patter) == 1
    assert "direction of call() must be 'inbound' or 'outbound', not " in caplog.text


@pytest.mark.parametrize("direction", ["Inbound", None])
def test_what_is_no_mistake_says_nothing(
    patter: Patter, errors: list[Any], caplog: pytest.LogCaptureFixture, direction: str | None
) -> None:
    with patter.call(direction=direction) as call:
        call.observe("stt", 0)
        use_stage(call, "peer_connection")
        call.cost(0)
        call.error("anything at all")
        call.hangup("Remote")  # type: ignore[arg-type]
    assert patter.diagnostics.flush(PATIENCE)
    assert (errors, lost(patter), caplog.text) == ([], 0, "")


def test_nobody_listens_and_diagnostics_are_off() -> None:
    with Patter(carrier="none", telemetry=False, diagnostics=False).call(direction="in") as call:
        call.hangup("me")  # type: ignore[arg-type]
        call.cost("12")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Patter(carrier="none", telemetry=False, stats_interval=0.5),
            "stats_interval must be 0, or 1 to 86,400 seconds, not 0.5.",
        ),
        (lambda: Hub(ring_events=-1), "must be a whole number, at least 0, not -1."),
        (lambda: JsonLinesSink("x", files=0), "files must be at least 1, not 0."),
        (
            lambda: WebhookSink("http://127.0.0.1", "secret", timeout=0),
            "timeout must be seconds, above 0, not 0.",
        ),
        (
            lambda: WebhookSink("http://127.0.0.1", "secret", attempts=0),
            "attempts must be a whole number, at least 1, not 0.",
        ),
        (
            lambda: Redaction(max_text_chars=-1),
            "max_text_chars must be at least 0, not -1.",
        ),
    ],
)
def test_what_is_wrong_at_the_set_up_is_said_with_what_was_given(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make()


def test_an_answer_says_what_was_given(patter: Patter) -> None:
    with patter.call(direction="inbound", session="mine") as call:
        assert "seconds, not 0.5." in call.set_stats_interval(0.5).message
        said = call.connection("caller", connection_state="onlin").message
        assert "must be 'online' or 'offline', not 'onlin'. Did you mean 'online'?" in said
