"""Calls of a host object by the ids of their carriers, and rooms that are no call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.call import Call
from getpatter.telemetry._plain import lower_text

if TYPE_CHECKING:
    from getpatter.calls.switchboard import Switchboard
    from getpatter.host_room import HostRoom

__all__ = ["HostCalls"]


class HostCalls:
    """The part of the host object that webhooks need."""

    _board: Switchboard

    if TYPE_CHECKING:

        def call(self, *, direction: str | None, carrier: str | None = None) -> Call:
            """Begin a call; see `Patter.call`."""

    def find_call(self, carrier: str, *ids: str) -> Call | None:
        """Return the call that a carrier knows by one of these ids (`Call.known_as`), if it is
        still there.
        """
        found = self._board.known.find(lower_text(carrier), ids)
        return found if isinstance(found, Call) else None

    def missed_call(self, carrier: str, *ids: str, direction: str | None = None) -> Call | None:
        """Begin a call that this process never had, to say how it ended; None if it had it.

        For callbacks: a call that nobody answered has no other process to report it. If several
        processes say so of one call, one of them reports it.
        """
        name = lower_text(carrier)
        if not self._board.known.claim(name, ids):
            return None
        call = self.call(direction=direction, carrier=name)
        for one in ids:
            call.known_as(name, one)
        return call

    def room(self, session: str | None = None) -> HostRoom:
        """Begin a room that is no call: participants and tracks for diagnostics alone, reported by
        another system, as the webhooks of a media server do. `session` is an id of yours.
        """
        from getpatter.host_room import HostRoom  # few programs have one

        return HostRoom(self._board, session)
