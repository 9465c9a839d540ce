"""Rooms: those that a LiveKit server reports, who is in them, and what was reported before.

Webhooks come in any order, more than once, or not at all. Not safe from several threads: the
receiver holds a lock meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.integrations.livekit_server import events

if TYPE_CHECKING:
    from getpatter import Patter
    from getpatter.host_room import HostRoom
    from getpatter.integrations.livekit_server.events import Said

__all__ = ["Rooms"]

#: A room of which nothing came for so long has ended, and its end was lost.
IDLE_SECONDS = 86_400.0
# Rooms at a time, and ids of webhooks and of rooms that have ended. The oldest go first.
_ROOMS = 1_000
_REMEMBERED = 10_000


class _Room:
    """One room: `present` is identity → sid, `gone` the sids of who has left."""

    def __init__(self, room: HostRoom) -> None:
        self.room = room
        self.at = 0.0
        self.present: dict[str, str] = {}
        self.gone: dict[str, None] = {}


class Rooms:
    """Takes what webhooks say; emits what is new of it."""

    def __init__(self, phone: Patter) -> None:
        self._phone = phone
        self._open: dict[str, _Room] = {}
        self._over: dict[str, None] = {}
        self._ids: dict[str, None] = {}
        #: Webhooks that the server says it could not deliver.
        self.dropped = 0

    def take(self, said: Said, now: float) -> str:
        """Emit what a webhook says; return `ok`, or in one word why it says nothing."""
        self._end_idle(now)
        if said.id and not _is_new(self._ids, said.id):
            return "repeated"
        if said.dropped:
            self.dropped += said.dropped
            content = {"dropped": said.dropped}
            self._phone.event("report", {"name": "livekit_webhooks", "content": content})
        if not said.kind:
            return "unknown_event"
        if said.kind.startswith(("egress", "ingress")):
            return self._take_media(said)
        if not said.room:
            return "malformed"
        if said.room in self._over:
            return "late"
        room = self._open.pop(said.room, None) or self._opened(said)
        room.at = now
        self._open[said.room] = room  # at the end: the one that was heard of last
        while len(self._open) > _ROOMS:
            self._end(next(iter(self._open)), "")
        return self._take_in(room, said)

    def end_all(self) -> None:
        """End every room."""
        for sid in list(self._open):
            self._end(sid, "")

    def _opened(self, said: Said) -> _Room:
        room = _Room(self._phone.room(said.room))
        name = events.room_name(said)
        room.room.event("room_started", "", {"metadata": {"room": name}} if name else {})
        return room

    def _take_in(self, room: _Room, said: Said) -> str:
        if said.kind == "room_started":
            return "ok"
        if said.kind == "room_ended":
            self._end(said.room, events.room_reason(said))
            return "ok"
        if not said.sid:
            return "malformed"
        if said.sid in room.gone:
            return "late"
        if said.kind.startswith("track"):
            found = events.track(said)
            if found is None:
                return "malformed"
            self._arrive(room, said)
            room.room.event(found[0], said.identity, found[1])
        elif said.kind == "participant_joined":
            self._arrive(room, said)
        else:
            self._leave(room, said)
        return "ok"

    def _arrive(self, room: _Room, said: Said, *, is_active: bool = True) -> None:
        before = room.present.get(said.identity)
        if before == said.sid:
            return
        if before is not None:  # the same person came back, and that they had left was not heard
            _is_new(room.gone, before)
            room.room.event("participant_left", said.identity, {"owner": events.OWNER})
        room.present[said.identity] = said.sid
        for kind, fields in events.arrivals(is_active=is_active):
            room.room.event(kind, said.identity, fields)

    def _leave(self, room: _Room, said: Said) -> None:
        _is_new(room.gone, said.sid)
        there = room.present.get(said.identity)
        if there is not None and there != said.sid:
            return  # somebody else of that name is here by now
        self._arrive(room, said, is_active=said.kind == "participant_left")
        room.present.pop(said.identity, None)
        kind, fields = events.departure(said)
        room.room.event(kind, said.identity, fields)

    def _take_media(self, said: Said) -> str:
        found = events.media(said)
        if found is None:
            return "malformed"
        kind, fields = found
        room = self._open.get(said.room)
        if room is None:
            self._phone.event(kind, fields)
        else:
            room.room.event(kind, "", fields)
        return "ok"

    def _end(self, sid: str, reason: str) -> None:
        room = self._open.pop(sid, None)
        _is_new(self._over, sid)
        if room is not None:
            room.room.event("room_ended", "", {"reason": reason} if reason else {})
            room.room.end()

    def _end_idle(self, now: float) -> None:
        for sid, room in list(self._open.items()):
            if now - room.at < IDLE_SECONDS:
                break  # those that follow were heard of later
            self._end(sid, "")


def _is_new(seen: dict[str, None], key: str) -> bool:
    """Remember a key; return whether it was not there."""
    if key in seen:
        return False
    seen[key] = None
    if len(seen) > _REMEMBERED:
        seen.pop(next(iter(seen)))
    return True
