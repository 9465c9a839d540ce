"""Listens to a session and its room: reads events, changes none, waits for nothing, cannot raise.

LiveKit lets a `TypeError` of a handler through to the code that emitted the event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.integrations.guarded import guarded
from getpatter.integrations.livekit.layers import is_realtime, layer_of
from getpatter.integrations.livekit.mapping import (
    CALLERS,
    CONNECTED,
    code_of_exception,
    departure_of,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from getpatter.call import Call
    from getpatter.integrations.livekit.conversation import AgentConversation

__all__ = ["SessionListener"]

_SIP = 3  # `ParticipantKind`
# An entrypoint that closes the session may be leaving it by an exception.
_GRACE_SECONDS = 1.0


class SessionListener:
    """From events to the conversation. `entry` is the task of the entrypoint while it runs."""

    def __init__(
        self,
        conversation: AgentConversation,
        call: Call,
        session: Callable[[], Any],
        room: Any,
        entry: asyncio.Task[Any] | None,
        *,
        is_outbound: bool,
    ) -> None:
        self._conversation = conversation
        self._call = call
        self._session = session
        self._room = room
        self._entry = entry
        self._is_outbound = is_outbound
        self._is_ready = self._is_answered = False

    def attach(self) -> None:
        """Listen from now on."""
        _listen(
            self._session(),
            agent_state_changed=self._state,
            conversation_item_added=self._item,
            error=self._error,
            close=self._close,
        )
        if self._room is not None:
            _listen(
                self._room,
                participant_connected=self._came,
                participant_attributes_changed=lambda *_: self._answer(),
                participant_disconnected=self._left,
                disconnected=self._cut_off,
            )

    def shut_down(self, *, crashed: bool) -> None:
        """The job ends: a session that has not been closed yet ends with it."""
        self._conversation.close("job_shutdown", None, crashed=crashed or self._has_crashed())

    def _state(self, event: Any) -> None:
        if event.new_state == "initializing":
            return
        if not self._is_ready:
            self._is_ready = True
            guarded(self._describe)
        # Who was in the room before the agent joined it gives no event.
        self._answer()

    def _describe(self) -> None:
        session = self._session()
        agent = session.current_agent
        given: dict[str, Any] = {}
        for layer in ("stt", "llm", "tts"):
            own = getattr(agent, layer)
            # What an agent does not set is a placeholder that is false; None is "no such layer".
            given[layer] = own if own or own is None else getattr(session, layer)
        self._conversation.is_realtime = is_realtime(given["llm"])
        layers = {layer: layer_of(plugin) for layer, plugin in given.items()}
        engine = "realtime" if self._conversation.is_realtime else "pipeline"
        # Of a speech-to-speech engine, a call knows OpenAI's alone: another vendor's is not said.
        if engine == "pipeline" or (layers["llm"] or "").startswith("openai"):
            self._call.describe(engine=engine, **layers)

    def _answer(self) -> None:
        if self._is_ready and not self._is_answered and not self._rings():
            self._is_answered = True
            self._conversation.answered()

    def _rings(self) -> bool:
        """Whether the one who is called has not answered yet."""
        callers = [] if self._room is None else _callers(self._room)
        dialled = [each for each in callers if each.kind == _SIP]
        if not dialled:
            # Of a dial that has not begun nobody is there.
            return self._is_outbound and self._room is not None and not callers
        return not any(_status(each) in CONNECTED for each in dialled)

    def _item(self, event: Any) -> None:
        item = event.item
        role = getattr(item, "role", None)
        if role == "user":
            self._conversation.heard(item.metrics)
        elif role == "assistant":
            self._conversation.spoke(item.metrics)

    def _error(self, event: Any) -> None:
        error = event.error
        exception = error.error
        self._conversation.erred(
            error.type,
            code_of_exception(exception),
            type(exception).__name__,
            str(exception),
            recovered=error.recoverable is True,
        )

    def _came(self, participant: Any) -> None:
        if CALLERS.get(participant.kind):
            self._conversation.came()
            self._answer()

    def _left(self, participant: Any) -> None:
        if CALLERS.get(participant.kind) and not _callers(self._room, but=participant):
            self._conversation.left(departure_of(participant.disconnect_reason))

    def _cut_off(self, reason: object = None) -> None:
        # Of the agent's own departure only that it lost the room says something about the call.
        if self._conversation.departure is None and departure_of(reason) == "connection":
            self._conversation.left("connection")

    def _close(self, event: Any) -> None:
        reason = getattr(event.reason, "value", event.reason)
        error = event.error
        failure = None if error is None else (error.type, code_of_exception(error.error))
        entry = self._entry
        if reason != "user_initiated" or entry is None or entry.done():
            self._end(reason, failure)
            return

        def end(*_: object) -> None:
            guarded(self._end, reason, failure)

        entry.add_done_callback(end)
        entry.get_loop().call_later(_GRACE_SECONDS, end)

    def _end(self, reason: str, failure: tuple[str, str] | None) -> None:
        self._conversation.close(reason, failure, crashed=self._has_crashed())

    def _has_crashed(self) -> bool:
        entry = self._entry
        if entry is None or not entry.done() or entry.cancelled():
            return False
        return entry.exception() is not None


def _listen(emitter: Any, **handlers: Callable[..., None]) -> None:
    for event, handler in handlers.items():
        emitter.on(event, _plain(handler))


def _plain(handler: Callable[..., None]) -> Callable[..., None]:
    def handle(*given: object) -> None:
        guarded(handler, *given)

    return handle


def _callers(room: Any, *, but: object = None) -> list[Any]:
    there = room.remote_participants.values()
    return [each for each in there if each is not but and CALLERS.get(each.kind)]


def _status(participant: Any) -> object:
    return participant.attributes.get("sip.callStatus", "active")
