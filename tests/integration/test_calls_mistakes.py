"""A value that is none is told once, counted each time, and the call goes on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from getpatter import Call, Patter
from getpatter.calls import Hub

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


MISTAKES: dict[str, tuple[Any, str]] = {
    "a stage": (lambda call: use_stage(call, "asr"), "stage must be stt, "),
    "a stage in capitals": (lambda call: use_stage(call, "STT"), "stage must be stt, "),
    "a stage that is none": (lambda call: use_stage(call, ["stt"]), "not list"),
    "an observed stage": (lambda call: call.observe("asr", 1), "stage must be stt, "),
    "a latency": (lambda call: call.observe("stt", -1), "seconds must be a number"),
    "a side": (lambda call: call.hangup("me"), "side must be local, remote"),
    "a side that is none": (lambda call: call.hangup(None), "not NoneType"),
    "a side that acts": (lambda call: call.hangup("\x1b[2J\u202e"), "side must be local, remote"),
    "a hostile side": (lambda call: call.hangup(Hostile("me")), "side must be local, remote"),
    "the stage of an error": (lambda call: call.error("timeout", stage="asr"), "stage must be stt"),
    "a cost": (lambda call: call.cost("12"), "usd must be a number"),
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
    assert "direction must be inbound, outbound" in caplog.text


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
