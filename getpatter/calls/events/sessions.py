"""What a hub keeps of its sessions: the rule of redaction, who is open, what was lost.

The hub's thread works with this, not with the hub: what was emitted still arrives when nobody holds
the hub any more.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from getpatter.calls.background.thread import must_pass
from getpatter.calls.clock import monotonic, new_id, timestamp_us
from getpatter.calls.event_types import HEALTH
from getpatter.calls.events.event import Event
from getpatter.calls.events.losses import EventLosses
from getpatter.calls.events.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from getpatter.calls.events.redaction import Redaction
    from getpatter.calls.events.session import Record
    from getpatter.calls.events.sink import Attached

    class Watcher(Protocol):
        """Watches a hub's sinks. No method may wait longer than its timeout."""

        def attached(self) -> None: ...
        def sink_failed(self, sink: str, message: str) -> None: ...
        def flush(self, timeout: float) -> bool: ...


__all__ = ["HEALTH_SECONDS", "Sessions", "cut_id"]

#: How often at most losses are reported, in seconds.
HEALTH_SECONDS = 5.0
# Under this id and node the hub itself speaks.
_HUB_SESSION = "hub"
_HEALTH_NODE = "telemetry"
# An id that the host gives; a longer one is no id.
_ID_CHARS = 256


class Sessions:
    """Makes sessions, makes events of records, and reports losses."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        #: Called on a sink's thread as `on_failure(sink, message)` when a sink begins to fail.
        self.on_failure: Callable[[str, str], object] | None = None
        #: Who wants to know, by identity: they are not kept alive.
        self.watchers: weakref.WeakValueDictionary[int, Watcher] = weakref.WeakValueDictionary()
        self._sessions: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()
        self._forget_losses()

    def _forget_losses(self) -> None:
        self.losses = EventLosses()  # of all sessions, by reason, for `stats`
        self._lossy: dict[int, Session] = {}
        self._own = self.session(_HUB_SESSION, 0)

    def session(self, session_id: object, ring_events: int) -> Session:
        """Return a new session, with a random id if the given one is none."""
        session = Session(cut_id(session_id) or new_id(), ring_events)
        session.health_at = monotonic()
        self._sessions[id(session)] = session
        return session

    def sessions(self) -> list[Session]:
        """Return the sessions that somebody holds."""
        # `values()` would fail if a call began meanwhile; the references come in one step.
        return [s for ref in self._sessions.valuerefs() if (s := ref()) is not None]

    def watching(self) -> list[Watcher]:
        """Return who watches."""
        return [w for ref in self.watchers.valuerefs() if (w := ref()) is not None]

    def lose(self, session: Session, node: str, reason: str, times: int) -> bool:
        """Count losses; return whether they are the first that this session has to report."""
        session.losses.count(node, reason, times)
        self.losses.count("", reason, times)
        is_first = id(session) not in self._lossy
        self._lossy[id(session)] = session
        return is_first

    def event(self, record: Record) -> Event | None:
        """Return the event of a record as sinks may see it; None if its data cannot be read."""
        event_type, session, node, at, sequence, data, correlation_id, turn_id = record
        try:
            cleaned = self._redaction.clean(data)
        except BaseException as error:  # data is the host's, and may raise anything
            self.broken()
            if must_pass(error):
                raise
            return None
        ids = (cut_id(correlation_id), cut_id(turn_id))
        return Event(event_type, session, node, at, sequence, cleaned, *ids)

    def open_sessions(self) -> list[Session]:
        """Return the sessions that are open."""
        return [session for session in self.sessions() if not session.is_closed]

    @staticmethod
    def replay(sessions: Iterable[Session]) -> list[Record]:
        """Return what the rings of these sessions hold, in the order in which it happened."""
        rings = [list(session.ring) for session in sessions]
        return sorted((r for ring in rings for r in ring), key=lambda r: (r[3], r[1], r[4]))

    def health(self, now: float, sinks: Iterable[Attached]) -> tuple[list[Event], float | None]:
        """Return the reports of losses that are due, and when the next one is."""
        for sink in sinks:
            for reason, times in sink.losses.take_unreported().get(sink.name, {}).items():
                self._own.losses.count(sink.name, reason, times)
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

    def report_now(self) -> None:
        """Let what is lost be reported at the next step: there may be no later one."""
        for session in list(self._lossy.values()):
            session.health_at = None

    def broken(self) -> None:
        """Count an error of ours on the thread."""
        self.losses.count("", "internal_error")

    def sink_failed(self, sink: str, message: str) -> None:
        """Call the listeners when a sink begins to fail."""
        if self.on_failure is not None:
            try:
                self.on_failure(sink, message)
            except BaseException as error:  # a listener is the developer's
                self.broken()
                if must_pass(error):
                    raise
        for watcher in self.watching():
            watcher.sink_failed(sink, message)

    def close(self) -> None:
        """Close every session."""
        for session in self.sessions():
            session.close()

    def after_fork_in_child(self) -> None:
        """Begin anew: what was emitted before is the parent's, and so are its sessions.

        Its locks may be held by threads that the child does not have.
        """
        for session in self.sessions():
            session.close()
            session.losses = EventLosses()
        self._forget_losses()


def cut_id(value: object) -> str | None:
    """Return an id that the host gives, None for what is none."""
    return str.__str__(value)[:_ID_CHARS] if isinstance(value, str) else None


def _health(session: Session, lost: dict[str, dict[str, int]]) -> Event:
    # Not redacted: the names of nodes and sinks stand in every envelope, and the rest is ours.
    data: dict[str, object] = {"lost": lost}
    return Event(HEALTH, session.id, _HEALTH_NODE, timestamp_us(), session.next_sequence(), data)
