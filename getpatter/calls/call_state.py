"""The state of one call: whether it was answered, what is known of its end, and its one end.

Outlives the call object, so that a call that nobody refers to any more still ends.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic
from getpatter.calls.enums import FailureCode, Word
from getpatter.calls.error_codes import ERROR_CODES, Blame
from getpatter.calls.event_types import (
    CALL_ANSWERED,
    CALL_DESCRIBED,
    CALL_TURN,
    CALL_TURN_ANSWERED,
    CONNECTION_ABORTED,
)
from getpatter.calls.latencies import ANSWER, Latencies
from getpatter.calls.leave import reduce
from getpatter.telemetry._once import OnceUid
from getpatter.telemetry._plain import plain_number, plain_text
from getpatter.telemetry.call_metrics import STAGE_LAYERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.calls.carrier_end import CarrierEnd
    from getpatter.calls.events.session import Session
    from getpatter.calls.leave import Leaving
    from getpatter.calls.reporter import Reporter
    from getpatter.calls.room import Room
    from getpatter.telemetry.call_metrics import RecordsEvents

__all__ = ["CallState", "present"]

# A stage that works on media can only run in a call that has any.
_MEDIA_STAGES = frozenset({"stt", "llm", "tts", "eou", ANSWER})
# Who hung up → what the stages in flight fail with, where no leave reason says it.
_ABORTS = {"local": FailureCode.CLIENT_ABORTED, "remote": FailureCode.BACKEND_LEAVE}


class CallState:
    """What is known of one call. `facts` are the dimensions that both its telemetry events have."""

    def __init__(
        self,
        telemetry: RecordsEvents,
        facts: dict[str, object],
        reporter: Reporter,
        session: Session,
        room: Room,
    ) -> None:
        self.blame = Blame()
        self.reporter = reporter
        self.hung_up: str | None = None
        self.unanswered: str | None = None
        self.cost: float | None = None
        #: What the carrier says of the end; counts where the host says nothing.
        self.carrier_end: CarrierEnd | None = None
        #: By which ids a carrier knows this call.
        self.names: tuple[str, ...] = ()
        #: When media left, where the end is known only later.
        self.left_at: float | None = None
        self._process = os.getpid()
        self._telemetry = telemetry
        self._facts = facts
        self._session = session
        self._room = room
        self._latencies = Latencies(monotonic())
        self._error: tuple[str, str | None] | None = None
        self._answered_at: float | None = None
        # Taken once, without waiting, by the first caller.
        self._start = threading.Lock()
        reporter.on_failure = partial(_stage_failed, room)

    def answer(self) -> None:
        """Media begins: record `call_started`, once."""
        if self._answered_at is None and self._start.acquire(blocking=False):
            self._answered_at = monotonic()
            self._telemetry.record("call_started", **self._facts)
            self.reporter.emit(CALL_ANSWERED, {})

    @property
    def engine(self) -> object:
        """The engine of this call, None if none is known."""
        return self._facts.get("engine")

    def describe(self, facts: Mapping[str, object], details: Mapping[str, object]) -> bool:
        """Replace facts of the call; return False after `call_started` has used them."""
        if self._answered_at is not None or self.reporter.has_ended:
            return False
        self._facts = {**self._facts, **facts}
        self.reporter.emit(CALL_DESCRIBED, present(details))
        return True

    def turn(self, *, is_late: bool = False) -> None:
        """A turn begins, or is reported now that it is over."""
        self.answer()
        self._latencies.turn(monotonic(), is_late=is_late)
        self.reporter.turn_id = str(self._latencies.turns)
        late = {"late": True} if is_late else {}
        self.reporter.emit(CALL_TURN, {"turn": self._latencies.turns, **late})

    def begin(self, stage: object) -> None:
        """A stage begins: one that works on media answers the call."""
        if isinstance(stage, str) and stage in _MEDIA_STAGES:
            self.answer()

    def observe(
        self, stage: object, seconds: object, *, is_spoken: bool = True, is_added: bool = False
    ) -> str:
        """Take a latency of the current turn; return what it must be if it is none."""
        latencies = self._latencies
        is_answer = plain_text(stage) == ANSWER and latencies.turns and not latencies.has_answer
        wrong = latencies.observe(
            stage, seconds, monotonic(), is_spoken=is_spoken, is_added=is_added
        )
        number = plain_number(seconds)
        if is_answer and not wrong and number is not None:
            ms = round(number * 1_000, 3)
            self.reporter.emit(CALL_TURN_ANSWERED, {"turn": latencies.turns, "latency_ms": ms})
        return wrong

    def fail(self, code: str, stage: str | None) -> None:
        """An error ends this call; the first one counts."""
        if self._error is None:
            self._error = (code, stage)

    def gone(self, kind: str) -> None:
        """End the call because the participant that it ends with has: however that was.

        One that never was connected says that the connection failed, unless the host knows better.
        """
        is_known = self.hung_up or self.unanswered or self._error or self.carrier_end
        if kind == CONNECTION_ABORTED and not is_known:
            self.end(error=("connection", "peer_connection"), abort=FailureCode.NETWORK_ERROR)
        else:
            self.end()

    def end_by(self, error: BaseException) -> None:
        """End the call because of an exception that left its block."""
        # Exceptions hold what the host's functions had: not beyond the end.
        blame, self.blame = self.blame, Blame()
        fault = blame.fault(error)
        if fault is None:
            # A cancelled task, a closed generator, Ctrl-C, `sys.exit`: this side ends it.
            self.end(hung_up="local")
            return
        # Outside of any stage, which is somebody else's service, it is the program's own.
        code = fault.code or ("internal" if fault.stage is None else "provider_error")
        self.end(error=(code, fault.stage), abort=fault.failure_code)

    def forget(self) -> None:
        """End a call that nobody refers to any more."""
        self.end(error=("internal", None), abort=FailureCode.SDK_DRIVEN)

    def end(
        self,
        *,
        error: tuple[str | None, str | None] = (None, None),
        hung_up: str | None = None,
        abort: FailureCode | None = None,
        left: Leaving | None = None,
    ) -> bool:
        """End the call; return whether this was its end, which is so once."""
        # A call belongs to the process that began it: a `fork` child has only a copy.
        if os.getpid() != self._process:
            return False
        connected = self._answered_at is not None
        side, unanswered = self.hung_up or hung_up, self.unanswered
        said, stage = self._error or error
        carrier = self.carrier_end
        if carrier and said is None and not (left or self.hung_up or unanswered):
            said, stage = carrier.error_of(connected=connected)
            side, unanswered = carrier.hung_up or side, carrier.unanswered
        # What the host knows of the end goes before the states of its connections.
        is_said = said is not None or left is not None or side or unanswered
        if not is_said and self.reporter.has_failed_connection:
            said, stage = "connection", "peer_connection"
            abort = FailureCode.ICE_CONNECTIVITY_FAILED
        code = abort or (_ABORTS.get(side or "local", FailureCode.CLIENT_ABORTED))
        if not self.reporter.end(code if left is None else left.abort_code, left):
            return False
        # From here on nobody can answer it any more.
        self._start.acquire(blocking=False)
        end, said = reduce(
            left,
            connected=connected,
            error_code=said,
            error_stage=stage,
            hung_up=side,
            unanswered=unanswered,
        )
        measured = self._latencies.dimensions()
        ended_at = monotonic() if self.left_at is None else self.left_at
        seconds = 0.0 if self._answered_at is None else max(0.0, ended_at - self._answered_at)
        known = {name: Word(value) for name, value in end.dimensions().items()}
        own = {
            "error_code": _code(said),
            "turns": self._latencies.turns,
            "cost_usd": plain_number(self.cost),
        }
        facts = present({**known, **own, "duration_ms": round(seconds * 1_000, 3)})
        self._session.end()
        self._room.finish(partial(_close, self.reporter, facts, self._session))
        self._telemetry.record(
            "call_completed",
            **self._reported(),
            **end.dimensions(),
            error_code=said,
            duration_seconds=round(seconds),
            cost_usd=self.cost,
            **measured,
        )
        return True

    @property
    def is_answered(self) -> bool:
        """Whether media was here."""
        return self._answered_at is not None

    def _reported(self) -> dict[str, object]:
        """Return the facts; of a call that nobody answered, so that one process reports it.

        Its carrier may say so to each of them. A call with media is reported by who had that.
        """
        uid = self._facts.get("call_uid")
        if not self.names or self.is_answered or not isinstance(uid, str):
            return self._facts
        return {**self._facts, "call_uid": OnceUid(uid, self.names)}


def present(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that are known."""
    return {name: value for name, value in fields.items() if value is not None}


def _close(reporter: Reporter, facts: dict[str, object], session: Session) -> None:
    """Emit the end of a call as the last of it."""
    reporter.close(facts)
    session.close()


def _stage_failed(room: Room, data: Mapping[str, object]) -> None:
    stage, code, reason = (_characters(data.get(n)) for n in ("stage", "failure_code", "reason"))
    why = f": {reason}" if reason else ""
    room.error(code, STAGE_LAYERS.get(stage, "other"), f"stage {stage} failed{why}")


def _characters(value: object) -> str:
    # The characters alone: a word of a table would name its member.
    return str.__str__(value) if isinstance(value, str) else ""


def _code(said: object) -> str | None:
    """Return an error code as diagnostics emit it: one that is known is no free text."""
    if not isinstance(said, str):
        return None
    code = str.__str__(said)
    return Word(code) if code in ERROR_CODES else code
