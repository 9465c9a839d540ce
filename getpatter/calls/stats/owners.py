"""Owners: who holds a participant open, and when the last of them has let go.

Media, signalling and a status webhook each say that it is there, and each say that it left, in
whichever order and however often: it ends once. Owns no thread and does no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.event_types import (
    ARRIVALS,
    CONNECTION_ABORTED,
    DEPARTURES,
    PARTICIPANT_ACTIVE,
    PARTICIPANT_LEFT,
    ROOM_ENDED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from getpatter.calls.result import Result

    class EmitEvent(Protocol):
        """How events are emitted."""

        def __call__(
            self,
            kind: str,
            participant: str = "",
            fields: Mapping[str, object] = ...,
            /,
            *,
            notify: bool = True,
        ) -> Result: ...


__all__ = ["HOST", "Guards", "Owners"]

#: Who says something, where nobody is named.
HOST = "host"
_NOTHING: Mapping[str, object] = {}


class Guards:
    """Who owns a participant. Each owner activates once and releases once, in whichever order."""

    __slots__ = ("_active", "_spent")

    def __init__(self) -> None:
        self._active: set[str] = set()
        self._spent: set[str] = set()

    def activate(self, owner: str) -> None:
        """Hold it open. Who has released it before does not get it back."""
        if owner not in self._spent:
            self._active.add(owner)

    def release(self, owner: str) -> bool:
        """Let go; answer whether nobody holds it now."""
        self._spent.add(owner)
        self._active.discard(owner)
        return not self._active


class Owners:
    """Passes events on, and calls `gone(kind)` when the participant they are about has ended.

    Whether anybody listens to the events makes no difference. It may be called more than once by
    threads that say the end in the same moment.
    """

    __slots__ = ("_check", "_emit", "_gone", "_guards", "_is_active", "_is_there", "participant")

    def __init__(self, participant: str, emit: EmitEvent, gone: Callable[[str], object]) -> None:
        from getpatter.calls.stats.vocabulary import check  # a table that most programs never need

        self._check = check
        self.participant = participant
        self._emit = emit
        self._gone = gone
        self._guards = Guards()
        self._is_there = False
        self._is_active = False

    def event(
        self,
        kind: str,
        participant: str = "",
        fields: Mapping[str, object] = _NOTHING,
        /,
        *,
        notify: bool = True,
    ) -> Result:
        """Emit an event, and take in what it says of who is there."""
        answer = self._emit(kind, participant, fields, notify=notify)
        try:
            if answer and self._ends(kind, participant, dict(fields)):
                self._gone(PARTICIPANT_LEFT if self._is_active else CONNECTION_ABORTED)
        except Exception:  # what a host hands over may do anything; then it says nothing
            return answer
        return answer

    def _ends(self, kind: str, participant: str, fields: Mapping[str, object]) -> bool:
        if kind == ROOM_ENDED:
            return self._is_there
        is_begin = kind in ARRIVALS
        if participant != self.participant or not (is_begin or kind in DEPARTURES):
            return False
        # Where nobody listens, nobody else has looked at it.
        if not self._check(kind, "call", participant, fields):
            return False
        owner = str(fields.get("owner") or HOST)
        if not is_begin:
            return self._is_there and self._guards.release(owner)
        self._is_there = True
        self._is_active = self._is_active or kind == PARTICIPANT_ACTIVE
        self._guards.activate(owner)
        return False
