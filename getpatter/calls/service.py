"""The service: takes events and samples from any thread, and has one thread that tells them.

Whoever calls leaves a job and goes on: nothing here waits, does I/O or raises into the call. What
is refused or lost is counted by its reason.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import weakref
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from getpatter.calls import sample as samples
from getpatter.calls import vocabulary
from getpatter.calls.jobs import ENDINGS, JOBS, Jobs
from getpatter.calls.registry import Refused, Registry
from getpatter.calls.result import OK, Result
from getpatter.calls.workers import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from getpatter.calls.callbacks import Callbacks
    from getpatter.calls.jobs import Sample
    from getpatter.calls.workers import Tell

    class Publisher(Protocol):
        """Where the events of a call go; answers whether it was taken. Never waits or raises."""

        def emit(
            self,
            event_type: str,
            data: object,
            *,
            correlation_id: str | None = None,
            turn_id: str | None = None,
        ) -> bool: ...


__all__ = ["EXIT_SECONDS", "Service"]

#: What an ending program waits for at most, in seconds.
EXIT_SECONDS = 0.5
# Records more often than once a second would have no sample to be made of; a day is longer than
# calls are.
_SECONDS = (1.0, 86_400.0)
_STATES = {
    "connection_state": (None, "online", "offline"),
    "fabric_state": (None, "initialising", "established", "disrupted"),
}
_NOTHING: Mapping[str, object] = {}


class Service:
    """Takes what is known of calls, participants and tracks; tells it to publisher and callbacks.

    `publisher(call)` is where the events of a call go (of none: ""). `on_closed(call, participant,
    kind)` is called once for each end of a participant, on the service's thread. Every method is
    safe from any thread; no method but `flush` and `stop` waits, and none raises.
    """

    def __init__(
        self,
        publisher: Callable[[str], Publisher],
        callbacks: Callbacks,
        *,
        on_closed: Callable[[str, str, str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher = publisher
        self._callbacks = callbacks
        self._on_closed = on_closed
        self._clock = clock
        self._jobs = Jobs(self, clock)
        self._begin()
        # Hooks must not keep a forgotten service alive.
        me = weakref.ref(self)
        self._exit = partial(_at_exit, me)
        atexit.register(self._exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_after_fork_in_child, me))

    def _begin(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, whose parent tells the
        rest.
        """
        self._registry = Registry()
        # Guards the counts; re-entrant for the same reason as the queue's.
        self._lock = threading.RLock()
        self._counts: Counter[tuple[str, str]] = Counter()

    # the host's side

    def event(
        self,
        kind: str,
        call: str = "",
        participant: str = "",
        fields: Mapping[str, object] = _NOTHING,
        /,
        *,
        notify: bool = True,
    ) -> Result:
        """Take an event of the vocabulary; with `notify=False` it is for the record only.

        Answers `unknown_kind`, `unknown_field`, `refused_event`, `queue_full` or `stopped`, and
        which rule of which call that was. Whether it means anything at its place in the call is
        seen later, on the service's thread, and counted.
        """
        try:
            own = dict(fields)
            answer = vocabulary.check(kind, call, participant, own)
            if answer:
                limit = ENDINGS if kind in vocabulary.ENDINGS else JOBS
                event = Said(kind, call, participant, own, bool(notify), self._clock())
                answer = self._put("event", call, partial(self._event, event), limit)
        except Exception:  # the public boundary: what a host hands over may do anything
            answer = Result("refused_event", "an event must be text and a mapping of fields")
        return answer or self._refuse("event", call, answer)

    def sample(self, call: str, participant: str, sample: Mapping[str, object], /) -> Result:
        """Take a sample of one track; its fields are those of `sample.schema.json`.

        Answers `refused_sample` for one that breaks a rule, `queue_full` or `stopped`. The mapping
        is copied.
        """
        try:
            own = dict(sample)
            answer = samples.refusal(call, participant, own)
            if answer:
                at = own.get("at")
                reason = self._jobs.put_sample(
                    (call, participant, self._clock() if at is None else at, own)  # type: ignore[arg-type] # a number: it was not refused
                )
                if not reason:
                    return OK
                answer = _not_taken("sample", call, reason)
        except Exception:  # the public boundary, as above
            answer = Result("refused_sample", "a sample must be a mapping of fields")
        return self._refuse("sample", call, answer)

    def connection(
        self,
        call: str,
        participant: str,
        /,
        *,
        connection_state: str | None = None,
        fabric_state: str | None = None,
    ) -> Result:
        """Say how a connection is; it stands on records until it is said anew, or resumed.

        None is concluded: `offline` once the participant left; `disrupted` while media that was
        measured before is not.
        """
        given = {"connection_state": connection_state, "fabric_state": fabric_state}
        for name, value in given.items():
            if value not in _STATES[name]:
                known = ", ".join(filter(None, _STATES[name]))
                answer = Result("refused_state", f"call {call!r:.80}: {name} is one of {known}")
                return self._refuse("connection", call, answer)
        job = partial(self._connection, call, participant, connection_state, fabric_state)
        answer = self._put("connection", call, job)
        return answer or self._refuse("connection", call, answer)

    def set_stats_interval(self, seconds: float, call: str | None = None) -> Result:
        """Set the time between two stats records, for a call or for all; 0 is never.

        Answers `refused_interval` for what is not 0 and not 1 to 86,400.
        """
        is_number = isinstance(seconds, (int, float)) and math.isfinite(seconds)
        if not is_number or not (seconds == 0 or _SECONDS[0] <= seconds <= _SECONDS[1]):
            message = f"call {call!r:.80}: the interval of stats is 0, or 1 to 86,400 seconds"
            return self._refuse("interval", call, Result("refused_interval", message))
        job = partial(self._set_interval, float(seconds), call)
        answer = self._put("interval", call, job)
        return answer or self._refuse("interval", call, answer)

    def error(self, code: str, layer: str, message: str, call: str | None = None) -> None:
        """Tell the `error` callbacks of a failure, off the caller's thread."""
        if self._callbacks.wants("error", call):
            job = partial(self._callbacks.error, code, layer, message, call=call)
            reason = self._jobs.put(job)
            if reason:
                self._count("error", reason)

    def flush(self, timeout: float = 5.0) -> bool:
        """Tell what all samples so far amount to; answer whether that was done in `timeout` s."""
        if self._jobs.is_own_thread():
            self._tell(self._registry.flush())
            return True
        done = threading.Event()
        until = time.monotonic() + timeout
        if self._jobs.put(partial(self._flush, done), ENDINGS) or not done.wait(timeout):
            return False
        return self._callbacks.drain(max(0.0, until - time.monotonic()))

    def stop(self, timeout: float = 5.0) -> bool:
        """Do what waits, flush, and end; answer whether that was done in `timeout` seconds.

        What comes later is refused as `stopped`, and counted.
        """
        until = time.monotonic() + timeout
        is_done = self._jobs.close(timeout)
        atexit.unregister(self._exit)
        return self._callbacks.drain(max(0.0, until - time.monotonic())) and is_done

    def counts(self) -> dict[str, object]:
        """Return what became of everything that was given.

        `taken`, `done` and `refused` (by reason; before or after it was taken) by what it was,
        `told` and `not_published` events, and how many jobs and calls with their participants
        there are.
        """
        with self._lock:
            counted = dict(self._counts)
        told: dict[str, dict[str, int]] = {}
        for (what, reason), times in counted.items():
            told.setdefault(what, {})[reason] = times
        told.setdefault("sample", {})["taken"] = self._jobs.samples
        return {**told, "waiting": len(self._jobs), "kept": len(self._registry)}

    def _put(self, what: str, call: object, job: Callable[[], object], limit: int = JOBS) -> Result:
        reason = self._jobs.put(partial(self._do, what, call, job), limit)
        if reason:
            return _not_taken(what, call, reason)
        self._count(what, "taken")
        return OK

    def _refuse(self, what: str, call: object, answer: Result) -> Result:
        """Count what was not taken, and tell who wants to know."""
        self._count(what, answer.status)
        named = call if isinstance(call, str) else None
        self.error(answer.status, "internal", answer.message, named)
        return answer

    def _count(self, what: str, reason: str, times: int = 1) -> None:
        with self._lock:
            self._counts[what, reason] += times

    # the thread's side

    def take_samples(self, batch: list[Sample]) -> None:
        """Take the samples of one job."""
        done = 0
        for call, participant, at, values in batch:
            try:
                self._registry.sample(call, participant, at, values)
                done += 1
            except Refused as refused:
                self._refuse_late("sample", call, str(refused))
            except Exception:  # the thread's catch-all: an error of ours must not end it
                self._refuse_late("sample", call, "internal_error")
        self._count("sample", "done", done)

    def next_due(self) -> float | None:
        """Return when there is something to tell next."""
        return self._registry.next_due()

    def tick(self) -> None:
        """Tell what is due."""
        self._guard("tick", None, lambda: self._tell(self._registry.due(self._clock())))

    def finish(self) -> None:
        """Tell what is left: the thread ends."""
        self._guard("tick", None, lambda: self._tell(self._registry.flush()))

    def _do(self, what: str, call: object, job: Callable[[], object]) -> None:
        if self._guard(what, call, job):
            self._count(what, "done")

    def _guard(self, what: str, call: object, job: Callable[[], object]) -> bool:
        try:
            job()
        except Refused as refused:
            self._refuse_late(what, call, str(refused))
        except Exception:  # the thread's catch-all, as above
            self._refuse_late(what, call, "internal_error")
        else:
            return True
        return False

    def _event(self, event: Said) -> None:
        self._tell(self._registry.event(event))

    def _connection(
        self, call: str, participant: str, connection: str | None, fabric: str | None
    ) -> None:
        self._registry.connection(call, participant, connection, fabric)

    def _set_interval(self, seconds: float, call: str | None) -> None:
        self._registry.set_record_seconds(seconds, call, self._clock())

    def _flush(self, done: threading.Event) -> None:
        self._guard("flush", None, lambda: self._tell(self._registry.flush()))
        done.set()

    def _refuse_late(self, what: str, call: object, reason: str) -> None:
        self._count(what, reason)
        named = call if isinstance(call, str) else None
        self._callbacks.error(
            reason, "internal", f"call {call!r:.80}: {what} refused: {reason}", call=named
        )

    def _tell(self, tells: list[Tell]) -> None:
        for tell in tells:
            try:
                self._tell_one(tell)
            except Exception:  # of a publisher or `on_closed`: the others are told all the same
                self._count("told", "internal_error")

    def _tell_one(self, tell: Tell) -> None:
        if tell.kind == "stats":
            if self._callbacks.wants("stats", tell.call):
                self._callbacks.dispatch("stats", tell.data, call=tell.call)
        elif tell.kind == "forgotten":
            self._callbacks.forget(tell.call)
        else:
            was_taken = self._publisher(tell.call).emit(tell.kind, tell.data)
            self._count("told", "taken" if was_taken else "not_published")
            if tell.kind in _ENDS and self._on_closed is not None:
                self._on_closed(tell.call, tell.participant, tell.kind)


# What is told of the end of a participant.
_ENDS = frozenset({"participant_left", "connection_aborted"})


def _not_taken(what: str, call: object, reason: str) -> Result:
    why = {"queue_full": "too many jobs wait", "stopped": "the service is stopped"}
    return Result(reason, f"call {call!r:.80}: {what} refused: {why[reason]}")


def _at_exit(me: weakref.ref[Service]) -> None:
    service = me()
    if service is not None:
        service.stop(EXIT_SECONDS)


def _after_fork_in_child(me: weakref.ref[Service]) -> None:
    service = me()
    if service is not None:
        service._jobs.reset()  # noqa: SLF001 - one subject
        service._begin()  # noqa: SLF001 - one subject
