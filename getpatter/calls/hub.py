"""The hub: where emitters and sinks meet. Nothing attached: nothing kept but a small ring a call.

It has no thread until a sink is attached. It belongs to the process that made it: in a `fork` child
the sinks stay, the sessions of the parent are closed.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic, new_id, timestamp_us
from getpatter.calls.emitter import Emitter, NullEmitter
from getpatter.calls.event import Event
from getpatter.calls.lane import Lane, Sink
from getpatter.calls.losses import Losses
from getpatter.calls.pump import QUEUE_EVENTS, Pump
from getpatter.calls.ratelimit import PER_SECOND
from getpatter.calls.redaction import Redaction
from getpatter.calls.session import RING_EVENTS, Session
from getpatter.calls.sinks.callback import CallbackSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.calls.session import Record

__all__ = ["HEALTH_SECONDS", "HEALTH_TYPE", "NULL_HUB", "Hub", "NullHub"]

#: The event that says what was lost.
HEALTH_TYPE = "telemetry.health"
#: How often at most it does, in seconds.
HEALTH_SECONDS = 5.0
# Under this id and node the hub itself speaks.
_HUB_SESSION = "hub"
_HEALTH_NODE = "telemetry"
# An id that the host gives; a longer one is no id.
_ID_CHARS = 256
# What an ending program waits for at most.
_EXIT_SECONDS = 0.5


class Hub:
    """Takes events from emitters to sinks: `Hub(JsonLinesSink("calls.jsonl"))`.

    A sink is an object with `write` and `close`, or a callable that is given each event.
    `redaction` is applied before any of them; `per_second` is the rate limit of an emitter for each
    event type; `ring_events` how many events of a session a late subscriber gets.
    """

    def __init__(
        self,
        *sinks: Sink | Callable[[Event], object],
        redaction: Redaction | None = None,
        per_second: int = PER_SECOND,
        ring_events: int = RING_EVENTS,
        queue_events: int = QUEUE_EVENTS,
    ) -> None:
        self._redaction = redaction or Redaction()
        self._per_second = per_second
        self._ring_events = ring_events
        #: Called on the hub's thread as `on_failure(sink, message)` when a sink begins to fail.
        self.on_failure: Callable[[str, str], object] | None = None
        self._is_closed = False
        self._losses = Losses()  # of all sessions, by reason, for `stats`
        self._sessions: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()
        self._lossy: dict[int, Session] = {}
        self._own = self.session(_HUB_SESSION)
        self._pump = Pump(self, queue_events)
        # Hooks cannot be taken back, so they must not keep a forgotten hub alive.
        me = weakref.ref(self)
        atexit.register(_at_exit, me)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _after_fork_in_child(me))
        for sink in sinks:
            self.attach(sink)

    # sessions and emitters

    def session(self, session_id: str | None = None, *, ring_events: int | None = None) -> Session:
        """Return a new session, with a random id unless told; `ring_events=0` keeps no ring."""
        session = Session(
            _id(session_id) or new_id(),
            self._ring_events if ring_events is None else ring_events,
        )
        session.health_at = monotonic()
        session.is_closed = self._is_closed
        self._sessions[id(session)] = session
        return session

    def emitter(self, node: str, session: Session, *, per_second: int | None = None) -> Emitter:
        """Return an emitter of `node` in `session`."""
        limit = self._per_second if per_second is None else per_second
        name = _id(node) or f"[{type(node).__name__}]"
        return Emitter(self, session, name, per_second=limit)

    # sinks

    def attach(self, sink: Sink | Callable[[Event], object], name: str | None = None) -> str:
        """Attach a sink; return its name. It first gets what the rings of open sessions hold.

        Raises TypeError at once for what is neither a sink nor callable.
        """
        chosen = sink if isinstance(sink, Sink) else CallbackSink(sink)
        base = name or type(chosen).__name__.removesuffix("Sink").lower() or "sink"
        taken = {lane.name for lane in self._pump.lanes}
        number = len(taken) + 1
        unique = base if base not in taken else f"{base}-{number}"
        if not self._is_closed:
            self._pump.attach(Lane(chosen, unique, _weakly(self)))
        return unique

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait at most `timeout` seconds until the sinks have everything; return whether so."""
        return self._pump.flush(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """`flush`, close the sinks, and take no more; what is left is lost, counted as `closed`."""
        until = monotonic() + timeout
        is_done = self._pump.flush(timeout)
        if self._is_closed:
            return is_done
        self._is_closed = True
        for session in self._all_sessions():
            session.close()
        if self._lossy:  # the last chance to say it
            for session in list(self._lossy.values()):
                session.health_at = None
            self._pump.wake()
        is_done = self._pump.flush(until - monotonic()) and is_done
        for lane in self._pump.lanes:
            lane.give_up()
            if lane.busy.acquire(blocking=False):
                try:
                    lane.sink.close()
                except Exception:  # as in its writes: a sink's failure is its own
                    self.sink_failed(lane.name, "it could not be closed")
                finally:
                    lane.busy.release()
        self._pump.stop()
        return is_done

    def stats(self) -> dict[str, object]:
        """Return `waiting`, `lost` by reason, and of each sink `delivered`, `waiting`, `lost`."""
        return {
            "waiting": self._pump.waiting(),
            "lost": self._losses.totals().get("", {}),
            "sinks": {
                lane.name: {
                    "delivered": lane.delivered,
                    "waiting": len(lane),
                    "lost": lane.losses.totals().get(lane.name, {}),
                }
                for lane in self._pump.lanes
            },
        }

    # what emitters ask

    def put(self, records: list[Record]) -> bool:
        """Take records for the sinks; return whether they were taken. Never waits."""
        return self._pump.put(records)

    def lose(self, session: Session, node: str, reason: str, times: int = 1) -> None:
        """Count losses, and see to it that they are reported."""
        session.losses.count(node, reason, times)
        self._losses.count("", reason, times)
        if id(session) not in self._lossy:
            self._lossy[id(session)] = session
            self._pump.wake()

    # what the pump asks

    def event(self, record: Record) -> Event | None:
        """Return the event of a record as sinks may see it; None if its data cannot be read."""
        event_type, session, node, at, sequence, data, correlation_id, turn_id = record
        try:
            cleaned = self._redaction.clean(data)
        except Exception:  # data is the host's, and may change while it is read
            self._losses.count("", "internal_error")
            return None
        ids = (_id(correlation_id), _id(turn_id))
        return Event(event_type, session, node, at, sequence, cleaned, *ids)

    def replay(self) -> list[Record]:
        """Return what the rings of all sessions hold, in the order in which it happened."""
        rings = [list(session.ring) for session in self._all_sessions()]
        return sorted((r for ring in rings for r in ring), key=lambda r: (r[3], r[1], r[4]))

    def health(self, now: float) -> tuple[list[Event], float | None]:
        """Return the reports of losses that are due, and when the next one is."""
        for lane in self._pump.lanes:
            for reason, times in lane.losses.take_unreported().get(lane.name, {}).items():
                self._own.losses.count(lane.name, reason, times)
                self._lossy.setdefault(id(self._own), self._own)
        events, next_due = [], None
        for key, session in list(self._lossy.items()):
            due = now if session.health_at is None else session.health_at + HEALTH_SECONDS
            if now < due:
                next_due = due if next_due is None else min(due, next_due)
                continue
            # Out first: a loss that is counted meanwhile puts it in again.
            self._lossy.pop(key, None)
            lost = session.losses.take_unreported()
            if lost:
                session.health_at = now
                events.append(_health(session, lost))
        return events, next_due

    def _all_sessions(self) -> list[Session]:
        # `values()` would fail if a call began meanwhile; the references come in one step.
        return [s for ref in self._sessions.valuerefs() if (s := ref()) is not None]

    def broken(self) -> None:
        """Count an error of ours on the thread."""
        self._losses.count("", "internal_error")

    def sink_failed(self, sink: str, message: str) -> None:
        """Tell whoever listens that a sink begins to fail."""
        if self.on_failure is not None:
            try:
                self.on_failure(sink, message)
            except Exception:  # whoever listens is the developer's
                return

    # the end, and fork

    def end(self) -> None:
        """Deliver what there is before the interpreter ends."""
        self._pump.flush(_EXIT_SECONDS)
        self._pump.is_exiting = True

    def after_fork_in_child(self) -> None:
        """Begin anew: what was emitted before is the parent's, and so are its sessions."""
        for session in self._all_sessions():
            session.close()
        self._lossy = {}
        self._own = self.session(_HUB_SESSION)
        self._pump.reset()


class NullHub:
    """Diagnostics that are off: the same calls, and nothing behind them."""

    on_failure: Callable[[str, str], object] | None = None

    def session(self, session_id: str | None = None, *, ring_events: int | None = None) -> Session:  # noqa: ARG002
        """Return a session that keeps nothing."""
        return Session("" if session_id is None else session_id, 0)

    def emitter(self, node: str, session: Session, *, per_second: int | None = None) -> NullEmitter:  # noqa: ARG002
        """Return an emitter that takes nothing."""
        return _NULL_EMITTER

    def attach(self, sink: Sink | Callable[[Event], object], name: str | None = None) -> str:  # noqa: ARG002
        """Attach nothing: off wins."""
        return ""

    def flush(self, timeout: float = 2.0) -> bool:  # noqa: ARG002
        """There is nothing to wait for."""
        return True

    def close(self, timeout: float = 2.0) -> bool:  # noqa: ARG002
        """There is nothing to close."""
        return True

    def stats(self) -> dict[str, object]:
        """Return what `Hub.stats` does, of nothing."""
        return {"waiting": 0, "lost": {}, "sinks": {}}


_NULL_EMITTER = NullEmitter()


def _weakly(hub: Hub) -> Callable[[str, str], None]:
    """Return what tells a hub of a failing sink and does not keep it alive: its thread would."""
    me = weakref.ref(hub)

    def sink_failed(sink: str, message: str) -> None:
        alive = me()
        if alive is not None:
            alive.sink_failed(sink, message)

    return sink_failed


def _health(session: Session, lost: dict[str, dict[str, int]]) -> Event:
    # Not redacted: the names of nodes and sinks stand in every envelope, and the rest is ours.
    data: dict[str, object] = {"lost": lost}
    return Event(
        HEALTH_TYPE, session.id, _HEALTH_NODE, timestamp_us(), session.next_sequence(), data
    )


def _id(value: object) -> str | None:
    return str.__str__(value)[:_ID_CHARS] if isinstance(value, str) else None


def _at_exit(hub: weakref.ref[Hub]) -> None:
    alive = hub()
    if alive is not None:
        alive.end()


def _after_fork_in_child(hub: weakref.ref[Hub]) -> None:
    alive = hub()
    if alive is not None:
        alive.after_fork_in_child()


#: Diagnostics that are off, for whoever has no hub.
NULL_HUB = NullHub()
