"""What a call is told of a LiveKit session, without LiveKit."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from getpatter import Patter
from getpatter.integrations.figures import measured
from getpatter.integrations.guarded import guarded
from getpatter.integrations.livekit import dial_failed, observe
from getpatter.integrations.livekit.conversation import AgentConversation
from getpatter.integrations.livekit.layers import is_realtime, layer_of
from getpatter.integrations.livekit.listener import SessionListener
from getpatter.integrations.livekit.mapping import (
    CLOSE_REASONS,
    DISCONNECT_REASONS,
    ROWS,
    code_of_exception,
    code_of_sip,
    departure_of,
)

STANDARD, SIP, AGENT = 0, 3, 4
SPOKEN = {"started_speaking_at": 1.0, "stopped_speaking_at": 2.0}


class Told:
    """A call that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.events: list[tuple[str, dict[str, object]]] = []

    def emitter(self, node: str) -> SimpleNamespace:
        assert node == "livekit"
        return SimpleNamespace(emit=lambda kind, data: self.events.append((kind, data)))

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.said.append((name, *given, *named.items()))

    def names(self) -> list[str]:
        return [said[0] for said in self.said]


class Emitter:
    """The part of LiveKit's event emitter that matters here."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}
        self.remote_participants: dict[str, Any] = {}
        self.stt = self.llm = self.tts = None

    def on(self, event: str, handler: Any) -> None:
        self.handlers[event] = handler

    def emit(self, event: str, *given: object) -> None:
        self.handlers[event](*given)

    @property
    def current_agent(self) -> Any:
        return SimpleNamespace(stt=None, llm=None, tts=None)

    def join(self, kind: int, **attributes: str) -> Any:
        named = {f"sip.{name}": value for name, value in attributes.items()}
        participant = SimpleNamespace(kind=kind, attributes=named, disconnect_reason=None)
        self.remote_participants[str(id(participant))] = participant
        self.emit("participant_connected", participant)
        return participant

    def leave(self, participant: Any, reason: str) -> None:
        del self.remote_participants[str(id(participant))]
        participant.disconnect_reason = number(reason)
        self.emit("participant_disconnected", participant)


class Scene:
    """A session and its room, listened to."""

    def __init__(self, entry: Any = None, *, is_outbound: bool = False) -> None:
        self.told, self.session, self.room = Told(), Emitter(), Emitter()
        call: Any = self.told
        self.conversation = AgentConversation(call)
        self.listener = SessionListener(
            self.conversation,
            call,
            lambda: self.session,
            self.room,
            entry,
            is_outbound=is_outbound,
        )
        self.listener.attach()

    def ready(self) -> None:
        self.session.emit("agent_state_changed", SimpleNamespace(new_state="listening"))

    def item(self, role: str, **metrics: object) -> None:
        item = SimpleNamespace(role=role, metrics=metrics)
        self.session.emit("conversation_item_added", SimpleNamespace(item=item))

    def close(self, reason: str, error: Any = None) -> None:
        self.session.emit("close", SimpleNamespace(reason=reason, error=error))

    def said(self, name: str) -> list[tuple[Any, ...]]:
        return [said[1:] for said in self.told.said if said[0] == name]


def number(name: str) -> int:
    return next(key for key, row in DISCONNECT_REASONS.items() if row.name == name)


def failure(kind: str, error: BaseException, *, recoverable: bool = False) -> Any:
    return SimpleNamespace(type=kind, error=error, recoverable=recoverable)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_turn_passes_on_exactly_what_was_measured(scene: Scene) -> None:
    scene.item("user", transcription_delay=0.1831, end_of_turn_delay=0.5, stopped_speaking_at=9.0)
    scene.item("assistant", llm_node_ttft=0.42, tts_node_ttfb=0.2, e2e_latency=0.79, **SPOKEN)
    assert scene.told.said == [
        ("turn", ("late", True)),
        ("observe", "stt", 0.1831),
        ("observe", "eou", 0.5),
        ("observe", "llm", 0.42),
        ("observe", "tts", 0.2),
        ("observe", "answer", 0.79),
    ]


@pytest.mark.parametrize("value", [0.0, -1, -0.2, float("nan"), float("inf"), None, "0.2", True])
def test_what_was_not_measured_is_absent(scene: Scene, value: object) -> None:
    assert measured(value) is None
    scene.item("user", transcription_delay=value, end_of_turn_delay=value)
    scene.item("assistant", llm_node_ttft=value, tts_node_ttfb=value, e2e_latency=value, **SPOKEN)
    assert scene.told.names() == ["turn"]


def test_a_greeting_belongs_to_no_turn_and_answers_nothing(scene: Scene) -> None:
    scene.item("assistant", llm_node_ttft=0.4, tts_node_ttfb=0.2, **SPOKEN)
    assert scene.told.said == []


def test_an_interrupted_turn_that_played_nothing_has_no_tts(scene: Scene) -> None:
    scene.item("user")
    scene.item("assistant", llm_node_ttft=0.4, tts_node_ttfb=0.2)
    assert scene.said("observe") == [("llm", 0.4)]


def test_instructions_and_handoffs_are_no_turns(scene: Scene) -> None:
    scene.item("system")
    handoff = SimpleNamespace(type="agent_handoff")
    scene.session.emit("conversation_item_added", SimpleNamespace(item=handoff))
    assert scene.told.said == []


def test_the_first_token_of_a_realtime_model_is_its_first_audio(scene: Scene) -> None:
    scene.conversation.is_realtime = True
    scene.item("user")
    scene.item("assistant", llm_node_ttft=0.4, e2e_latency=0.8, **SPOKEN)
    assert scene.said("observe") == [("answer", 0.8)]


def test_the_call_is_answered_when_the_agent_is_ready(scene: Scene) -> None:
    scene.session.emit("agent_state_changed", SimpleNamespace(new_state="initializing"))
    assert scene.told.said == []
    scene.ready()
    assert scene.told.names() == ["describe", "answer"]
    scene.session.emit("agent_state_changed", SimpleNamespace(new_state="speaking"))
    assert len(scene.told.said) == 2


def test_who_is_dialled_has_not_answered_while_it_rings() -> None:
    scene = Scene(is_outbound=True)
    scene.ready()
    participant = scene.room.join(SIP, callStatus="ringing")
    assert scene.said("answer") == []
    participant.attributes["sip.callStatus"] = "active"
    scene.room.emit("participant_attributes_changed", {}, participant)
    assert scene.said("answer") == [()]


def test_who_was_there_before_the_agent_is_found_when_it_speaks() -> None:
    scene = Scene(is_outbound=True)
    scene.ready()
    there = SimpleNamespace(kind=SIP, attributes={"sip.callStatus": "active"})
    scene.room.remote_participants["callee"] = there
    assert scene.said("answer") == []
    scene.session.emit("agent_state_changed", SimpleNamespace(new_state="speaking"))
    assert scene.said("answer") == [()]


def test_a_caller_who_hangs_up_while_it_rings_has_not_answered(scene: Scene) -> None:
    scene.room.join(SIP, callStatus="ringing")
    scene.ready()
    [participant] = scene.room.remote_participants.values()
    participant.attributes["sip.callStatus"] = "hangup"
    scene.room.emit("participant_attributes_changed", {}, participant)
    assert scene.said("answer") == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("CLIENT_INITIATED", [("hangup", "remote")]),
        ("PARTICIPANT_REMOVED", [("hangup", "local")]),
        ("ROOM_DELETED", [("hangup", "local")]),
        ("USER_REJECTED", [("busy",), ("hangup", "remote")]),
        ("USER_UNAVAILABLE", [("no_answer",), ("hangup", "remote")]),
        ("SIP_TRUNK_FAILURE", [("error", "connection", "carrier")]),
        ("MEDIA_FAILURE", [("error", "connection", "carrier")]),
        ("CONNECTION_TIMEOUT", [("error", "connection", "carrier")]),
        ("SIGNAL_CLOSE", []),
    ],
)
@pytest.mark.parametrize("closed", ["participant_disconnected", "user_initiated", "job_shutdown"])
def test_the_last_who_left_says_how_it_ended(
    scene: Scene, reason: str, said: list[Any], closed: str
) -> None:
    scene.room.leave(scene.room.join(STANDARD), reason)
    scene.close(closed)
    assert scene.told.said == [*said, ("end",)]


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        ("user_initiated", [("hangup", "local")]),
        ("job_shutdown", [("hangup", "local")]),
        ("task_completed", []),
        ("participant_disconnected", []),
        ("error", [("error", "internal")]),
        ("of a later version", []),
    ],
)
def test_an_end_without_a_departure(scene: Scene, closed: str, said: list[Any]) -> None:
    scene.close(closed)
    assert scene.told.said == [*said, ("end",)]


def test_an_end_counts_once(scene: Scene) -> None:
    for reason in CLOSE_REASONS:
        scene.close(reason, failure("llm_error", ValueError()))
    scene.listener.shut_down(crashed=True)
    assert scene.told.names() == ["error", "end"]


def test_who_comes_back_has_not_left(scene: Scene) -> None:
    scene.room.leave(scene.room.join(STANDARD), "MIGRATION")
    scene.room.join(STANDARD)
    scene.close("user_initiated")
    assert scene.said("hangup") == [("local",)]


def test_agents_and_others_who_stay_end_nothing(scene: Scene) -> None:
    scene.room.join(STANDARD)
    scene.room.leave(scene.room.join(STANDARD), "CLIENT_INITIATED")
    scene.room.leave(scene.room.join(AGENT), "CLIENT_INITIATED")
    scene.close("user_initiated")
    assert scene.said("hangup") == [("local",)]


@pytest.mark.parametrize(
    ("reason", "said"), [("SERVER_SHUTDOWN", "error"), ("CLIENT_INITIATED", "hangup")]
)
def test_a_room_that_is_lost(scene: Scene, reason: str, said: str) -> None:
    scene.room.join(STANDARD)
    scene.room.emit("disconnected", number(reason))
    scene.close("user_initiated")
    assert scene.told.names() == [said, "end"]


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        ("stt_error", "stt"),
        ("llm_error", "llm"),
        ("realtime_model_error", "llm"),
        ("tts_error", "tts"),
        ("of a later version", None),
    ],
)
def test_the_error_that_closed_the_session(scene: Scene, kind: str, stage: str | None) -> None:
    scene.room.leave(scene.room.join(STANDARD), "CLIENT_INITIATED")
    scene.close("error", failure(kind, TimeoutError()))
    assert scene.told.said == [("error", "timeout", stage), ("end",)]


def test_an_error_that_was_recovered_from_is_for_diagnostics(scene: Scene) -> None:
    error = failure("tts_error", ValueError("of mine"), recoverable=True)
    scene.session.emit("error", SimpleNamespace(error=error))
    assert scene.told.said == []
    [(kind, data)] = scene.told.events
    assert kind == "error"
    assert data == {
        "stage": "tts",
        "code": "provider_error",
        "exception": "ValueError",
        "message": "of mine",
        "recovered": True,
    }


def status_error(status: object) -> BaseException:
    kind = type("APIStatusError", (Exception,), {"status_code": status})
    made: BaseException = kind()
    return made


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (status_error(401), "auth"),
        (status_error(403), "auth"),
        (status_error(408), "timeout"),
        (status_error(422), "input_validation"),
        (status_error(429), "rate_limit"),
        (status_error(503), "provider_error"),
        (status_error(-1), "provider_error"),
        (type("APITimeoutError", (Exception,), {})(), "timeout"),
        (type("APIConnectionError", (Exception,), {})(), "connection"),
        (ConnectionResetError(), "connection"),
        (ValueError(), "provider_error"),
        (None, "provider_error"),
    ],
)
def test_the_code_of_an_exception(error: BaseException | None, code: str) -> None:
    assert code_of_exception(error) == code


async def crash() -> None:
    raise ValueError


def test_an_entrypoint_that_raised_has_ended_the_call() -> None:
    async def main() -> Scene:
        entry = asyncio.create_task(crash())
        scene = Scene(entry)
        await asyncio.wait([entry])
        scene.close("user_initiated")
        return scene

    assert asyncio.run(main()).told.said == [("error", "internal"), ("end",)]


def test_a_session_that_is_closed_on_the_way_out_of_the_entrypoint() -> None:
    async def main() -> Scene:
        scenes: list[Scene] = []

        async def entrypoint() -> None:
            try:
                scenes[0].ready()
                await crash()
            finally:
                scenes[0].close("user_initiated")

        entry = asyncio.create_task(entrypoint())
        scenes.append(Scene(entry))
        await asyncio.wait([entry])
        await asyncio.sleep(0)  # what waits for the entrypoint runs after it
        return scenes[0]

    assert asyncio.run(main()).told.said[-2:] == [("error", "internal"), ("end",)]


def test_an_entrypoint_that_goes_on_without_its_session() -> None:
    async def main() -> Scene:
        entry = asyncio.create_task(asyncio.Event().wait())
        scene = Scene(entry)
        scene.close("user_initiated")
        assert scene.told.said == []
        while not scene.told.said:  # noqa: ASYNC110 # a call has no event for that
            await asyncio.sleep(0.01)
        entry.cancel()
        return scene

    assert asyncio.run(main()).told.said == [("hangup", "local"), ("end",)]


def test_a_caller_who_had_left_before_the_entrypoint_raised() -> None:
    async def main() -> Scene:
        entry = asyncio.create_task(crash())
        scene = Scene(entry)
        scene.room.leave(scene.room.join(STANDARD), "CLIENT_INITIATED")
        await asyncio.wait([entry])
        assert entry.exception() is not None
        scene.listener.shut_down(crashed=True)
        return scene

    assert asyncio.run(main()).said("hangup") == [("remote",)]


class Hostile:
    """Whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


@pytest.mark.parametrize("kind", [Hostile, object, str])
def test_no_handler_raises_whatever_it_is_given(scene: Scene, kind: type) -> None:
    for emitter in (scene.session, scene.room):
        for handle in emitter.handlers.values():
            handle(kind())
    guarded(scene.listener.attach)


def plugin(module: str, *bases: type, **attributes: object) -> Any:
    return type("Plugin", bases or (object,), {"__module__": module, **attributes})()


@pytest.mark.parametrize(
    ("given", "layer"),
    [
        (plugin("livekit.plugins.deepgram.stt", model="nova-3"), "deepgram/nova-3"),
        (plugin("livekit.plugins.openai.llm", model="gpt-4o", provider="api.openai.com"),
         "openai/gpt-4o"),
        (plugin("livekit.plugins.openai.llm", model="m", provider="api.groq.com"), "groq/m"),
        (plugin("livekit.plugins.openai.llm", model="m", provider="localhost:8000"), "openai/m"),
        (plugin("livekit.plugins.silero.vad", model="unknown"), "silero"),
        (plugin("livekit.agents.inference.tts", model="cartesia/sonic-3:a-voice"),
         "cartesia/sonic-3"),
        (plugin("livekit.agents.inference", model="unknown"), "other"),
        (plugin("my_bot.speech", model="secret-model"), "other/secret-model"),
        (plugin("my_bot.speech", type(plugin("livekit.plugins.elevenlabs.tts")), model="m"),
         "elevenlabs/m"),
        (SimpleNamespace(wrapped_stt=plugin("livekit.plugins.deepgram.stt", model="nova-3")),
         "deepgram/nova-3"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        (None, None),
    ],
)  # fmt: skip
def test_the_layer_that_a_plugin_is(given: object, layer: str | None) -> None:
    assert layer_of(given) == layer


def test_a_model_that_speaks_itself() -> None:
    base = type("RealtimeModel", (), {"__module__": "livekit.agents.llm.realtime"})
    assert is_realtime(plugin("livekit.plugins.openai.realtime", base))
    assert not is_realtime(plugin("livekit.plugins.openai.llm"))


def test_each_disconnect_reason_is_said_of_its_number() -> None:
    assert departure_of(number("CLIENT_INITIATED")) == "remote"
    assert {departure_of(each) for each in (None, 99, "1", object())} == {"unknown"}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        *[(each, [("busy",)]) for each in (486, 600, 603)],
        *[(each, [("no_answer",)]) for each in (408, 480, 487)],
        *[(each, [("error", "auth", "carrier")]) for each in (401, 403, 407)],
        *[(each, [("error", "input_validation", "carrier")]) for each in (404, 484)],
        *[(each, [("error", "connection", "carrier")]) for each in (500, 503, 999)],
    ],
)
def test_a_dial_that_failed(status: int, said: list[Any]) -> None:
    told: Any = Told()
    dial_failed(told, sip_error(str(status)))
    assert told.said == [*said, ("end",)]


def sip_error(status: str) -> BaseException:
    error: Any = RuntimeError("to a number")
    error.metadata = {"sip_status_code": status}
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "timeout"),
        (ValueError(), "connection"),
        (sip_error("none"), "connection"),
        (sip_error("²"), "connection"),
    ],
)
def test_a_dial_that_failed_without_a_status(error: BaseException, code: str) -> None:
    told: Any = Told()
    dial_failed(told, error)
    assert told.said == [("error", code, "carrier"), ("end",)]


def test_a_dial_that_was_given_up() -> None:
    told: Any = Told()
    dial_failed(told, sip_error("487"), cancelled=True)
    assert told.said == [("hangup", "local"), ("end",)]


def test_a_dial_that_failed_in_a_way_that_cannot_be_read() -> None:
    told: Any = Told()
    dial_failed(told, Hostile())  # type: ignore[arg-type]
    assert told.said == [("end",)]


def test_every_other_sip_status_is_a_failed_connection() -> None:
    assert {code_of_sip(each) for each in (500, 502, 603.5, None)} == {"connection"}


def test_without_livekit_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'getpatter\[livekit\]'"):
        observe(object(), None)  # type: ignore[arg-type]


def test_a_version_that_is_not_tested_is_noted_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agents = ModuleType("livekit.agents")
    agents.__dict__["__version__"] = "99.1.0"
    package = ModuleType("livekit")
    package.__dict__["agents"] = agents
    monkeypatch.setitem(sys.modules, "livekit", package)
    monkeypatch.setitem(sys.modules, "livekit.agents", agents)
    phone = Patter(carrier="none", telemetry=False)
    calls = [observe(Emitter(), phone) for _ in range(2)]
    for call in calls:
        call.end()
    said = "getpatter: LiveKit Agents 99.1.0 is not tested, only 1.3 to 1.8"
    assert [record.message for record in caplog.records] == [said]


def test_the_document_has_the_rows_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "livekit.mdx").read_text("utf-8")
    for theirs, ours in ROWS:
        assert f"| {theirs} | {ours} |" in page
