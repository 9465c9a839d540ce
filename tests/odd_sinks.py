"""Sinks of a host that keep, raise or hang, and what a hub says of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.calls import Event, Hub

# Far more than anything here takes, on any machine.
LONG = 60.0


class Collected:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_closed = threading.Event()

    def write(self, events: Sequence[Event]) -> float | None:
        self.events += events
        return None

    def close(self) -> None:
        self.is_closed.set()


class Raises(Collected):
    """A sink that raises for each event, and when it is closed."""

    def __init__(self, error: BaseException, times: int = 1_000) -> None:
        super().__init__()
        self.error = error
        self.times = times

    def write(self, events: Sequence[Event]) -> float | None:
        if self.times:
            self.times -= 1
            raise self.error
        return super().write(events)

    def close(self) -> None:
        raise self.error


class Hangs(Collected):
    """A sink that hangs in its first write, or as it is closed, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_hanging = threading.Event()
        self.let_go = threading.Event()

    def write(self, events: Sequence[Event]) -> float | None:
        self.is_hanging.set()
        assert self.let_go.wait(LONG)
        return super().write(events)


def of(hub: Hub, sink: str) -> dict[str, Any]:
    stats: Any = hub.stats()
    found: dict[str, Any] = stats["sinks"][sink]
    return found


def emit(hub: Hub, times: int = 1, session: str = "mine") -> None:
    emitter = hub.emitter("x", hub.session(session))
    for number in range(times):
        assert emitter.emit("event", {"number": number})
        assert hub.flush(LONG)
