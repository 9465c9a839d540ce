"""What arrives of calls on a real `AgentSession`."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from livekit import api, rtc
from livekit.agents import APIConnectionError, APIStatusError, llm
from livekit.agents.voice.events import AgentState, CloseEvent, CloseReason
from livekit_bot import CANARY, Bot, talk
from watched import Observed

from getpatter import Patter
from getpatter.integrations.livekit import mapping, observe

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Watched(Observed):
    def run(self, make: Callable[[Bot], Awaitable[None]], **given: Any) -> dict[str, Any]:
        async def observed(bot: Bot) -> None:
            observe(bot.session, self.phone, **given)
            await make(bot)

        self.bot = talk(observed)
        return self.completed()

    def of(self, kind: str, **data: object) -> list[Any]:
        found = [each for each in self.diagnosed if each.type == kind]
        return [each for each in found if data.items() <= each.data.items()]


@pytest.fixture
def watched(getpatter_telemetry: Any) -> Watched:
    return Watched(getpatter_telemetry, CANARY)


async def two_turns(bot: Bot) -> None:
    await bot.start()
    for count in (1, 2):
        await bot.turn()
        await bot.items_of("assistant", count)


def test_the_figures_are_those_of_livekit(watched: Watched) -> None:
    completed = watched.run(two_turns)
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_local")
    assert completed["turn_count_bucket"] == "2_3"
    figures = {"user": mapping.USER_FIGURES, "assistant": mapping.AGENT_FIGURES}
    for role, table in figures.items():
        items = [each.metrics for each in watched.bot.items if each.role == role]
        for key, name in table.items():
            said = [round(each[key] * 1000, 3) for each in items if each.get(key, 0) > 0]
            assert said or key == "transcription_delay"
            if name == "answer":
                told = [each.data["latency_ms"] for each in watched.of("call.turn_answered")]
            else:
                stages = watched.of("stage.completed", stage=name)
                told = [round(each.data["elapsed_ms"], 3) for each in stages]
            assert told == said
    slowest = max(each.metrics["e2e_latency"] for each in watched.bot.items if each.role != "user")
    assert completed["latency_ms"] == max(1, round(slowest * 1000))


def test_a_greeting_belongs_to_no_turn(watched: Watched) -> None:
    async def greet(bot: Bot) -> None:
        await bot.start()
        await bot.session.say(CANARY)

    completed = watched.run(greet)
    assert completed["turn_count_bucket"] == "0"
    assert not {"latency_ms", "tts_first_byte_ms", "llm_ttft_ms"} & set(completed)


def test_the_caller_interrupts(watched: Watched) -> None:
    async def cut(bot: Bot) -> None:
        await bot.start()
        bot.voice.seconds = 20
        await bot.turn()
        bot.voice.seconds = 0.1
        await bot.turn()
        await bot.items_of("assistant", 2)

    completed = watched.run(cut)
    assert completed["outcome"] == "completed"
    assert completed["turn_count_bucket"] == "2_3"
    assert watched.bot.items[1].interrupted
    assert len(watched.of("call.turn_answered")) == 2


def test_an_error_that_closed_the_session(watched: Watched) -> None:
    def refuse() -> None:
        raise APIStatusError(CANARY, status_code=401, body={"key": CANARY})

    async def fail(bot: Bot) -> None:
        bot.model.instead = refuse
        await bot.start()
        await bot.line.speak()
        await asyncio.wait_for(bot.closed.wait(), 20)

    completed = watched.run(fail)
    assert (completed["outcome"], completed["error_layer"]) == ("error", "llm")
    assert completed["error_code"] == "auth"
    assert any(CANARY in each.data["message"] for each in watched.of("error", recovered=False))


def test_an_error_that_was_recovered_from(watched: Watched) -> None:
    async def stumble(bot: Bot) -> None:
        def once() -> None:
            bot.voice.instead = None
            raise APIConnectionError(CANARY)

        bot.voice.instead = once
        await bot.start()
        await bot.turn()
        await bot.items_of("assistant", 1)

    completed = watched.run(stumble)
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_local")
    [error] = watched.of("error")
    assert (error.data["stage"], error.data["code"]) == ("tts", "connection")


class Participant:
    def __init__(self, kind: int, **attributes: str) -> None:
        self.kind, self.attributes = kind, attributes
        self.disconnect_reason: int | None = None
        self.identity = CANARY


class Room(rtc.EventEmitter[Any]):
    """LiveKit's own emitter; without a server there are no participants but ours."""

    def __init__(self, *there: Participant) -> None:
        super().__init__()
        self.remote_participants = {str(id(each)): each for each in there}

    def leave(self, participant: Participant, reason: int) -> None:
        del self.remote_participants[str(id(participant))]
        participant.disconnect_reason = reason
        self.emit("participant_disconnected", participant)


def test_the_caller_hangs_up(watched: Watched) -> None:
    caller = Participant(rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD)
    room = Room(caller)

    async def hang_up(bot: Bot) -> None:
        await bot.start()
        room.leave(caller, rtc.DisconnectReason.CLIENT_INITIATED)

    assert watched.run(hang_up, room=room)["disconnect_reason"] == "hangup_remote"


def test_nobody_answers_a_dial(getpatter_telemetry: Any) -> None:
    callee = Participant(
        rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
        **{"sip.callID": CANARY, "sip.callStatus": "ringing"},
    )
    room = Room(callee)
    phone = Patter(carrier="none")

    async def ring(bot: Bot) -> None:
        observe(bot.session, phone, room=room, carrier="telnyx")
        await bot.start()
        room.leave(callee, rtc.DisconnectReason.USER_UNAVAILABLE)

    talk(ring)
    events = getpatter_telemetry.events
    [completed] = [each for each in events if each["event"].startswith("call_")]
    assert (completed["outcome"], completed["direction"]) == ("no_answer", "outbound")
    assert completed["carrier"] == "telnyx"


def test_observing_again_is_the_same_call_until_it_has_ended(watched: Watched) -> None:
    calls: list[Any] = []

    async def twice(bot: Bot) -> None:
        calls.extend(observe(bot.session, watched.phone) for _ in range(2))
        await bot.start()
        await bot.session.aclose()
        calls.append(observe(bot.session, watched.phone))

    watched.run(twice)
    assert calls[0] is calls[1] is not calls[2]
    calls[2].end()


def test_the_conversation_is_the_same_as_without_us(watched: Watched) -> None:
    plain = talk(two_turns)
    watched.run(two_turns)
    said = [
        [(each.role, each.content, each.interrupted) for each in bot.items]
        for bot in (plain, watched.bot)
    ]
    assert said[0] == said[1]


class Hostile:
    """Whatever is asked of it raises what LiveKit would let through."""

    def __getattribute__(self, name: str) -> Any:
        raise TypeError(name)


def test_no_event_makes_a_handler_raise(getpatter_telemetry: Any) -> None:
    emitter: rtc.EventEmitter[Any] = rtc.EventEmitter()
    room = Room()
    call = observe(emitter, Patter(carrier="none"), room=room)
    for name in ("agent_state_changed", "conversation_item_added", "error", "close"):
        emitter.emit(name, Hostile())
    for name in ("participant_connected", "participant_disconnected", "disconnected"):
        room.emit(name, Hostile())
    call.end()
    assert [each["event"] for each in getpatter_telemetry.events].count("call_completed") == 1


def test_the_lines_of_readme_run_as_pasted(watched: Watched) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    [pasted] = [block for block in blocks if "integrations.livekit" in block]

    async def paste(bot: Bot) -> None:
        exec(pasted, {"session": bot.session})  # noqa: S102 # as a reader pastes it
        await two_turns(bot)

    talk(paste)
    assert watched.completed()["turn_count_bucket"] == "2_3"


def test_the_dial_of_the_document_runs_as_pasted(getpatter_telemetry: Any) -> None:
    page = (ROOT / "docs" / "livekit.mdx").read_text("utf-8")
    [pasted] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(pasted, names)  # noqa: S102 # as a reader pastes it
    kind = getattr(api, "SipCallError", api.TwirpError)
    error = kind("busy", CANARY, status=486, metadata={"sip_status_code": "486"})

    class Context:
        def __init__(self) -> None:
            self.api = self.sip = self

        async def create_sip_participant(self, _: object) -> None:
            raise error

    with pytest.raises(kind):
        asyncio.run(names["dial"](Context(), Patter(carrier="none"), None))
    [completed] = [e for e in getpatter_telemetry.events if e["event"] == "call_completed"]
    assert (completed["outcome"], completed["carrier"]) == ("busy", "telnyx")
    assert CANARY not in repr(getpatter_telemetry.receiver.events)


def test_the_tables_know_every_value_of_livekit() -> None:
    assert {each.value for each in CloseReason} == set(mapping.CLOSE_REASONS)
    assert {number: row.name for number, row in mapping.DISCONNECT_REASONS.items()}.items() >= {
        number: name for name, number in rtc.DisconnectReason.items()
    }.items()
    assert set(mapping.CALLERS) >= set(rtc.ParticipantKind.values())
    assert "initializing" in get_args(AgentState)
    closers = get_args(CloseEvent.model_fields["error"].annotation)
    kinds = {each.model_fields["type"].default for each in closers if each is not type(None)}
    assert "stt_error" in kinds
    assert kinds <= set(mapping.ERROR_STAGES)


def test_every_sip_status_of_livekit_means_something() -> None:
    answered = {486, 600, 603, 408, 480, 487, 401, 403, 407, 404, 484}
    known = set(api.SIPStatusCode.values())
    assert answered <= known
    assert "connection" not in {mapping.code_of_sip(each) for each in answered}
    assert {mapping.code_of_sip(each) for each in known - answered} == {"connection"}


def test_the_tables_know_every_figure_of_livekit() -> None:
    known = {*mapping.USER_FIGURES, *mapping.AGENT_FIGURES}
    assert known <= set(llm.chat_context.MetricsReport.__annotations__)


def test_a_realtime_model_is_known_by_its_class() -> None:
    from getpatter.integrations.livekit import layers

    kind = llm.RealtimeModel
    assert f"{kind.__module__}.{kind.__qualname__}" == layers.REALTIME
