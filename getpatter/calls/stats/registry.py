"""The registry: the calls that are going on, their workers, and when each has something to tell.

Decides and never acts: every input answers what to tell. `now` is handed in. Owned by the
service's consumer; nothing here is shared with another thread.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from getpatter.calls.stats.participant import REAP_SECONDS, Said, Tell, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FLUSH_SECONDS", "RECORD_SECONDS", "Refused", "Registry"]

#: No sample waits longer to be told.
FLUSH_SECONDS = 30.0
#: Time between two stats records, if nothing else is said.
RECORD_SECONDS = 10.0
# Workers that begin together must not all be due together: each begins this share of a period
# before the last one. The golden ratio spreads any number of them evenly.
_PHASE = 0.618_033_988_749_895

# Why something means nothing now.
ALREADY_ENDED = "already_ended"
ALREADY_LEFT = "already_left"
UNKNOWN_CALL = "unknown_call"
UNKNOWN_PARTICIPANT = "unknown_participant"


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """An input that means nothing now; its text is the reason that is counted."""


class _Call:
    """One call: its workers by participant, and what is settled for it."""

    __slots__ = ("conference_url", "ended_at", "is_started", "record_seconds", "workers")

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.is_started = False
        self.ended_at: float | None = None
        self.conference_url: str | None = None
        # None: as for all.
        self.record_seconds: float | None = None


class Registry:
    """Takes events, samples and the time; answers what to tell, in order."""

    def __init__(self) -> None:
        self.record_seconds = RECORD_SECONDS
        self._calls: dict[str, _Call] = {}
        # (when, a number that orders what is due together, call, worker); a worker of which a
        # later entry says something else is skipped.
        self._due: list[tuple[float, int, str, Worker | None]] = []
        self._entries = 0
        self._begun = 0
        self._handlers: dict[str, Callable[[Said], list[Tell]]] = {
            "room_started": self._start_room,
            "room_ended": self._end_room,
            "participant_joined": self._join,
            "participant_active": self._activate,
            "participant_resumed": self._resume,
            "participant_left": self._leave,
            "connection_aborted": self._leave,
        }

    def __len__(self) -> int:
        """Return how many calls and workers there are."""
        calls = list(self._calls.values())  # in one step: others may ask while it changes
        return len(calls) + sum(len(call.workers) for call in calls)

    def event(self, event: Said) -> list[Tell]:
        """Take an event of the vocabulary; raises `Refused` for one that means nothing now."""
        handle = self._handlers.get(event.kind)
        return [event.tell()] if handle is None else handle(event)

    def sample(self, call: str, participant: str, at: float, values: Mapping[str, object]) -> None:
        """Take a sample that has passed `sample.refusal`; raises `Refused`."""
        rule = self._worker(call, participant).sample(at, values)
        if rule is not None:
            raise Refused(rule)

    def connection(
        self, call: str, participant: str, connection_state: str | None, fabric_state: str | None
    ) -> None:
        """Take what the host says of a connection; None is left to conclude. Raises `Refused`."""
        worker = self._worker(call, participant)
        worker.connection_state = connection_state
        worker.fabric_state = fabric_state

    def set_record_seconds(self, seconds: float, call: str | None, now: float) -> None:
        """Set the time between two records of a call, or of all that have none of their own; 0 is
        never. Raises `Refused`.
        """
        if call is None:
            self.record_seconds = seconds
            calls = {name: one for name, one in self._calls.items() if one.record_seconds is None}
        else:
            if call not in self._calls:
                raise Refused(UNKNOWN_CALL)
            calls = {call: self._calls[call]}
            calls[call].record_seconds = seconds
        for name, one in calls.items():
            for worker in one.workers.values():
                worker.record_at = max(now, worker.told_at + seconds) if seconds else None
                self._schedule(name, worker)

    def next_due(self) -> float | None:
        """Return when `due` has something to do next; None for never."""
        return self._due[0][0] if self._due else None

    def due(self, now: float) -> list[Tell]:
        """Return what is to be told by now: records, flushes; and reap who is over."""
        tells: list[Tell] = []
        while self._due and self._due[0][0] <= now:
            when, _, name, worker = heapq.heappop(self._due)
            call = self._calls.get(name)
            if call is None:
                continue
            if worker is None:
                tells += self._forget(name, call, now)
            elif call.workers.get(worker.participant) is worker and worker.due() == when:
                tells += self._work(name, call, worker, now)
        return tells

    def flush(self) -> list[Tell]:
        """Return what all samples since the last flush amount to."""
        workers = [worker for call in self._calls.values() for worker in call.workers.values()]
        return [tell for worker in workers if (tell := worker.flush()) is not None]

    # events

    def _start_room(self, event: Said) -> list[Tell]:
        tells: list[Tell] = []
        call = self._calls.get(event.call)
        if call is not None and call.ended_at is not None:
            # The same name again is another call: what is left of the first one is told before.
            tells = [tell for worker in call.workers.values() if (tell := worker.flush())]
            call = None
        if call is None:
            call = self._calls[event.call] = _Call()
        call.is_started = True
        url = event.fields.get("conference_url")
        call.conference_url = url if isinstance(url, str) else None
        return [*tells, event.tell()]

    def _end_room(self, event: Said) -> list[Tell]:
        call = self._calls.get(event.call)
        if call is None:
            raise Refused(UNKNOWN_CALL)
        if call.ended_at is not None:
            raise Refused(ALREADY_ENDED)
        tells: list[Tell] = []
        for worker in call.workers.values():
            if worker.closed_at is None:
                tells += self._close(call, worker, event)
        call.ended_at = event.now
        self._push(event.now + REAP_SECONDS, event.call, None)
        return [*tells, event.tell()]

    def _join(self, event: Said) -> list[Tell]:
        worker, tells = self._get_or_create(event)
        if worker.is_joined:
            return tells
        worker.is_joined = True
        return [*tells, event.tell()]

    def _activate(self, event: Said) -> list[Tell]:
        worker, tells = self._get_or_create(event)
        worker.is_connected = True
        if worker.is_active:
            return tells
        worker.is_active = True
        return [*tells, event.tell()]

    def _resume(self, event: Said) -> list[Tell]:
        worker, tells = self._get_or_create(event)
        worker.connection_state = worker.fabric_state = None
        return [*tells, event.tell()]

    def _leave(self, event: Said) -> list[Tell]:
        worker = self._worker(event.call, event.participant)
        if worker.closed_at is not None:
            raise Refused(ALREADY_LEFT)
        worker.closing = {**worker.closing, **event.fields}
        if not worker.guards.release(event.owner):
            return []
        return self._close(self._calls[event.call], worker, event)

    def _close(self, call: _Call, worker: Worker, event: Said) -> list[Tell]:
        """Flush, then report closed: nothing of a participant comes after its end but what comes
        late.
        """
        worker.closed_at = event.now
        worker.connection_state = None
        flushed = worker.flush()
        kind = "participant_left" if worker.is_connected else "connection_aborted"
        # What the owners said counts more than why the call ended.
        fields = {**event.fields, **worker.closing}
        self._schedule(event.call, worker)
        return [
            *([] if flushed is None else [flushed]),
            worker.record(event.now, call.conference_url),
            event._replace(kind=kind, participant=worker.participant, fields=fields).tell(),
        ]

    def _get_or_create(self, event: Said) -> tuple[Worker, list[Tell]]:
        call = self._calls.get(event.call)
        if call is None:
            call = self._calls[event.call] = _Call()
        if call.ended_at is not None:
            raise Refused(ALREADY_ENDED)
        worker = call.workers.get(event.participant)
        tells: list[Tell] = []
        if worker is None or worker.closed_at is not None:
            if worker is not None and (flushed := worker.flush()) is not None:
                tells.append(flushed)
            worker = Worker(event.call, event.participant, event.now, before=worker)
            call.workers[event.participant] = worker
            self._begin(call, worker, event)
        worker.guards.activate(event.owner)
        return worker, tells

    def _worker(self, name: str, participant: str) -> Worker:
        call = self._calls.get(name)
        worker = None if call is None else call.workers.get(participant)
        if worker is None:
            raise Refused(UNKNOWN_PARTICIPANT)
        return worker

    # time

    def _begin(self, call: _Call, worker: Worker, event: Said) -> None:
        left = 1 - self._begun * _PHASE % 1
        self._begun += 1
        worker.flush_at = event.now + FLUSH_SECONDS * left
        seconds = self._record_seconds(call)
        worker.record_at = event.now + seconds * left if seconds else None
        self._schedule(event.call, worker)

    def _record_seconds(self, call: _Call) -> float:
        return self.record_seconds if call.record_seconds is None else call.record_seconds

    def _schedule(self, call: str, worker: Worker) -> None:
        self._push(worker.due(), call, worker)

    def _push(self, when: float, call: str, worker: Worker | None) -> None:
        self._entries += 1
        heapq.heappush(self._due, (when, self._entries, call, worker))

    def _work(self, name: str, call: _Call, worker: Worker, now: float) -> list[Tell]:
        tells: list[Tell] = []
        is_over = worker.is_over(now)
        if is_over or now >= worker.flush_at:
            flushed = worker.flush()
            tells += [] if flushed is None else [flushed]
            worker.flush_at = _after(worker.flush_at, FLUSH_SECONDS, now)
        if worker.closed_at is None and worker.record_at is not None and now >= worker.record_at:
            tells.append(worker.record(now, call.conference_url))
            worker.record_at = _after(worker.record_at, self._record_seconds(call), now)
        if is_over:
            del call.workers[worker.participant]
            return [*tells, *self._forget(name, call, now)]
        self._schedule(name, worker)
        return tells

    def _forget(self, name: str, call: _Call, now: float) -> list[Tell]:
        """Drop a call that is over and has told everything; one that nobody ends with its last
        worker.
        """
        is_over = (
            not call.is_started if call.ended_at is None else now >= call.ended_at + REAP_SECONDS
        )
        if call.workers or not is_over:
            return []
        del self._calls[name]
        return [Tell("forgotten", name, "", {})]


def _after(when: float, seconds: float, now: float) -> float:
    """Return the next time of a period; what was missed is not made up for."""
    return when + seconds if when + seconds > now else now + seconds
