"""The registry: the calls that are going on, their members, and when each has something to emit.

Decides and never acts: every input answers what to emit. `now` is handed in. Owned by the
service's consumer; nothing here is shared with another thread.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from getpatter.calls.event_types import (
    CONNECTION_ABORTED,
    PARTICIPANT_ACTIVE,
    PARTICIPANT_JOINED,
    PARTICIPANT_LEFT,
    PARTICIPANT_RESUMED,
    ROOM_ENDED,
    ROOM_STARTED,
)
from getpatter.calls.stats.participant import REAP_SECONDS, Input, Output, Participant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FLUSH_SECONDS", "RECORD_SECONDS", "OutOfPlace", "Registry"]

#: No sample waits longer.
FLUSH_SECONDS = 30.0
#: Time between two stats records, if none is set.
RECORD_SECONDS = 10.0
# Workers that begin together must not all be due together: each begins this share of a period
# before the last one. The golden ratio spreads any number of them evenly.
_PHASE = 0.618_033_988_749_895

# Why something means nothing now.
ALREADY_ENDED = "already_ended"
ALREADY_LEFT = "already_left"
UNKNOWN_CALL = "unknown_call"
UNKNOWN_PARTICIPANT = "unknown_participant"


class OutOfPlace(Exception):  # noqa: N818 - an answer, not an error
    """An input that means nothing now; its text is the reason that is counted."""


class _Call:
    """One call: its members by participant, and what is settled for it."""

    __slots__ = ("conference_url", "ended_at", "is_started", "members", "record_seconds")

    def __init__(self) -> None:
        self.members: dict[str, Participant] = {}
        self.is_started = False
        self.ended_at: float | None = None
        self.conference_url: str | None = None
        # None: as for all.
        self.record_seconds: float | None = None


class Registry:
    """Takes events, samples and the time; answers what to emit, in order."""

    def __init__(self) -> None:
        self.record_seconds = RECORD_SECONDS
        self._calls: dict[str, _Call] = {}
        # (when, a number that orders what is due together, call, member); a member of which a
        # later entry says something else is skipped.
        self._due: list[tuple[float, int, str, Participant | None]] = []
        self._entries = 0
        self._begun = 0
        self._handlers: dict[str, Callable[[Input], list[Output]]] = {
            ROOM_STARTED: self._start_room,
            ROOM_ENDED: self._end_room,
            PARTICIPANT_JOINED: self._join,
            PARTICIPANT_ACTIVE: self._activate,
            PARTICIPANT_RESUMED: self._resume,
            PARTICIPANT_LEFT: self._leave,
            CONNECTION_ABORTED: self._leave,
        }

    def __len__(self) -> int:
        """Return how many calls and members there are."""
        calls = list(self._calls.values())  # in one step: others may ask while it changes
        return len(calls) + sum(len(call.members) for call in calls)

    def event(self, event: Input) -> list[Output]:
        """Take an event of the vocabulary; raises `OutOfPlace` for one that means nothing now."""
        handle = self._handlers.get(event.kind)
        return [event.output()] if handle is None else handle(event)

    def sample(self, call: str, participant: str, at: float, values: Mapping[str, object]) -> None:
        """Take a sample that has passed `sample.refusal`; raises `OutOfPlace`."""
        rule = self._member(call, participant).sample(at, values)
        if rule is not None:
            raise OutOfPlace(rule)

    def connection(
        self, call: str, participant: str, connection_state: str | None, fabric_state: str | None
    ) -> None:
        """Take what the host says of a connection; None is left to conclude.

        Raises `OutOfPlace`.
        """
        member = self._member(call, participant)
        member.connection_state = connection_state
        member.fabric_state = fabric_state

    def set_record_seconds(self, seconds: float, call: str | None, now: float) -> None:
        """Set the time between two records of a call, or of all that have none of their own; 0 is
        never. Raises `OutOfPlace`.
        """
        if call is None:
            self.record_seconds = seconds
            calls = {name: one for name, one in self._calls.items() if one.record_seconds is None}
        else:
            if call not in self._calls:
                raise OutOfPlace(UNKNOWN_CALL)
            calls = {call: self._calls[call]}
            calls[call].record_seconds = seconds
        for name, one in calls.items():
            for member in one.members.values():
                member.record_at = max(now, member.recorded_at + seconds) if seconds else None
                self._schedule(name, member)

    def next_due(self) -> float | None:
        """Return when `due` has something to do next; None for never."""
        return self._due[0][0] if self._due else None

    def due(self, now: float) -> list[Output]:
        """Return what is to be emitted by now: records, flushes; and reap who is over."""
        outputs: list[Output] = []
        while self._due and self._due[0][0] <= now:
            when, _, name, member = heapq.heappop(self._due)
            call = self._calls.get(name)
            if call is None:
                continue
            if member is None:
                outputs += self._forget(name, call, now)
            elif call.members.get(member.participant) is member and member.due() == when:
                outputs += self._work(name, call, member, now)
        return outputs

    def flush(self) -> list[Output]:
        """Return what all samples since the last flush amount to."""
        members = [member for call in self._calls.values() for member in call.members.values()]
        return [output for member in members if (output := member.flush()) is not None]

    # events

    def _start_room(self, event: Input) -> list[Output]:
        outputs: list[Output] = []
        call = self._calls.get(event.call)
        if call is not None and call.ended_at is not None:
            # The same name again is another call: what is left of the first one is emitted before.
            outputs = [output for member in call.members.values() if (output := member.flush())]
            call = None
        if call is None:
            call = self._calls[event.call] = _Call()
        call.is_started = True
        url = event.fields.get("conference_url")
        call.conference_url = url if isinstance(url, str) else None
        return [*outputs, event.output()]

    def _end_room(self, event: Input) -> list[Output]:
        call = self._calls.get(event.call)
        if call is None:
            raise OutOfPlace(UNKNOWN_CALL)
        if call.ended_at is not None:
            raise OutOfPlace(ALREADY_ENDED)
        outputs: list[Output] = []
        for member in call.members.values():
            if member.closed_at is None:
                outputs += self._close(call, member, event)
        call.ended_at = event.now
        self._push(event.now + REAP_SECONDS, event.call, None)
        return [*outputs, event.output()]

    def _join(self, event: Input) -> list[Output]:
        member, outputs = self._get_or_create(event)
        if member.is_joined:
            return outputs
        member.is_joined = True
        return [*outputs, event.output()]

    def _activate(self, event: Input) -> list[Output]:
        member, outputs = self._get_or_create(event)
        member.is_connected = True
        if member.is_active:
            return outputs
        member.is_active = True
        return [*outputs, event.output()]

    def _resume(self, event: Input) -> list[Output]:
        member, outputs = self._get_or_create(event)
        member.connection_state = member.fabric_state = None
        return [*outputs, event.output()]

    def _leave(self, event: Input) -> list[Output]:
        member = self._member(event.call, event.participant)
        if member.closed_at is not None:
            raise OutOfPlace(ALREADY_LEFT)
        member.closing = {**member.closing, **event.fields}
        if not member.guards.release(event.owner):
            return []
        return self._close(self._calls[event.call], member, event)

    def _close(self, call: _Call, member: Participant, event: Input) -> list[Output]:
        """Flush, then report closed: nothing of a participant comes after its end but what comes
        late.
        """
        member.closed_at = event.now
        member.connection_state = None
        flushed = member.flush()
        kind = PARTICIPANT_LEFT if member.is_connected else CONNECTION_ABORTED
        # What the owners reported counts more than why the call ended.
        fields = {**event.fields, **member.closing}
        self._schedule(event.call, member)
        return [
            *([] if flushed is None else [flushed]),
            member.record(event.now, call.conference_url),
            event._replace(kind=kind, participant=member.participant, fields=fields).output(),
        ]

    def _get_or_create(self, event: Input) -> tuple[Participant, list[Output]]:
        call = self._calls.get(event.call)
        if call is None:
            call = self._calls[event.call] = _Call()
        if call.ended_at is not None:
            raise OutOfPlace(ALREADY_ENDED)
        member = call.members.get(event.participant)
        outputs: list[Output] = []
        if member is None or member.closed_at is not None:
            if member is not None and (flushed := member.flush()) is not None:
                outputs.append(flushed)
            member = Participant(event.call, event.participant, event.now, before=member)
            call.members[event.participant] = member
            self._begin(call, member, event)
        member.guards.activate(event.owner)
        return member, outputs

    def _member(self, name: str, participant: str) -> Participant:
        call = self._calls.get(name)
        member = None if call is None else call.members.get(participant)
        if member is None:
            raise OutOfPlace(UNKNOWN_PARTICIPANT)
        return member

    # time

    def _begin(self, call: _Call, member: Participant, event: Input) -> None:
        left = 1 - self._begun * _PHASE % 1
        self._begun += 1
        member.flush_at = event.now + FLUSH_SECONDS * left
        seconds = self._record_seconds(call)
        member.record_at = event.now + seconds * left if seconds else None
        self._schedule(event.call, member)

    def _record_seconds(self, call: _Call) -> float:
        return self.record_seconds if call.record_seconds is None else call.record_seconds

    def _schedule(self, call: str, member: Participant) -> None:
        self._push(member.due(), call, member)

    def _push(self, when: float, call: str, member: Participant | None) -> None:
        self._entries += 1
        heapq.heappush(self._due, (when, self._entries, call, member))

    def _work(self, name: str, call: _Call, member: Participant, now: float) -> list[Output]:
        outputs: list[Output] = []
        is_over = member.is_over(now)
        if is_over or now >= member.flush_at:
            flushed = member.flush()
            outputs += [] if flushed is None else [flushed]
            member.flush_at = _after(member.flush_at, FLUSH_SECONDS, now)
        if member.closed_at is None and member.record_at is not None and now >= member.record_at:
            outputs.append(member.record(now, call.conference_url))
            member.record_at = _after(member.record_at, self._record_seconds(call), now)
        if is_over:
            del call.members[member.participant]
            return [*outputs, *self._forget(name, call, now)]
        self._schedule(name, member)
        return outputs

    def _forget(self, name: str, call: _Call, now: float) -> list[Output]:
        """Drop a call that is over and has emitted everything; one that nobody ends with its last
        member.
        """
        is_over = (
            not call.is_started if call.ended_at is None else now >= call.ended_at + REAP_SECONDS
        )
        if call.members or not is_over:
            return []
        del self._calls[name]
        return [Output("forgotten", name, "", {})]


def _after(when: float, seconds: float, now: float) -> float:
    """Return the next time of a period; what was missed is not made up for."""
    return when + seconds if when + seconds > now else now + seconds
