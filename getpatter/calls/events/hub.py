"""The hub: where emitters and sinks meet. Nothing attached: nothing kept but a small ring a call.

It has no thread until a sink is attached, then one of its own and one for each sink. It belongs to
the process that made it: in a `fork` child the sinks stay, the sessions of the parent are closed. A
hub that nobody holds any more still delivers what was emitted.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING

from getpatter.calls.background.thread import must_pass
from getpatter.calls.clock import monotonic, seconds
from getpatter.calls.events.callback_sink import CallbackSink
from getpatter.calls.events.emitter import Emitter
from getpatter.calls.events.loop import QUEUE_EVENTS, Loop
from getpatter.calls.events.null_hub import NullHub
from getpatter.calls.events.rate_limit import PER_SECOND
from getpatter.calls.events.redaction import Redaction
from getpatter.calls.events.session import RING_EVENTS, Session
from getpatter.calls.events.sessions import Sessions, cut_id
from getpatter.calls.events.sink import Attached, Sink
from getpatter.calls.mistakes import mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.calls.events.event import Event
    from getpatter.calls.events.session import Record
    from getpatter.calls.events.sessions import Watcher

__all__ = ["NULL_HUB", "Hub", "hub_of"]


class Hub:
    """Takes events from emitters to sinks: `Hub(JsonLinesSink("calls.jsonl"))`.

    A sink is an object with `write` and `close`, or a callable that is given each event.
    `redaction` is applied before any of them; `per_second` is the rate limit of an emitter for each
    event type; `ring_events` how many events of a session a late subscriber gets. Raises ValueError
    for a number that is none.
    """

    def __init__(
        self,
        *sinks: Sink | Callable[[Event], object],
        redaction: Redaction | None = None,
        per_second: int = PER_SECOND,
        ring_events: int = RING_EVENTS,
        queue_events: int = QUEUE_EVENTS,
    ) -> None:
        for name, value in (
            ("per_second", per_second),
            ("ring_events", ring_events),
            ("queue_events", queue_events),
        ):
            _check_count(name, value)
        self._sessions = Sessions(redaction or Redaction())
        self._loop = Loop(self._sessions, queue_events)
        self._settings = {
            "per_second": (per_second, PER_SECOND),
            "ring_events": (ring_events, RING_EVENTS),
            "queue_events": (queue_events, QUEUE_EVENTS),
        }
        self._per_second = per_second
        self._ring_events = ring_events
        self._is_closed = False
        self._has_sinks = False
        weakref.finalize(self, self._loop.finish).atexit = False
        for sink in sinks:
            self.attach(sink)

    @property
    def on_failure(self) -> Callable[[str, str], object] | None:
        """Called on a sink's thread as `on_failure(sink, message)` when it begins to fail."""
        return self._sessions.on_failure

    @on_failure.setter
    def on_failure(self, callback: Callable[[str, str], object] | None) -> None:
        self._sessions.on_failure = callback

    def session(self, session_id: str | None = None, *, ring_events: int | None = None) -> Session:
        """Return a new session, by default with a random id; `ring_events=0` keeps no ring."""
        kept = self._ring_events if ring_events is None else ring_events
        _check_count("ring_events", kept)
        session = self._sessions.session(session_id, kept)
        if self._is_closed:
            session.close()
        return session

    def emitter(self, node: str, session: Session, *, per_second: int | None = None) -> Emitter:
        """Return an emitter of `node` in `session`."""
        limit = self._per_second if per_second is None else per_second
        _check_count("per_second", limit)
        name = cut_id(node) or f"[{type(node).__name__}]"
        return Emitter(self, session, name, per_second=limit)

    def attach(self, sink: Sink | Callable[[Event], object], name: str | None = None) -> str:
        """Attach a sink; return its name. It first gets what the rings of open sessions hold.

        Raises TypeError at once for what is neither a sink nor callable.
        """
        chosen = sink if isinstance(sink, Sink) else CallbackSink(sink)
        base = name or type(chosen).__name__.removesuffix("Sink").lower() or "sink"
        if self._is_closed:
            return base
        names = (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
        attached = (Attached(chosen, unique, self._sessions.sink_failed) for unique in names)
        unique = next(sink.name for sink in attached if self._loop.attach(sink))
        self._has_sinks = True
        for watcher in self._sessions.watching():
            watcher.attached()
        return unique

    def activate(self, session: str, began_us: int, *, is_outbound: bool) -> ExitStack:
        """Enter the block in which the span of a call is current, in each sink that has spans."""
        entered = ExitStack()
        for sink in self._loop.sinks():
            try:
                entered.enter_context(sink.activate(session, began_us, is_outbound=is_outbound))
            except BaseException as error:  # a sink is the developer's, and the call goes on
                if must_pass(error):
                    raise
        return entered

    def watch(self, watcher: Watcher) -> None:
        """Let somebody know when there is a sink, and when one fails, as long as they live.

        What they have to emit first is emitted before a `flush` waits for the sinks.
        """
        self._sessions.watchers[id(watcher)] = watcher
        if self._has_sinks:
            watcher.attached()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait at most `timeout` seconds until the sinks have everything; return whether so."""
        until = monotonic() + seconds(timeout)
        is_done = [watcher.flush(until - monotonic()) for watcher in self._sessions.watching()]
        return self._loop.flush(until - monotonic()) and all(is_done)

    def close(self, timeout: float = 2.0) -> bool:
        """`flush`, close the sinks, and take no more; what is left is lost, counted as `closed`."""
        until = monotonic() + seconds(timeout)
        is_done = self.flush(timeout)
        if self._is_closed:
            return is_done
        self._is_closed = True
        self._sessions.close()
        self._sessions.report_now()
        is_done = self._loop.flush(until - monotonic()) and is_done
        self._loop.finish(is_discarding=True)
        self._loop.flush(until - monotonic())  # until the sinks are closed
        return is_done

    def stats(self) -> dict[str, object]:
        """Return `waiting`, `lost` by reason, and of each sink `delivered`, `waiting`, `lost`."""
        return {
            "waiting": self._loop.waiting(),
            "lost": self._sessions.losses.totals().get("", {}),
            "sinks": {sink.name: sink.stats() for sink in self._loop.sinks()},
        }

    def settings(self) -> dict[str, tuple[object, str]]:
        """Return the numbers it was set up with: name → value, and `code` or `default`."""
        return {
            name: (value, "default" if value == default else "code")
            for name, (value, default) in self._settings.items()
        }

    def put(self, records: list[Record]) -> bool:
        """Take records for the sinks; return whether they were taken. Never waits."""
        return self._loop.put(records)

    def lose(self, session: Session, node: str, reason: str, times: int = 1) -> None:
        """Count losses, and see to it that they are reported."""
        if self._sessions.lose(session, node, reason, times):
            self._loop.wake()


#: Diagnostics that are off, where there is no hub.
NULL_HUB = NullHub()


def hub_of(chosen: object) -> Hub | NullHub:
    """Return the hub that `diagnostics=` stands for: one without sinks by default."""
    if chosen is None:
        return Hub()
    if chosen is False:
        return NULL_HUB
    if isinstance(chosen, (Hub, NullHub)):
        return chosen
    message = f"diagnostics must be a Hub or False, not {type(chosen).__name__}"
    raise TypeError(message)


def _check_count(name: str, value: object) -> None:
    """Refuse at once, while it is set up, what would only fail in a call."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= sys.maxsize:
        raise ValueError(mistake(name, ("a whole number, at least 0",), value))
