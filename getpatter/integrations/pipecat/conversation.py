"""One conversation: from what a pipeline says in its order to what the call is told. Pure.

A turn begins when the user has stopped speaking. What was measured of speech recognition before
that belongs to it, not to the turn before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from getpatter.integrations.pipecat.mapping import code_of

if TYPE_CHECKING:
    from typing import Literal

    from getpatter.call import Call

__all__ = ["Conversation"]


class _Failure(NamedTuple):
    code: str
    stage: str | None
    is_fatal: bool


class Conversation:
    """What is known of a conversation, and its one end."""

    def __init__(self, call: Call) -> None:
        self.has_ended = False
        #: Whether a transport says when the other side leaves. Where none does, an end of our own
        #: may be the answer to that: nobody knows who hung up.
        self.knows_sides = True
        self._call = call
        self._events = call.emitter("pipecat")
        self._side: Literal["local", "remote"] | None = None
        self._failure: _Failure | None = None
        self._turns = 0
        # The turns at the time of the failure: a later one that is answered shows a recovery.
        self._failed_in = 0
        self._is_user_speaking = False
        self._heard: float | None = None
        self._told: set[str] = set()
        # The first token of a response that has not given text yet.
        self._first_token: float | None = None
        # After an interruption a service reports what it has measured so far of what was cut off.
        self._is_cut_off = False

    def connected(self) -> None:
        """Media begins."""
        self._call.answer()

    def user_started(self) -> None:
        """The user speaks."""
        if not self._is_user_speaking:
            self._is_user_speaking, self._heard = True, None
            self._call.answer()

    def user_stopped(self) -> None:
        """The user's turn is over."""
        # Late: only what Pipecat has measured counts, nothing is derived from our own clock.
        self._call.turn(late=True)
        self._turns += 1
        self._told.clear()
        self._is_user_speaking, self._first_token = False, None
        heard, self._heard = self._heard, None
        if heard is not None:
            self._once("stt", heard)

    def interrupted(self) -> None:
        """What the agent was about to say is cut off."""
        self._is_cut_off, self._first_token = True, None

    def response_began(self) -> None:
        """A response of the agent begins: what is measured from here is of it."""
        self._is_cut_off, self._first_token = False, None

    def first_byte(self, stage: str, seconds: float) -> None:
        """A service has measured the time to its first byte."""
        if stage == "stt":
            if self._is_user_speaking:
                self._heard = seconds
            else:
                self._once(stage, seconds)
        elif self._is_cut_off:
            return
        elif stage == "llm":
            # A run that calls a tool says nothing: of two runs the one that speaks counts.
            if "llm" not in self._told:
                self._first_token = seconds
        else:
            self._once(stage, seconds)

    def text(self) -> None:
        """The language model has given text."""
        seconds, self._first_token = self._first_token, None
        if seconds is not None:
            self._once("llm", seconds)

    def bot_started(self) -> None:
        """The agent speaks."""
        self._call.answer()
        failure = self._failure
        if failure is not None and not failure.is_fatal and self._turns > self._failed_in:
            self._failure = None

    def answered(self, seconds: float) -> None:
        """From the end of the user's speech to the agent's."""
        self._once("answer", seconds)

    def turn_ended(self, seconds: float) -> None:
        """From the end of the user's speech to the end of the turn."""
        self._once("eou", seconds)

    def erred(self, stage: str | None, category: str, exception: str, message: str) -> None:
        """A processor has reported an error, whatever becomes of it: for diagnostics."""
        said = {"stage": stage, "category": category, "exception": exception, "message": message}
        self._events.emit("error", {name: value for name, value in said.items() if value})

    def failed(self, stage: str | None, category: str, *, is_fatal: bool) -> None:
        """An error that nothing in the pipeline has answered for."""
        if self._failure is None or (is_fatal and not self._failure.is_fatal):
            self._failure = _Failure(code_of(category, stage), stage, is_fatal)
            self._failed_in = self._turns

    def closing(self) -> None:
        """The agent's side ends the conversation; what is queued is still played."""
        self._side = self._side or "local"

    def canceled(self) -> None:
        """The agent's side ends the conversation at once."""
        self.end("local")

    def left(self) -> None:
        """The other side has left; so it was there."""
        if not self.has_ended:
            self._call.answer()
            self.end("remote")

    def end(self, side: Literal["local", "remote"]) -> None:
        """End the call, once. The side that was known before stands."""
        if self.has_ended:
            return
        self.has_ended = True
        self._side = self._side or side
        if self.knows_sides:
            self._call.hangup(self._side)
        failure = self._failure
        if failure is not None and self._has_ended_it(failure):
            self._call.error(failure.code, failure.stage)  # type: ignore[arg-type]
        self._call.end()

    def _has_ended_it(self, failure: _Failure) -> bool:
        # A processor that is none of the three may be missed by nobody: a caller who hangs up later
        # has not done so because of it.
        return failure.is_fatal or failure.stage is not None or self._side == "local"

    def _once(self, name: str, seconds: float) -> None:
        if name not in self._told and not self.has_ended:
            self._told.add(name)
            self._call.observe(name, seconds)  # type: ignore[arg-type]
