"""The state machine of one call's stages, attempts and connections. Pure: no clock, no ids, no I/O.

Events go out through `emit`, which answers whether the event was taken. It takes no lock and may
run in many threads and within itself: a stage is in `_open` from after its `initiated` was emitted
until somebody takes it out, and only who takes it out emits `completed`. So there is never a
`completed` without its `initiated`, nor a second one, nor a stage that outlives its call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from getpatter.calls.enums import (
    FailureCode,
    IceState,
    JoinReason,
    Outcome,
    Role,
    StageName,
    Word,
)
from getpatter.calls.event_types import STAGE_COMPLETED, STAGE_INITIATED

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Emits an event (type, data, whether it ends what was emitted); answers whether it may pass.
    EmitStage = Callable[[str, dict[str, object], bool], bool]


__all__ = ["StageFailure", "Stages"]

_SUPERSEDED = Word("superseded by a restart")


@dataclass(frozen=True, slots=True)
class StageFailure:
    """Why a stage failed. `reason` is free text and stays local, like everything here.

    `previously_connected_at` is when the connection last stood, in microseconds since 1970.
    """

    code: FailureCode
    reason: str | None = None
    previously_connected_at: int | None = None


@dataclass(slots=True)
class _Run:
    """An open stage."""

    stage: StageName
    common: dict[str, object]
    since: float
    is_emitted: bool
    attempts: int = 1
    first: float | None = None


@dataclass(frozen=True, slots=True)
class _Connection:
    """A connection of the call: the stage that establishes it, if one does, and its past."""

    stage_id: str | None = None
    connected_at: int | None = None


class Stages:
    """What is open in one call. Ids and `now` (monotonic seconds) come from the caller."""

    def __init__(self, emit: EmitStage, attempt_id: Word) -> None:
        self._emit = emit
        self._open: dict[str, _Run] = {}
        self._attempt: tuple[JoinReason, Word] = (JoinReason.FIRST_ATTEMPT, attempt_id)
        self._connections: dict[Role, _Connection] = {}
        self._states: dict[Role, IceState] = {}
        # The roles whose connection has failed, and has not stood since.
        self._failed: set[Role] = set()
        self._end: FailureCode | None = None

    @property
    def attempt_id(self) -> Word:
        """The id of the current attempt."""
        return self._attempt[1]

    def is_over(self) -> bool:
        """Whether the call has ended: nothing begins any more."""
        return self._end is not None

    def open(self) -> list[str]:
        """Return the ids of the stages in flight, the oldest first."""
        return list(self._open)

    def join(self, reason: JoinReason, fresh_id: Word) -> Word:
        """Begin an attempt; return its id. The first attempt keeps the id that it has."""
        if reason is not JoinReason.FIRST_ATTEMPT:
            self._attempt = (reason, fresh_id)
        return self._attempt[1]

    def begin(
        self, stage: StageName, stage_id: Word, now: float, fields: dict[str, object]
    ) -> bool:
        """Begin a stage under a fresh id; return False, and emit nothing, after the end."""
        if self.is_over():
            return False
        join_reason, attempt_id = self._attempt
        common: dict[str, object] = {
            "stage": stage,
            "stage_id": stage_id,
            "attempt_id": attempt_id,
            "join_reason": join_reason,
            **fields,
        }
        is_emitted = self._emit(STAGE_INITIATED, dict(common), False)  # noqa: FBT003 - see `EmitStage`
        self._open[stage_id] = _Run(stage, common, now, is_emitted)
        if self.is_over():  # it came between: the end of the call did not see this one
            self.end(FailureCode.CLIENT_ABORTED, now)
        return True

    def first(self, stage_id: str, now: float) -> float | None:
        """The first byte is there: return the seconds until then, None if it was before."""
        run = self._open.get(stage_id)
        if run is None or run.first is not None:
            return None
        run.first = now - run.since
        return run.first

    def retry(self, stage_id: str) -> bool:
        """The stage is tried again; return whether it is in flight."""
        run = self._open.get(stage_id)
        if run is not None:
            run.attempts += 1
        return run is not None

    def complete(
        self,
        stage_id: str,
        now: float,
        failure: StageFailure | None = None,
        *,
        retry_count: int | None = None,
        elapsed: float | None = None,
    ) -> bool:
        """Complete a stage; return False, and emit nothing, if it is not in flight.

        `elapsed` seconds stand in place of the clock's where the time was measured elsewhere.
        """
        run = self._open.pop(stage_id, None)
        if run is None:
            return False
        seconds = now - run.since if elapsed is None else elapsed
        data: dict[str, object] = {
            **run.common,
            "elapsed_ms": round(max(0.0, seconds) * 1_000, 3),
            "outcome": Outcome.SUCCESS if failure is None else Outcome.FAILURE,
            "retry_count": run.attempts - 1 if retry_count is None else retry_count,
        }
        if run.first is not None:
            data["first_ms"] = round(run.first * 1_000, 3)
        if failure is not None:
            data["failure_code"] = failure.code
            for name in ("reason", "previously_connected_at"):
                value = getattr(failure, name)
                if value is not None:
                    data[name] = value
        # An `initiated` that was lost takes its `completed` along: a pair is kept or lost whole.
        self._emit(STAGE_COMPLETED, data, run.is_emitted)
        return True

    def change(self, role: Role, state: IceState) -> IceState | None:
        """Take the ICE state of a connection; return the one before, None if it is the same."""
        previous = self._states.get(role, IceState.NEW)
        self._states[role] = state
        if state is IceState.FAILED:
            self._failed.add(role)
        elif state in (IceState.CONNECTED, IceState.COMPLETED):
            self._failed.discard(role)
        return None if state is previous else previous

    def has_failed_connection(self) -> bool:
        """Whether a connection has failed and not stood since; closing it mends nothing."""
        return bool(self._failed)

    def ice(
        self, role: Role, state: IceState | None, now: float, now_us: int, fresh_id: Word
    ) -> FailureCode | None:
        """A connection's ICE state changed; return the code of the stage that failed thereby.

        Two threads that say the states of one role at once may leave a stage open; the end of the
        call completes it.
        """
        connection = self._connections.get(role, _Connection())
        if state is IceState.CHECKING:
            failed = self._superseded(connection, now)
            fields: dict[str, object] = {
                "role": role,
                "was_previously_connected": connection.connected_at is not None,
            }
            is_begun = self.begin(StageName.PEER_CONNECTION, fresh_id, now, fields)
            stage_id = fresh_id if is_begun else None
            self._connections[role] = replace(connection, stage_id=stage_id)
            return failed
        if state in (IceState.CONNECTED, IceState.COMPLETED):
            if connection.stage_id is not None:
                self.complete(connection.stage_id, now)
            self._connections[role] = _Connection(None, now_us)
        elif state is IceState.FAILED and connection.stage_id is not None:
            code = FailureCode.ICE_CONNECTIVITY_FAILED
            self._connections[role] = replace(connection, stage_id=None)
            failure = StageFailure(code, previously_connected_at=connection.connected_at)
            if self.complete(connection.stage_id, now, failure):
                return code
        return None

    def _superseded(self, connection: _Connection, now: float) -> FailureCode | None:
        if connection.stage_id is None:
            return None
        code = FailureCode.ICE_CONNECTIVITY_FAILED
        failure = StageFailure(code, _SUPERSEDED, connection.connected_at)
        return code if self.complete(connection.stage_id, now, failure) else None

    def end(self, code: FailureCode, now: float) -> int:
        """Complete every stage in flight as a failure; return how many there were."""
        self._end = self._end or code
        return sum(
            self.complete(stage_id, now, StageFailure(self._end)) for stage_id in self.open()
        )
