"""The emitter: how a node of a call (a stage, a tool, a part of the program) emits events.

Everything here runs in the caller's thread and only touches memory: no lock, no I/O, no waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from getpatter.calls.clock import monotonic, timestamp_us
from getpatter.calls.enums import FIELDS
from getpatter.calls.events.rate_limit import PER_SECOND, EventRateLimit
from getpatter.calls.result import OK, Result
from getpatter.calls.stamp import Stamp

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol

    from typing_extensions import Self

    from getpatter.calls.events.session import Record, Session

    class Intake(Protocol):
        """The hub, as its emitters see it."""

        def put(self, records: list[Record]) -> bool: ...
        def lose(self, session: Session, node: str, reason: str, times: int = 1) -> None: ...


__all__ = ["Emitter", "Span"]

# A type is a name; what is longer is data, and would be kept in the tables of the rate limit.
_TYPE_CHARS = 128
_RULES = {
    "queue_full": "the queue to the sinks is full",
    "rate_limit": "more events of this type than the limit in this second",
    "type_limit": "more different types in this second than are counted",
    "bad_type": f"an event type is a text of 1 to {_TYPE_CHARS} characters",
    "closed": "the session has ended, or the hub was closed",
    "off": "diagnostics are off",
}


class Emitter:
    """Emits events of one node and session. Safe from any thread; never waits, never raises."""

    __slots__ = ("_hub", "_is_off", "_limit", "_session", "node")

    def __init__(
        self, hub: Intake, session: Session, node: str, *, per_second: int = PER_SECOND
    ) -> None:
        self._hub = hub
        self._session = session
        self._limit = EventRateLimit(per_second)
        # Asked first: with diagnostics off an event costs a call and nothing behind it.
        self._is_off = session.rule == "off"
        self.node = node

    @property
    def session(self) -> str:
        """The id of the session."""
        return self._session.id

    def emit(
        self,
        event_type: str,
        data: object,
        *,
        correlation_id: str | None = None,
        turn_id: str | None = None,
    ) -> bool:
        """Emit an event; return whether it was taken. What was not is counted by its reason.

        Data that is no mapping becomes `{"value": data}`. A mapping is copied, not what is nested
        in it: that must not change afterwards.
        """
        if self._is_off:
            return False
        return not self._emit(event_type, data, correlation_id, turn_id)

    def try_emit(
        self,
        event_type: str,
        data: object,
        *,
        correlation_id: str | None = None,
        turn_id: str | None = None,
    ) -> Result:
        """Do the same as `emit`; the result names the rule that stood against it."""
        reason = self._emit(event_type, data, correlation_id, turn_id)
        return OK if not reason else Result(reason, f"emit on {self.node!r}: {_RULES[reason]}")

    def span(
        self,
        event_type: str,
        data: Mapping[str, object] | None = None,
        *,
        correlation_id: str | None = None,
        turn_id: str | None = None,
    ) -> Span:
        """Return a context manager: emits `<type>.start`, then `<type>.end` with `latency_ms`."""
        return Span(self, event_type, data, correlation_id, turn_id)

    def record(
        self,
        event_type: str,
        data: Mapping[str, object],
        *,
        turn_id: object = None,
        is_exempt: bool = False,
        stamp: Stamp | None = None,
    ) -> Record | None:
        """Return an event for `put`, None if it must not pass.

        For a reporter, which may put it later. It happens now unless it has a stamp. With
        `is_exempt` the rate limit does not count: that is for the end of what was let begin.
        """
        session = self._session
        reason = session.rule if session.is_closed else ""
        if not reason and not is_exempt:
            reason = self._limit.admit(event_type, monotonic())
        if reason:
            self.lose(reason)
            return None
        at, number = stamp or (timestamp_us(), None)
        number = session.next_sequence() if number is None else number
        return (
            *(event_type, session.id, self.node, at, number),
            *({FIELDS.get(name, name): value for name, value in data.items()}, None, turn_id),
        )

    def stamp(self, *, is_numbered: bool) -> Stamp:
        """Return the stamp of an event that is recorded now and emitted later."""
        session = self._session
        is_open = is_numbered and not session.is_closed
        return Stamp(timestamp_us(), session.next_sequence() if is_open else None)

    def put(self, records: list[Record], *, is_kept: bool = True) -> bool:
        """Emit, in one go, what `record` returned; return whether it was taken.

        What is not `is_kept` is not for who subscribes later.
        """
        if is_kept:
            self._session.ring.extend(records)
        if self._hub.put(records):
            return True
        self.lose(self._session.rule if self._session.is_closed else "queue_full", len(records))
        return False

    def lose(self, reason: str, times: int = 1) -> None:
        """Count events of this node that do not get anywhere."""
        self._hub.lose(self._session, self.node, reason, times)

    def _emit(self, event_type: str, data: object, correlation_id: object, turn_id: object) -> str:
        session = self._session
        if session.is_ended:
            return self._refuse(session.rule)
        if type(event_type) is not str or not 0 < len(event_type) <= _TYPE_CHARS:
            return self._refuse("bad_type")
        reason = self._limit.admit(event_type, monotonic())
        if reason:
            return self._refuse(reason)
        record = (
            event_type,
            session.id,
            self.node,
            timestamp_us(),
            session.next_sequence(),
            data.copy() if type(data) is dict else _object(data),
            correlation_id,
            turn_id,
        )
        # The ring first: who subscribes in between gets it from there, or from the queue.
        session.ring.append(record)
        return "" if self._hub.put([record]) else self._refuse("queue_full")

    def _refuse(self, reason: str) -> str:
        self._hub.lose(self._session, self.node, reason)
        return reason


class Span:
    """What lies between a start and an end event: `with emitter.span("tool.run") as span`."""

    __slots__ = ("_correlation_id", "_data", "_emitter", "_since", "_turn_id", "_type")

    def __init__(
        self,
        emitter: Emitter,
        event_type: str,
        data: Mapping[str, object] | None,
        correlation_id: str | None,
        turn_id: str | None,
    ) -> None:
        self._emitter = emitter
        # What is no text is refused when it is emitted, like any other type that cannot be.
        self._type = event_type if type(event_type) is str else ""
        self._data = dict(_object({} if data is None else data))
        self._correlation_id = correlation_id
        self._turn_id = turn_id
        self._since = 0.0

    def set(self, name: str, value: object) -> None:
        """Add a field to the end event."""
        self._data[name] = value

    def __enter__(self) -> Self:
        self._since = monotonic()
        self._emit(".start", self._data)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # At least 0, and a thousandth of a millisecond is more than any clock here resolves.
        took = round((monotonic() - self._since) * 1_000, 3)
        data = {**self._data, FIELDS["latency_ms"]: took}
        if kind is not None:
            data[FIELDS["error"]] = kind.__name__
        self._emit(".end", data)

    def _emit(self, step: str, data: object) -> None:
        event_type = self._type and self._type + step
        self._emitter.emit(
            event_type, data, correlation_id=self._correlation_id, turn_id=self._turn_id
        )


def _object(data: object) -> dict[Any, object]:
    if isinstance(data, Mapping):
        try:
            return dict(data)
        except Exception:  # a mapping of the host's may raise anything
            return {FIELDS["value"]: f"[{type(data).__name__}]"}
    return {FIELDS["value"]: data}
