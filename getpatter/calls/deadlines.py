"""Deadlines: calls that end at a time, unless somebody ends them before.

One thread for the calls of a host object, and only while there is a deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.background.thread import Background
from getpatter.calls.clock import monotonic

if TYPE_CHECKING:
    from typing import Protocol

    class Expires(Protocol):
        """A call. It is kept alive until its deadline."""

        def expire(self) -> None: ...


__all__ = ["Deadlines"]

_IDLE_SECONDS = 10.0


class Deadlines:
    """Safe from any thread; nothing waits."""

    def __init__(self) -> None:
        self._thread = Background("getpatter-deadlines", self, idle_seconds=_IDLE_SECONDS)
        self._due: dict[int, tuple[float, Expires]] = {}

    def put(self, call: Expires, seconds: float) -> None:
        """Have a call expire in so many seconds, unless it has a deadline already."""
        self._due.setdefault(id(call), (monotonic() + seconds, call))
        self._thread.ring()

    def drop(self, call: Expires) -> None:
        """Take the deadline of a call back."""
        self._due.pop(id(call), None)

    def expire_all(self) -> None:
        """The program ends: so do the calls that wait for it."""
        self._expire(float("inf"))

    def after_fork_in_child(self) -> None:
        """The calls are those of the parent."""
        self._due = {}
        self._thread.reset()

    # the thread

    def step(self) -> float | None:
        """Let calls expire; return how long until the next one does."""
        self._expire(monotonic())
        waiting = [at for at, _ in self._due.copy().values()]
        return max(0.001, min(waiting) - monotonic()) if waiting else None

    def is_empty(self) -> bool:
        """Return whether no call waits."""
        return not self._due

    def recover(self) -> None:
        """Nothing is lost: who expires has been taken out before."""

    def _expire(self, now: float) -> None:
        for key, (at, _) in self._due.copy().items():
            if at <= now and (entry := self._due.pop(key, None)) is not None:
                entry[1].expire()
