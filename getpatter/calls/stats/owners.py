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
    PARTICIPANT_RESUMED,
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

    class Wait(Protocol):
        """How it is said that the end is only waited for within a bound, or no longer."""

        def __call__(self, *, is_waiting: bool) -> object: ...


__all__ = ["MEDIA", "STATUS_WEBHOOK", "Guards", "Owners", "Presence", "owner_of"]

#: Once media has left, the end is not waited for without a bound; a webhook may never come.
MEDIA = "media"
STATUS_WEBHOOK = "status_webhook"

# Who says something, where nobody is named.
_HOST = "host"
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

    def is_held_by_others(self, owner: str) -> bool:
        """Return whether anybody else holds it."""
        return bool(self._active - {owner})

    def has_had(self, owner: str) -> bool:
        """Return whether that owner holds it, or has released it."""
        return owner in self._active or owner in self._spent


class Presence:
    """What owners say of one participant: whether it is there, and what of that is new."""

    __slots__ = ("_guards", "_said", "is_active")

    def __init__(self) -> None:
        self._guards = Guards()
        self._said: set[str] = set()
        #: Whether it ever was active.
        self.is_active = False

    def take(self, kind: str, owner: str) -> bool:
        """Take an arrival or a departure; return whether it is new: a first one, or the end."""
        if kind in DEPARTURES:
            has_ended = bool(self._said) and self._guards.release(owner)
            if has_ended:
                self._guards, self._said = Guards(), set()
            return has_ended
        is_new = kind == PARTICIPANT_RESUMED or kind not in self._said
        self._said.add(kind)
        self._guards.activate(owner)
        self.is_active = self.is_active or kind == PARTICIPANT_ACTIVE
        return is_new

    def is_waiting_for(self, owner: str) -> bool:
        """Return whether it is there, and nobody but that owner holds it."""
        return self.is_there and not self._guards.is_held_by_others(owner)

    def has_had(self, owner: str) -> bool:
        """Return whether that owner has held it since it came."""
        return self._guards.has_had(owner)

    @property
    def is_there(self) -> bool:
        """Whether it has come and not ended."""
        return bool(self._said)


def owner_of(fields: Mapping[str, object]) -> str:
    """Return who says something."""
    owner = fields.get("owner")
    return owner if isinstance(owner, str) and owner else _HOST


class Owners:
    """Passes events on, and calls `gone(kind)` when the participant they are about has ended.

    Whether anybody listens to the events makes no difference. It may be called more than once by
    threads that say the end in the same moment. `wait` is called when media has left, so that the
    others are not waited for without a bound, and when somebody came after that.
    """

    __slots__ = ("_check", "_emit", "_gone", "_presence", "_wait", "participant")

    def __init__(
        self,
        participant: str,
        emit: EmitEvent,
        gone: Callable[[str], object],
        wait: Wait,
    ) -> None:
        from getpatter.calls.stats.vocabulary import check  # a table that most programs never need

        self._check = check
        self.participant = participant
        self._emit = emit
        self._gone = gone
        self._wait = wait
        self._presence = Presence()

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
                self.end()
        except Exception:  # what a host hands over may do anything; then it says nothing
            return answer
        return answer

    def end(self) -> None:
        """End it, whatever owners still hold it."""
        self._gone(PARTICIPANT_LEFT if self._presence.is_active else CONNECTION_ABORTED)

    def _ends(self, kind: str, participant: str, fields: Mapping[str, object]) -> bool:
        if kind == ROOM_ENDED:
            return self._presence.is_there
        if participant != self.participant or kind not in ARRIVALS | DEPARTURES:
            return False
        # Where nobody listens, nobody else has looked at it.
        if not self._check(kind, "call", participant, fields):
            return False
        owner, presence = owner_of(fields), self._presence
        is_back = kind == PARTICIPANT_RESUMED or not presence.has_had(owner)
        is_new = presence.take(kind, owner)
        if kind in ARRIVALS:
            if is_back and owner != STATUS_WEBHOOK:
                self._wait(is_waiting=False)
            return False
        has_left = owner == MEDIA and presence.is_there
        if not is_new and (has_left or presence.is_waiting_for(STATUS_WEBHOOK)):
            self._wait(is_waiting=True)
        return is_new
