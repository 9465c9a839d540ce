"""A room: what one call tells of its participants and tracks, and the way of it to sinks.

It says `room_started` with the first thing that is told, and `room_ended` when the call has ended;
only then, and on the service's thread, the session of the call is closed. A call that tells nothing
of participants costs nothing of this.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from getpatter.calls.enums import ENDINGS, FIELDS, Word
from getpatter.calls.result import OK, Result
from getpatter.calls.stats import flush_interval as interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from getpatter.calls.events.emitter import Emitter, NullEmitter
    from getpatter.calls.stats.null_service import NullService
    from getpatter.calls.stats.service import Service

    class Board(Protocol):
        """The switchboard, as a room sees it."""

        @property
        def service(self) -> Service | NullService: ...
        def forget(self, call: str) -> None: ...


__all__ = ["NULL_ROOM", "NullRoom", "Room"]

_NOTHING: Mapping[str, object] = {}
_OVER = "the call has ended, and had told nothing of participants before"
# What no limit holds up: ends, and the sums of which there is one a participant and half minute.
_SUMS = "participant_stats"
_PASSES = frozenset({*ENDINGS, _SUMS})
# Fields whose values are closed words, if they are.
_WORDED = frozenset({"direction", "media_type"})
_CLOSED_WORDS = frozenset({"up", "down", "audio", "video", "data"})


class Room:
    """What one call tells."""

    __slots__ = (
        *("_board", "_emitter", "_interval", "_is_open", "_is_said_ended", "_opening"),
        *("id", "is_over"),
    )

    def __init__(self, call_id: str, board: Board, emitter: Emitter | NullEmitter) -> None:
        self.id = call_id
        self.is_over = False
        self._board = board
        self._emitter: Emitter | NullEmitter | None = emitter
        self._interval: float | None = None
        self._is_open = False
        self._is_said_ended = False
        # Taken once, without waiting, by whoever comes first.
        self._opening = threading.Lock()

    # the host's side: any thread, nothing waits

    def event(
        self,
        kind: str,
        participant: str = "",
        fields: Mapping[str, object] = _NOTHING,
        /,
        *,
        notify: bool = True,
    ) -> Result:
        """Tell an event of the vocabulary."""
        if kind == "room_started":
            return self._start(participant, fields, notify=notify)
        if not self._is_open and not (answer := self._open()):
            return answer
        answer = self._board.service.event(kind, self.id, participant, fields, notify=notify)
        if answer and kind == "room_ended":
            self._is_said_ended = True
        return answer

    def sample(self, participant: str, sample: Mapping[str, object], /) -> Result:
        """Tell what was measured of a track."""
        if not self._is_open and not (answer := self._open()):
            return answer
        return self._board.service.sample(self.id, participant, sample)

    def connection(
        self,
        participant: str,
        /,
        *,
        connection_state: str | None = None,
        fabric_state: str | None = None,
    ) -> Result:
        """Say how the connection of a participant is."""
        if not self._is_open and not (answer := self._open()):
            return answer
        return self._board.service.connection(
            self.id, participant, connection_state=connection_state, fabric_state=fabric_state
        )

    def set_stats_interval(self, seconds: float) -> Result:
        """Set the time between two records; of a room that is not open yet, for when it is."""
        if self._is_open:
            return self._board.service.set_stats_interval(seconds, self.id)
        answer = interval.refusal(seconds, self.id)
        if answer:
            self._interval = seconds
        return answer

    def _open(self) -> Result:
        """Say that there is a room, once; answer why not, if it is too late or cannot be told."""
        # Whoever has it is about to say so.
        if self._opening.locked():
            return OK
        return self._start("", _NOTHING, notify=True)

    def _start(self, participant: str, fields: Mapping[str, object], *, notify: bool) -> Result:
        service = self._board.service
        if self.is_over and not self._is_open:
            message = f"call {self.id!r:.80}: event refused: {_OVER}"
            service.error("already_ended", "internal", message, self.id)
            return Result("already_ended", message)
        is_mine = self._opening.acquire(blocking=False)
        answer = service.event("room_started", self.id, participant, fields, notify=notify)
        if answer:
            self._is_open, self._is_said_ended = True, False
        elif is_mine:
            self._opening.release()
        if answer and is_mine:
            if self._interval is not None:
                service.set_stats_interval(self._interval, self.id)
            if self.is_over:  # it ended meanwhile
                service.event("room_ended", self.id)
        return answer

    def finish(self, close: Callable[[], object]) -> None:
        """The call has ended: have that told, and then `close` called. Does not wait for it."""
        self.is_over = True
        if self._opening.locked():
            service = self._board.service
            is_told = self._is_said_ended or bool(service.event("room_ended", self.id))
            if is_told and service.later(self.id, partial(self._close, close)):
                return
        self._close(close)
        self._board.forget(self.id)

    # the service's side: its thread

    def emit(
        self,
        event_type: str,
        data: object,
        *,
        correlation_id: str | None = None,  # noqa: ARG002 - the interface of emitters
        turn_id: str | None = None,  # noqa: ARG002
    ) -> bool:
        """Tell an event of the service in the session of the call."""
        emitter = self._emitter
        if emitter is None or not isinstance(data, dict):
            return False
        is_exempt = event_type in _PASSES
        record = emitter.record(event_type, _words(data), is_exempt=is_exempt)
        # The sums of half a minute are no news later, and would fill the ring of every call.
        return record is not None and emitter.put([record], is_kept=event_type != _SUMS)

    def _close(self, close: Callable[[], object]) -> None:
        close()
        # Kept for what comes late, but nothing of the call with it.
        self._emitter = None


class NullRoom:
    """The room of a call that nobody listens to: a look-up and a call."""

    __slots__ = ()

    id = ""
    is_over = False

    def event(
        self,
        kind: str,  # noqa: ARG002 - the same interface
        participant: str = "",  # noqa: ARG002
        fields: Mapping[str, object] = _NOTHING,  # noqa: ARG002
        /,
        *,
        notify: bool = True,  # noqa: ARG002
    ) -> Result:
        """Do nothing."""
        return OK

    def sample(self, participant: str, sample: Mapping[str, object], /) -> Result:  # noqa: ARG002
        """Do nothing."""
        return OK

    def connection(
        self,
        participant: str,  # noqa: ARG002
        /,
        *,
        connection_state: str | None = None,  # noqa: ARG002
        fabric_state: str | None = None,  # noqa: ARG002
    ) -> Result:
        """Do nothing."""
        return OK

    def set_stats_interval(self, seconds: float) -> Result:  # noqa: ARG002
        """Do nothing."""
        return OK

    def finish(self, close: Callable[[], object]) -> None:
        """Call `close`."""
        close()


#: Of whoever has no switchboard, or nobody who listens.
NULL_ROOM = NullRoom()


def _words(data: Mapping[object, object]) -> dict[str, object]:
    """Mark what is from our own tables: redaction keeps it where free text is removed."""
    return {_name(name): _value(value, name) for name, value in data.items()}


def _name(name: object) -> str:
    text = str(name)
    return FIELDS.get(text) or Word(text)  # the names of fields were looked up before


def _value(value: object, name: object) -> object:
    if name == "streams" and isinstance(value, list):
        return [_words(stream) for stream in value]
    if name in _WORDED and isinstance(value, str) and value in _CLOSED_WORDS:
        return Word(value)
    return value
