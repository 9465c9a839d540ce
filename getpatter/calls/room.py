"""A room: emits what participants and tracks of one call do, by way of the service.

It emits `room_started` before the first event, and `room_ended` when the call has ended; only then,
and on the service's thread, the session of the call is closed. A call without participants costs
nothing of this, and while nobody listens (a null service) each method is a look-up and a call.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from getpatter.calls.clock import timestamp_us
from getpatter.calls.enums import FIELDS, Word
from getpatter.calls.event_types import (
    ARRIVALS,
    DEPARTURES,
    ENDINGS,
    PARTICIPANT_STATS,
    ROOM_ENDED,
    ROOM_STARTED,
)
from getpatter.calls.result import OK, Result
from getpatter.calls.stamp import Stamp
from getpatter.calls.stats import flush_interval as interval
from getpatter.calls.stats.null_service import NULL_SERVICE
from getpatter.calls.stats.owners import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from getpatter.calls.events.emitter import Emitter
    from getpatter.calls.stats.null_service import NullService
    from getpatter.calls.stats.service import Service

    class Board(Protocol):
        """The switchboard, as a room sees it."""

        @property
        def service(self) -> Service | NullService: ...
        def forget(self, call: str) -> None: ...
        def warn_once(self, what: str, message: str) -> None: ...


__all__ = ["Room"]

_NOTHING: Mapping[str, object] = {}
_OVER = "the call has ended, and had no participants before"
# What no limit holds up: ends, and the sums of which there is one a participant and half minute.
_PASSES = frozenset({*ENDINGS, PARTICIPANT_STATS})
_PRESENCES = ARRIVALS | DEPARTURES
# Fields whose values are closed words, if they are.
_WORDED = frozenset({"direction", "media_type"})
_CLOSED_WORDS = frozenset({"up", "down", "audio", "video", "data"})


class Room:
    """The participants of one call, as its host and as its sinks see them."""

    __slots__ = (
        *("_board", "_emitter", "_interval", "_has_ended", "_is_open", "_opening", "_presences"),
        *("id", "is_over"),
    )

    def __init__(self, call_id: str, board: Board, emitter: Emitter) -> None:
        self.id = call_id
        self.is_over = False
        self._board = board
        self._emitter: Emitter | None = emitter
        self._interval: float | None = None
        self._is_open = False
        self._has_ended = False
        # Who is there, as far as this thread knows: the service decides.
        self._presences: dict[str, Presence] = {}
        # Taken once, without waiting, by the first caller.
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
        """Emit an event of the vocabulary."""
        service = self._board.service
        if service is NULL_SERVICE:
            return OK
        if kind == ROOM_STARTED:
            return self._start(participant, fields, notify=notify)
        if not self._is_open and not (answer := self._open()):
            return answer
        answer = service.event(kind, self.id, participant, fields, notify=notify)
        if answer and kind == ROOM_ENDED:
            self._has_ended = True
        return answer

    def sample(self, participant: str, sample: Mapping[str, object], /) -> Result:
        """Take what was measured of a track."""
        service = self._board.service
        if service is NULL_SERVICE:
            return OK
        if not self._is_open and not (answer := self._open()):
            return answer
        return service.sample(self.id, participant, sample)

    def connection(
        self,
        participant: str,
        /,
        *,
        connection_state: str | None = None,
        fabric_state: str | None = None,
    ) -> Result:
        """Say how the connection of a participant is."""
        service = self._board.service
        if service is NULL_SERVICE:
            return OK
        if not self._is_open and not (answer := self._open()):
            return answer
        return service.connection(
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

    def error(self, code: str, layer: str, message: str) -> str:
        """Notify the `error` callbacks that something of this call failed; return the message."""
        message = f"call {self.id!r:.80}: {message}"
        self._board.service.error(code, layer, message, self.id)
        return message

    def refuse(self, what: str, message: str) -> None:
        """The call was given a value that is none; the log has each such mistake once."""
        self.error("refused_value", "internal", message)
        self._board.warn_once(what, message)

    def _open(self) -> Result:
        """Emit that there is a room, once; answer why not, if it is too late or cannot be."""
        # The holder is about to emit that.
        if self._opening.locked():
            return OK
        return self._start("", _NOTHING, notify=True)

    def _start(self, participant: str, fields: Mapping[str, object], *, notify: bool) -> Result:
        service = self._board.service
        if self.is_over and not self._is_open:
            return Result(
                "already_ended", self.error("already_ended", "internal", f"event rejected: {_OVER}")
            )
        is_mine = self._opening.acquire(blocking=False)
        answer = service.event(ROOM_STARTED, self.id, participant, fields, notify=notify)
        if answer:
            self._is_open, self._has_ended = True, False
        elif is_mine:
            self._opening.release()
        if answer and is_mine:
            if self._interval is not None:
                service.set_stats_interval(self._interval, self.id)
            if self.is_over:  # it ended meanwhile
                service.event(ROOM_ENDED, self.id)
        return answer

    def finish(self, close: Callable[[], object]) -> None:
        """The call has ended: have that emitted, and then `close` called. Does not wait for it."""
        self.is_over = True
        if self._opening.locked():
            service = self._board.service
            is_emitted = self._has_ended or bool(service.event(ROOM_ENDED, self.id))
            if is_emitted and service.later(self.id, partial(self._close, close)):
                return
        self._close(close)
        self._board.forget(self.id)

    def stamp(self, kind: str, participant: str, owner: str) -> Stamp:
        """Return when an event was recorded, and as which one; for the service, on this thread.

        Only what will be emitted is numbered now: a number that is missing is a loss. So what says
        nothing new is not; nor is the end of the room, which comes after that of who is in it. If
        two threads say the same in the same moment, one number may be missing.
        """
        emitter = self._emitter
        if emitter is None:
            return Stamp(timestamp_us())
        is_news = kind != ROOM_ENDED
        if kind in _PRESENCES:
            is_news = self._presences.setdefault(participant, Presence()).take(kind, owner)
        return emitter.stamp(is_numbered=is_news and not (self.is_over or self._has_ended))

    def lose(self, reason: str) -> None:
        """Count an event that the service did not take."""
        if self._emitter is not None:
            self._emitter.lose(reason)

    # the service's side: its thread

    def emit(
        self,
        event_type: str,
        data: object,
        *,
        stamp: Stamp | None = None,
    ) -> bool:
        """Emit an event of the service in the session of the call."""
        emitter = self._emitter
        if emitter is None or not isinstance(data, dict):
            return False
        is_exempt = event_type in _PASSES
        record = emitter.record(event_type, _words(data), is_exempt=is_exempt, stamp=stamp)
        # The sums of half a minute are no news later, and would fill the ring of every call.
        return record is not None and emitter.put([record], is_kept=event_type != PARTICIPANT_STATS)

    def _close(self, close: Callable[[], object]) -> None:
        close()
        # Kept for what comes late, but nothing of the call with it.
        self._emitter = None
        self._presences.clear()


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
