"""A room of call diagnostics that is no call of this process: nothing of it is telemetry."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from getpatter.calls.events.session import Session
    from getpatter.calls.room import Room
    from getpatter.calls.switchboard import Switchboard

__all__ = ["HostRoom"]


class HostRoom:
    """Participants and tracks that another system reports, as the webhooks of a media server do.

    `event`, `sample` and `connection` are those of `Call`. It ends with `end`, and when nobody
    refers to it any more.
    """

    def __init__(self, board: Switchboard, session: str | None = None) -> None:
        own = board.hub.session(session if isinstance(session, str) and session else None)
        self._room = room = board.room(own)
        self.event, self.sample, self.connection = room.event, room.sample, room.connection
        #: The id under which sinks get its events.
        self.session = own.id
        self._end = weakref.finalize(self, _end, room, own)
        self._end.atexit = False

    @property
    def id(self) -> str:
        """The id by which callbacks and statistics name it: as `Call.id`."""
        return self._room.id

    def end(self) -> None:
        """End it, with all its participants, once."""
        self._end()


def _end(room: Room, session: Session) -> None:
    session.end()
    room.finish(session.close)
