"""A real voice call on this machine: a caller's process, an agent here, a loopback socket between.

The agent answers, understands, looks up its answer and speaks it, turn by turn, until the caller
hangs up; the call it is given times that work. What the caller says is fixed, when it says it is
not: it waits until it has heard the answer and the silence after it. Every wait has an end.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from getpatter.demo.audio import FRAME_SECONDS
from getpatter.demo.caller import Heard, accept, answers_to, calling, speak_to
from getpatter.demo.line import Line
from getpatter.demo.listening import Utterance, UtteranceFinder, listen
from getpatter.demo.speech import Speech

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

__all__ = [
    "ANSWERS",
    "SENTENCES",
    "CallReport",
    "Heard",
    "SpokenTurn",
    "run_call",
    "serve_call",
    "speak_to",
]

# The rule that answers; its keys are all that the recogniser can understand.
ANSWERS = {
    "what is the weather": "it is sunny and warm",
    "what time is it": "it is almost noon",
    "are you open today": "we are open until ten",
    **{f"book a table for {n}": f"a table for {n} is yours" for n in ("one", "two", "four", "six")},
    "cancel my table": "your table is cancelled",
    "thank you goodbye": "goodbye",
}
PARDON = "sorry i did not understand"
SENTENCES = ("what is the weather", "book a table for two", "thank you goodbye")


class TimedStage(Protocol):
    """A stage of a turn that is being timed."""

    def first(self) -> None:
        """Report that the first byte is there."""


class VoiceCall(Protocol):
    """What the agent reports of its call."""

    def answer(self) -> None:
        """Report that media begins."""

    def turn(self) -> None:
        """Report that the user has finished speaking."""

    def observe(self, name: Literal["eou"], seconds: float, /) -> None:
        """Report a latency that was measured elsewhere."""

    def stage(self, name: Literal["stt", "llm", "tts"], /) -> AbstractContextManager[TimedStage]:
        """Time a stage; what is raised in it failed there."""

    def hangup(self, side: Literal["remote"], /) -> None:
        """Report who hung up."""


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """One turn as the agent had it, in seconds."""

    heard: str
    answer: str
    eou: float  # from the last voiced frame to the decision that the caller has finished
    stt: float
    llm: float
    tts: float  # to the first frame of the answer
    answer_seconds: float  # of sound that was sent


@dataclass(frozen=True, slots=True)
class CallReport:
    """A whole call, from both sides."""

    turns: list[SpokenTurn]
    heard: list[Heard]


def serve_call(
    connection: socket.socket,
    call: VoiceCall,
    speech: Speech,
    *,
    fail_stt_at_turn: int | None = None,
    on_turn: Callable[[SpokenTurn], None] | None = None,
) -> list[SpokenTurn]:
    """Be the agent on this connection until the caller hangs up; return the turns, close it.

    `on_turn` gets each turn when its answer is on its way. The recogniser fails at turn
    `fail_stt_at_turn` (the first is 1): its error comes out of here and the connection is closed.
    """
    turns: list[SpokenTurn] = []
    finder = UtteranceFinder()
    with Line(connection) as line:
        call.answer()
        while utterance := listen(line, finder):
            call.turn()
            call.observe("eou", utterance.silence)
            fails = len(turns) + 1 == fail_stt_at_turn
            turn = _respond(utterance, line, call, speech, fails=fails)
            turns.append(turn)
            if on_turn:
                on_turn(turn)
        call.hangup("remote")
    return turns


def run_call(
    begin: Callable[[], AbstractContextManager[VoiceCall]],
    *,
    sentences: Sequence[str] = SENTENCES,
    fail_stt_at_turn: int | None = None,
    print: Callable[[str], None] = print,  # noqa: A002 - it replaces this one
) -> CallReport:
    """Have one whole call, with a caller in a process of its own, and print a line for each turn.

    The caller says `sentences`; `begin` begins the call once the caller has connected. What goes
    wrong in the call comes out of here after both sides have ended.
    """
    says = iter(sentences)

    def show(turn: SpokenTurn) -> None:
        print(
            f"caller said: {next(says)} | heard: {turn.heard} | answered: {turn.answer}"
            f" | eou {_ms(turn.eou)}, stt {_ms(turn.stt)}, llm {_ms(turn.llm)},"
            f" tts {_ms(turn.tts)}"
        )

    speech = Speech(ANSWERS)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        calling(listener.getsockname(), sentences) as caller,
    ):
        with accept(listener, caller) as connection, begin() as call:
            turns = serve_call(
                connection, call, speech, fail_stt_at_turn=fail_stt_at_turn, on_turn=show
            )
        return CallReport(turns, answers_to(caller))


def _respond(
    utterance: Utterance, line: Line, call: VoiceCall, speech: Speech, *, fails: bool
) -> SpokenTurn:
    started = time.perf_counter()
    with call.stage("stt"):
        heard = speech.recogniser.understand(utterance.pcm, opened=not fails)
    understood = time.perf_counter()
    with call.stage("llm"):
        answer = ANSWERS.get(heard, PARDON)
    decided = time.perf_counter()
    sent: list[float] = []
    with call.stage("tts") as stage:

        def send(frame: bytes) -> None:
            if not sent:
                stage.first()
            line.say(frame)
            sent.append(time.perf_counter())

        speech.voice.speak(answer, send)
    return SpokenTurn(
        heard=heard,
        answer=answer,
        eou=utterance.silence,
        stt=understood - started,
        llm=decided - understood,
        tts=sent[0] - decided,
        answer_seconds=len(sent) * FRAME_SECONDS,
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
