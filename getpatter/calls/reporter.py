"""The reporter of one call: emits its stages, attempts and connections, and how it ended.

Every method may be called from any thread, never waits and never raises: it answers a `Result`. A
call belongs to the process that began it: in a `fork` child all of this does nothing.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic, new_id, timestamp_us
from getpatter.calls.enums import (
    Delivery,
    FailureCode,
    IceState,
    JoinReason,
    Role,
    StageName,
    known,
)
from getpatter.calls.event_types import (
    CALL_ENDED,
    CALL_JOINING,
    CONNECTION_CHANGED,
    STAGE_COMPLETED,
)
from getpatter.calls.latencies import LONGEST_SECONDS
from getpatter.calls.leave import NO_REASON, Leaving, leaving
from getpatter.calls.result import OK, Result
from getpatter.calls.stages import StageFailure, Stages
from getpatter.telemetry._plain import plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from getpatter.calls.events.emitter import Emitter
    from getpatter.calls.events.session import Record
    from getpatter.calls.leave import LeaveReason

    Stage = Literal[
        "coordinator_join", "ws_join", "peer_connection", "carrier", "stt", "llm", "tts", "eou"
    ]
    Reason = Literal[
        "first_attempt", "full_rejoin", "migration", "network_available", "fast_reconnect", "custom"
    ]

__all__ = ["ALREADY_LEFT", "Reporter"]

#: After the end of a call nothing of it begins, and it is left once.
ALREADY_LEFT = Result("already_left", "leave: the call has ended, and is left once")
# What a batch may hold until it is flushed by itself.
_BATCH_EVENTS = 10
# A longer text says no more about why a stage failed; redaction cuts it further.
_REASON_CHARS = 2_000


class Reporter:
    """Emits what happens in one call. `delivery` is `IN_PLACE` (each event at once) or `BATCH`
    (when there are 10, on `flush`, at the end of the call).
    """

    def __init__(
        self,
        emitter: Emitter,
        *,
        delivery: Delivery | Literal["IN_PLACE", "BATCH"] = Delivery.IN_PLACE,
    ) -> None:
        mode = known(Delivery, delivery)
        if mode is None:
            message = f"delivery is one of {[member.value for member in Delivery]}"
            raise ValueError(message)
        self._emitter = emitter
        self._is_batch = mode is Delivery.BATCH
        self._kept: deque[Record] = deque()
        self._process = os.getpid()
        self._stages = Stages(self._emit_stage, new_id())
        # Taken once, without waiting, by the first caller.
        self._ending = threading.Lock()
        self.turn_id: str | None = None
        self.left: Leaving | None = None
        #: Called with the data of each stage that failed; must return at once.
        self.on_failure: Callable[[Mapping[str, object]], object] | None = None

    @property
    def attempt_id(self) -> str:
        """The id of the current attempt to join."""
        return self._stages.attempt_id

    @property
    def has_ended(self) -> bool:
        """Whether the call has been left."""
        return self._ending.locked()

    @property
    def has_failed_connection(self) -> bool:
        """Whether a connection of the call has failed, and has not stood since."""
        return self._stages.has_failed_connection()

    def begin(self, stage: Stage | StageName, *, role: str | None = None) -> str:
        """Begin a stage; return its fresh id, which `complete` takes.

        For a stage that is none, and after the end of the call, it is empty and nothing is emitted.
        """
        name = known(StageName, stage)
        if name is None or not self._is_here():
            return ""
        member = known(Role, role)
        fields: dict[str, object] = {} if member is None else {"role": member}
        stage_id = new_id()
        return stage_id if self._stages.begin(name, stage_id, monotonic(), fields) else ""

    def complete(
        self,
        stage_id: str,
        failure: FailureCode | str | None = None,
        *,
        reason: str | None = None,
        retry_count: int | None = None,
        previously_connected_at: int | None = None,
        elapsed: float | None = None,
    ) -> Result:
        """Complete a stage: with success, or with the code of its failure.

        `reason` is free text, `previously_connected_at` microseconds since 1970; both stand only on
        failures. `elapsed` seconds replace the clock's where the time was measured elsewhere.
        """
        why = None
        if failure is not None:
            code = known(FailureCode, failure)
            if code is None:
                return Result("unknown_failure_code", "complete: unknown failure code")
            text = reason[:_REASON_CHARS] if isinstance(reason, str) else None
            at = previously_connected_at if type(previously_connected_at) is int else None
            why = StageFailure(code, text, at)
        took = plain_number(elapsed)
        count = retry_count if type(retry_count) is int and retry_count >= 0 else None
        key = stage_id if isinstance(stage_id, str) else ""
        if self._is_here() and self._stages.complete(
            key, monotonic(), why, retry_count=count, elapsed=took if _is_time(took) else None
        ):
            return OK
        return Result("unknown_stage", "complete: no stage of this id is in flight")

    def retry(self, stage_id: str) -> Result:
        """The stage is tried again: its one `completed` will count the retries."""
        if isinstance(stage_id, str) and self._is_here() and self._stages.retry(stage_id):
            return OK
        return Result("unknown_stage", "retry: no stage of this id is in flight")

    def first(self, stage_id: str) -> float | None:
        """The first byte of a stage is there; return the seconds it took, None the second time."""
        key = stage_id if isinstance(stage_id, str) else ""
        return self._stages.first(key, monotonic()) if self._is_here() else None

    def join(self, reason: Reason | JoinReason) -> Result:
        """An attempt to join begins; each but the first gets a new `attempt_id`."""
        why = known(JoinReason, reason)
        if why is None:
            return Result("unknown_join_reason", "join: unknown join reason")
        if not self._is_here() or self.has_ended:
            return ALREADY_LEFT
        attempt_id = self._stages.join(why, new_id())
        self.emit(CALL_JOINING, {"attempt_id": attempt_id, "join_reason": why})
        return OK

    def ice(self, role: Literal["publisher", "subscriber"] | Role, state: str) -> Result:
        """The ICE state of a connection changed: emits `connection.changed`, and may open or
        complete a stage. What is no state of ICE does nothing.
        """
        member = known(Role, role)
        if member is None:
            return Result("unknown_role", "ice: a role is publisher or subscriber")
        if not self._is_here() or self.has_ended:
            return ALREADY_LEFT
        meant = known(IceState, state)
        if meant is None:
            return OK
        previous = self._stages.change(member, meant)
        if previous is not None:
            self.emit(CONNECTION_CHANGED, {"role": member, "state": meant, "previous": previous})
        self._stages.ice(member, meant, monotonic(), timestamp_us(), new_id())
        return OK

    def emit(self, event_type: str, data: dict[str, object], *, is_exempt: bool = False) -> bool:
        """Emit an event of the call itself, in the mode of this reporter."""
        if self.has_ended and not is_exempt:
            self._emitter.lose("closed")
            return False
        record = self._emitter.record(event_type, data, turn_id=self.turn_id, is_exempt=is_exempt)
        if record is None:
            return False
        if not self._is_batch:
            self._emitter.put([record])
            return True
        self._kept.append(record)
        # Asked after it was kept: `close`, which may come between, flushes before or we do now.
        if len(self._kept) >= _BATCH_EVENTS or not self._is_batch:
            self.flush()
        return True

    def refuse(self) -> None:
        """Count something that this call was given and that is none."""
        self._emitter.lose("bad_value")

    def flush(self) -> None:
        """Emit what a batch holds; an empty one sends nothing."""
        records = []
        while self._kept:
            try:
                records.append(self._kept.popleft())
            except IndexError:  # another thread flushes too
                break
        if records and self._is_here():
            self._emitter.put(records)

    def leave(self, reason: LeaveReason | str) -> Result:
        """Leave the call, once; what is in flight fails with the abort code of the reason."""
        left = leaving(reason)
        if left is None:
            return Result("unknown_leave_reason", NO_REASON)
        return OK if self.end(left.abort_code, left) else ALREADY_LEFT

    def end(self, abort_code: FailureCode, left: Leaving | None = None) -> bool:
        """End the call; return whether this was its end, which is so once.

        Every stage in flight fails with `abort_code`, in one batch.
        """
        if not self._is_here() or not self._ending.acquire(blocking=False):
            return False
        self.left = left
        # Collected and emitted in one go, whatever the mode.
        self._is_batch = True
        self._stages.end(abort_code, monotonic())
        return True

    def close(self, facts: dict[str, object]) -> None:
        """Emit, after `end`, how the call ended, and all that is kept."""
        said = {} if self.left is None else self.left.data()
        self.emit(CALL_ENDED, {**said, **facts}, is_exempt=True)
        self._is_batch = False
        self.flush()

    def _is_here(self) -> bool:
        return os.getpid() == self._process

    def _emit_stage(self, event_type: str, data: dict[str, object], is_end: bool) -> bool:  # noqa: FBT001
        if event_type == STAGE_COMPLETED and "failure_code" in data and self.on_failure is not None:
            self.on_failure(data)
        if event_type == STAGE_COMPLETED and not is_end:
            # Its `initiated` did not pass the limit.
            self._emitter.lose("rate_limit")
            return False
        return self.emit(event_type, data, is_exempt=is_end)


def _is_time(seconds: float | None) -> bool:
    return seconds is not None and 0 <= seconds <= LONGEST_SECONDS
