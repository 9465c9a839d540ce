"""One conversation: from what a session reports to what the call gets. Pure.

LiveKit reports a turn when it is over: the user's item before the answer, the assistant's after it
was played.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.integrations.figures import measured
from getpatter.integrations.livekit.mapping import (
    AGENT_FIGURES,
    CLOSE_REASONS,
    ERROR_STAGES,
    USER_FIGURES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.call import Call

__all__ = ["AgentConversation"]


class AgentConversation:
    """What is known of a conversation with an agent, and its one end."""

    def __init__(self, call: Call) -> None:
        self.has_ended = False
        #: Whether the language model speaks itself: its first token is then its first audio.
        self.is_realtime = False
        #: What the departure of the other side says of the end.
        self.departure: str | None = None
        self._call = call
        self._events = call.emitter("livekit")
        self._turns = 0

    def answered(self) -> None:
        """The agent is ready, and the other side is there."""
        self._call.answer()

    def heard(self, metrics: Mapping[str, object]) -> None:
        """The user's turn is in the conversation."""
        self._turns += 1
        self._call.turn(late=True)
        self._observe(USER_FIGURES, metrics)

    def spoke(self, metrics: Mapping[str, object]) -> None:
        """What the agent has said is in the conversation, as far as it was played."""
        # A greeting belongs to no turn; nor does it show that somebody has answered.
        if self._turns:
            left_out = set() if metrics.get("started_speaking_at") else {"tts"}
            if self.is_realtime:
                left_out.add("llm")
            told = {key: name for key, name in AGENT_FIGURES.items() if name not in left_out}
            self._observe(told, metrics)

    def erred(self, kind: str, code: str, exception: str, message: str, *, recovered: bool) -> None:
        """A plugin has reported an error, whatever becomes of it: for diagnostics."""
        said = {"stage": ERROR_STAGES.get(kind), "code": code, "exception": exception}
        fields = {**said, "message": message, "recovered": recovered}
        self._events.emit("error", {name: value for name, value in fields.items() if value != ""})

    def came(self) -> None:
        """Somebody is there who can talk to the agent."""
        self.departure = None

    def left(self, said: str) -> None:
        """The other side has left, and nobody of it is there any more."""
        self.departure = said

    def close(self, reason: str, failure: tuple[str, str] | None, *, crashed: bool = False) -> None:
        """End the call, once. `failure` is the type and the code of the error that closed it."""
        if self.has_ended:
            return
        self.has_ended = True
        side = CLOSE_REASONS.get(reason)
        if failure is not None:
            kind, code = failure
            self._call.error(code, ERROR_STAGES.get(kind))  # type: ignore[arg-type]
        elif side == "error" or (crashed and side == "local" and self.departure is None):
            self._call.error("internal")
        elif side != "completed":
            self._leave(self.departure or side)
        self._call.end()

    def _leave(self, said: str | None) -> None:
        call = self._call
        if said == "connection":
            call.error("connection", "carrier")
        elif said == "busy":
            call.busy()
        elif said == "no_answer":
            call.no_answer()
        # Who rejects or does not come after the answer has hung up.
        if said in ("busy", "no_answer", "remote"):
            call.hangup("remote")
        elif said == "local":
            call.hangup("local")

    def _observe(self, figures: Mapping[str, str], metrics: Mapping[str, object]) -> None:
        for key, name in figures.items():
            seconds = measured(metrics.get(key))
            if seconds is not None:
                self._call.observe(name, seconds)  # type: ignore[arg-type]
