"""The service: takes events and samples from any thread, and has one thread that emits them.

The caller leaves a job and goes on: nothing here waits, does I/O or raises into the call. What
is refused or lost is counted by its reason.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic, seconds
from getpatter.calls.event_types import ENDINGS, ROOM_STARTED
from getpatter.calls.mistakes import mistake
from getpatter.calls.result import OK, Result
from getpatter.calls.stats import flush_interval as interval
from getpatter.calls.stats import sample as samples
from getpatter.calls.stats import vocabulary
from getpatter.calls.stats.jobs import ENDING_JOBS, JOBS, Jobs
from getpatter.calls.stats.participant import Input
from getpatter.calls.stats.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.calls.callbacks.subscriptions import Callbacks
    from getpatter.calls.stats.ticker import Numbering, Publisher


__all__ = ["Service"]

_STATES = {
    "connection_state": ("online", "offline"),
    "fabric_state": ("initialising", "established", "disrupted"),
}
# A call whose beginning was refused would have none.
_LAST_REFUSED = ENDINGS | {ROOM_STARTED}
_NOTHING: Mapping[str, object] = {}


class Service:
    """Takes what is known of calls, participants and tracks; emits it to a publisher and callbacks.

    `publisher(call)` is where the events of a call go (of none: ""), None for nowhere.
    `on_forgotten(call)` is called on the service's thread when nothing is kept of a call any more.
    Every method is safe from any thread; no method but `flush` and `stop` waits, and none raises.
    """

    def __init__(
        self,
        publisher: Callable[[str], Publisher | None],
        callbacks: Callbacks,
        *,
        on_forgotten: Callable[[str], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._publisher = publisher
        self._callbacks = callbacks
        self._clock = clock
        self._ticker = Ticker(publisher, callbacks, on_forgotten, clock)
        self._jobs = Jobs(self._ticker, clock)

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
        return self._answer(
            "event", call, lambda: self._leave_event(kind, call, participant, fields, notify)
        )

    def sample(self, call: str, participant: str, sample: Mapping[str, object], /) -> Result:
        """Take a sample of one track; its fields are those of `sample.schema.json`.

        Answers `refused_sample` for one that breaks a rule, `queue_full` or `stopped`. Of a sample
        that is taken, a number that is none is dropped; the message of the answer says which. The
        mapping is copied.
        """
        try:
            own = dict(sample)
            answer = samples.refusal(call, participant, own)
            dropped: list[str] = []
            if not answer:
                dropped = samples.drop_bad_numbers(own)
                answer = samples.refusal(call, participant, own)
            if answer:
                at = own.get("at")
                reason = self._jobs.put_sample(
                    (call, participant, self._clock() if at is None else at, own)  # type: ignore[arg-type] # a number: it was not refused
                )
                if not reason:
                    return self._dropped(call, dropped) if dropped else OK
                answer = _not_taken("sample", call, reason)
        except Exception:  # the public boundary, as in `_answer`
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
        """Set how a connection is; it is in the records until it is set again, or resumed.

        None is concluded: `offline` once the participant left; `disrupted` while media that was
        measured before is not.
        """
        given = {"connection_state": connection_state, "fabric_state": fabric_state}
        return self._answer(
            "connection", call, lambda: self._leave_states(call, participant, given)
        )

    def set_stats_interval(self, seconds: float, call: str | None = None) -> Result:
        """Set the time between two stats records, for a call or for all; 0 is never.

        Answers `refused_interval` for what is not 0 and not 1 to 86,400.
        """
        return self._answer("interval", call, lambda: self._leave_interval(seconds, call))

    def later(self, call: str, job: Callable[[], object]) -> Result:
        """Have something done on the service's thread, after all that was given before."""
        reason = self._jobs.put(partial(self._ticker.do, "later", call, job), ENDING_JOBS)
        return _not_taken("later", call, reason) if reason else OK

    def error(self, code: str, layer: str, message: str, call: str | None = None) -> None:
        """Call the `error` callbacks for a failure, off the caller's thread."""
        # The characters alone, past whatever a subclass overrides.
        named = str.__str__(call) if isinstance(call, str) else None
        if self._callbacks.wants("error", named):
            job = partial(self._callbacks.error, code, layer, message, call=named)
            reason = self._jobs.put(partial(self._ticker.do, "error", named, job))
            self._ticker.tally.count("error", reason or "taken")

    def flush(self, timeout: float = 5.0) -> bool:
        """Emit what is due and what all samples so far amount to, and wait until it is delivered.

        Answers whether that was done in `timeout` seconds.
        """
        if self._jobs.is_own_thread():
            self._ticker.flush()
            return True
        timeout = seconds(timeout)
        until = monotonic() + timeout
        if not self._jobs.flush(timeout):
            return False
        return self._callbacks.drain(max(0.0, until - monotonic()))

    def stop(self, timeout: float = 5.0) -> bool:
        """Do what waits, flush, and end; answer whether that was done in `timeout` seconds.

        What comes later is refused as `stopped`, and counted.
        """
        timeout = seconds(timeout)
        until = monotonic() + timeout
        is_done = self._jobs.close(timeout)
        return self._callbacks.drain(max(0.0, until - monotonic())) and is_done

    def counts(self) -> dict[str, object]:
        """Return what became of everything that was given.

        `taken`, `done` and `refused` (by reason; before or after it was taken) by what it was,
        `told` and `not_published` events, and how many jobs and calls with their participants
        there are.
        """
        totals = self._ticker.tally.totals()
        totals.setdefault("sample", {})["taken"] = self._jobs.samples
        return {**totals, "waiting": len(self._jobs), "kept": len(self._ticker.registry)}

    def _answer(self, what: str, call: object, leave: Callable[[], Result]) -> Result:
        """Return what leaving a job answers; if it was not taken, count it and call `error`."""
        try:
            answer = leave()
        except Exception:  # the public boundary: what a host hands over may do anything
            answer = Result(f"refused_{what}", f"{what} refused: it is not of the kind it must be")
        if not answer:
            return self._refuse(what, call, answer)
        self._ticker.tally.count(what, "taken")
        return answer

    def _leave_event(
        self,
        kind: str,
        call: str,
        participant: str,
        fields: Mapping[str, object],
        notify: bool,  # noqa: FBT001 - as in `event`
    ) -> Result:
        own = vocabulary.with_plain_numbers(dict(fields))
        answer = vocabulary.check(kind, call, participant, own)
        if not answer:
            return answer
        said = Input(kind, call, participant, own, bool(notify), self._clock())
        numbering = self._numbering(call)
        if numbering is not None:
            said = said._replace(stamp=numbering.stamp(kind, participant, said.owner))
        limit = ENDING_JOBS if kind in _LAST_REFUSED else JOBS
        answer = self._put("event", call, partial(self._ticker.event, said), limit)
        if not answer and numbering is not None:
            numbering.lose("closed" if answer.status == "stopped" else answer.status)
        return answer

    def _numbering(self, call: str) -> Numbering | None:
        """Return the publisher of a call, if it numbers events."""
        try:
            publisher = self._publisher(call)
        except Exception:  # as where it is asked to emit, and there it is counted
            return None
        return publisher if hasattr(publisher, "stamp") else None  # type: ignore[return-value] # just looked at

    def _leave_states(self, call: str, participant: str, given: Mapping[str, str | None]) -> Result:
        if not isinstance(call, str) or not isinstance(participant, str):
            return Result("refused_state", "a connection needs a call and a participant")  # type: ignore[unreachable] # who has no type checker finds out here
        for name, value in given.items():
            if value is not None and (type(value) is not str or value not in _STATES[name]):
                wrong = mistake(name, tuple(_STATES[name]), value)
                return Result("refused_state", f"call {call!r:.80}: {wrong}")
        job = partial(self._ticker.registry.connection, call, participant, **given)
        return self._put("connection", call, job)

    def _leave_interval(self, seconds: float, call: str | None) -> Result:
        answer = interval.refusal(seconds, call)
        if not answer:
            return answer
        job = partial(self._ticker.registry.set_record_seconds, float(seconds), call, self._clock())
        return self._put("interval", call, job)

    def _put(self, what: str, call: object, job: Callable[[], object], limit: int = JOBS) -> Result:
        reason = self._jobs.put(partial(self._ticker.do, what, call, job), limit)
        return _not_taken(what, call, reason) if reason else OK

    def _dropped(self, call: object, rules: list[str]) -> Result:
        """Count what was dropped of a sample that was taken, and call `error`."""
        self._ticker.tally.count("sample", "dropped_value", len(rules))
        message = f"call {call!r:.80}: fields of a sample were dropped: {'; '.join(rules)}"
        self.error("dropped_value", "internal", message, call)  # type: ignore[arg-type] # looked at there
        return Result("ok", message)

    def _refuse(self, what: str, call: object, answer: Result) -> Result:
        """Count what was not taken, and call `error`."""
        self._ticker.tally.count(what, answer.status)
        self.error(answer.status, "internal", answer.message, call)  # type: ignore[arg-type] # looked at there
        return answer


def _not_taken(what: str, call: object, reason: str) -> Result:
    why = {"queue_full": "the job queue is full", "stopped": "the service is stopped"}
    return Result(reason, f"call {call!r:.80}: {what} refused: {why[reason]}")
