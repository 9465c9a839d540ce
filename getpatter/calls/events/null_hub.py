"""The null hub: the interface of the hub with diagnostics off."""

# ruff: noqa: ARG002 - the interface has arguments, and here nobody asks

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from getpatter.calls.events.emitter import Emitter
from getpatter.calls.events.session import Session
from getpatter.calls.events.sessions import cut_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.calls.events.event import Event
    from getpatter.calls.events.session import Record
    from getpatter.calls.events.sessions import Watcher
    from getpatter.calls.events.sink import Sink

__all__ = ["NullHub"]


class NullHub:
    """Diagnostics that are off: the same calls, and nothing behind them."""

    on_failure: Callable[[str, str], object] | None = None

    def session(self, session_id: str | None = None, *, ring_events: int | None = None) -> Session:
        """Return a session that takes nothing."""
        session = Session(cut_id(session_id) or "", 0)
        session.rule = "off"
        session.close()
        return session

    def emitter(self, node: str, session: Session, *, per_second: int | None = None) -> Emitter:
        """Return an emitter that takes nothing."""
        return Emitter(self, session, node)

    def attach(self, sink: Sink | Callable[[Event], object], name: str | None = None) -> str:
        """Attach nothing: off wins."""
        return ""

    def activate(self, session: str, began_us: int, *, is_outbound: bool) -> ExitStack:
        """Enter nothing."""
        return ExitStack()

    def watch(self, watcher: Watcher) -> None:
        """There will never be anything to let anybody know."""

    def flush(self, timeout: float = 2.0) -> bool:
        """There is nothing to wait for."""
        return True

    def close(self, timeout: float = 2.0) -> bool:
        """There is nothing to close."""
        return True

    def stats(self) -> dict[str, object]:
        """Return what `Hub.stats` does, of nothing."""
        return {"waiting": 0, "lost": {}, "sinks": {}}

    def settings(self) -> dict[str, tuple[object, str]]:
        """Return that there are no numbers to set up."""
        return {}

    def put(self, records: list[Record]) -> bool:
        """Take nothing."""
        return False

    def lose(self, session: Session, node: str, reason: str, times: int = 1) -> None:
        """Count nothing: what is off loses nothing."""
