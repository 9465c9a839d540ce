"""The switchboard: who listens to the calls of one host object, and the service between them.

While nobody listens there is a null service, no thread, and the service is not even loaded. The
first sink or callback puts it there, also for the calls that are open.
"""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from typing import TYPE_CHECKING

from getpatter.calls.background.process_hooks import CALLS, HOOKS
from getpatter.calls.events.null_hub import NullHub
from getpatter.calls.result import Result
from getpatter.calls.room import Room
from getpatter.calls.stats import flush_interval as interval
from getpatter.calls.stats.null_service import NULL_SERVICE, NullService

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal, Protocol

    from getpatter.calls.callbacks.host_events import HostEvents
    from getpatter.calls.events.hub import Hub
    from getpatter.calls.events.session import Session
    from getpatter.calls.stats.service import Service
    from getpatter.calls.stats.ticker import Publisher

    class Caller(Protocol):
        """A call, as the switchboard sees it."""

        def hangup(self, side: Literal["local"], /) -> None: ...
        def end(self) -> None: ...


__all__ = ["NODE", "Switchboard"]

_log = logging.getLogger("getpatter")
#: Who emits what participants and tracks do, in the envelope of an event.
NODE = "room"
# The session of what belongs to no call: egress, ingress, requests, webhooks.
_HOST = "host"
# Callbacks that only calls have are called for nothing where diagnostics are off.
_OF_CALLS = frozenset({"stats", "error"})
_OFF = Result("off", "diagnostics are off: there are no statistics and no errors")
_OVER = Result("already_ended", "the call has ended: nothing more will come of it")


class Switchboard:
    """Connects the calls, the hub, the callbacks and the service of one host object.

    Every method is safe from any thread, and none but `flush` waits.
    """

    def __init__(self, hub: Hub | NullHub, notices: HostEvents) -> None:
        #: What everything goes through; null while nobody listens.
        self.service: Service | NullService = NULL_SERVICE
        self.hub = hub
        self._host_events = notices
        self._stats_interval: float | None = None
        # What was refused and logged: methods, so that there are a few.
        self._logged: set[str] = set()
        self._calls: weakref.WeakValueDictionary[int, Caller] = weakref.WeakValueDictionary()
        self._rooms: dict[str, Room] = {}
        self._numbers = itertools.count(2)
        self._reset()
        HOOKS.add(self, CALLS)
        hub.watch(self)

    def _reset(self) -> None:
        # Held while the service is put in its place. Re-entrant: a finaliser may attach a sink.
        self._lock = threading.RLock()
        self._host: tuple[Session, Publisher] | None = None

    def hook(self) -> None:
        """Let calls end before anything else does when the program ends."""
        HOOKS.run_first()

    # hooks of the process

    def begin_exit(self) -> None:
        """The program ends: so do its calls, from this side."""
        for call in self._alive():
            call.hangup("local")
            call.end()

    def wait_at_exit(self, timeout: float) -> None:
        """There is nothing to wait for: services emit that, and sinks get it."""

    def end_exit(self) -> None:
        """The calls have ended."""

    def after_fork_in_child(self) -> None:
        """Begin with a lock that nobody holds, and a session of the child's own."""
        self._reset()
        self._host_events.after_fork_in_child()

    # calls

    def room(self, session: Session) -> Room:
        """Return the room of a call that begins.

        Its id is that of the session, with a number if another call has it already.
        """
        room = Room(session.id, self, self.hub.emitter(NODE, session))
        while self._rooms.setdefault(room.id, room) is not room:
            room.id = f"{session.id}#{next(self._numbers)}"
        return room

    def connect(self, call: Caller) -> None:
        """Take in a call that has its room."""
        self._calls[id(call)] = call

    def forget(self, call: str) -> None:
        """Let go of a call that is over."""
        self._host_events.forget(call)
        self._rooms.pop(call, None)

    # who listens

    def on(self, name: str, callback: Callable[..., object], room: Room | None = None) -> Result:
        """Attach a callback, for all calls or for one."""
        if isinstance(self.hub, NullHub) and callable(callback) and name in _OF_CALLS:
            return _OFF
        if room is not None and room.is_over:
            return _OVER
        answer = self._host_events.on(name, callback, None if room is None else room.id)
        if room is not None and room.is_over:  # it ended meanwhile
            self._host_events.forget(room.id)
        if answer and name in _OF_CALLS:
            self.attached()
        return answer

    def attached(self) -> None:
        """Somebody listens: put the service in its place, once."""
        with self._lock:
            if self.service is not NULL_SERVICE:
                return
            from getpatter.calls.stats.service import Service  # only who listens needs it

            service = Service(
                self._publisher,
                self._host_events.callbacks,
                on_forgotten=self._forgotten,
            )
            if self._stats_interval is not None:
                service.set_stats_interval(self._stats_interval)
            self.service = service

    def sink_failed(self, sink: str, message: str) -> None:
        """Notify callbacks that a sink begins to fail."""
        self.service.error("sink_failed", "sink", f"sink {sink}: {message}")

    def warn_once(self, what: str, message: str) -> None:
        """Log a mistake of the program's text, the first of its kind."""
        if what not in self._logged:
            self._logged.add(what)
            _log.warning("getpatter: %s", message)

    def set_stats_interval(self, seconds: float) -> Result:
        """Set the time between two stats records of all calls that have none of their own."""
        answer = interval.refusal(seconds, None)
        if not answer:
            return answer
        self._stats_interval = seconds
        return self.service.set_stats_interval(seconds)

    def event(self, kind: str, fields: Mapping[str, object], *, notify: bool) -> Result:
        """Emit an event that belongs to no call."""
        return self.service.event(kind, "", "", fields, notify=notify)

    def precall_test(
        self, endpoints: Sequence[str | tuple[str, int]], probes: int, timeout: float
    ) -> Result:
        """Begin a pre-call test."""
        from getpatter.calls.precall import start  # loads the sockets that only a test needs

        return start(self._host_events.callbacks, endpoints, probes=probes, timeout=timeout)

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until everything is emitted; return whether so."""
        return self.service.flush(max(0.0, timeout))

    def _alive(self) -> list[Caller]:
        return [call for ref in self._calls.valuerefs() if (call := ref()) is not None]

    # the service's side

    def _publisher(self, call: str) -> Publisher | None:
        if call:
            return self._rooms.get(call)
        with self._lock:
            if self._host is None:
                session = self.hub.session(_HOST)
                self._host = (session, Room("", self, self.hub.emitter(NODE, session)))
            return self._host[1]

    def _forgotten(self, call: str) -> None:
        self._rooms.pop(call, None)
