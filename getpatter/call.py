"""A call as the host sees it: stages, turns, the end; and the one anonymous line left of it.

The reporter (`getpatter.calls`) tells the full story to whoever attached a sink; at the end
`call_completed` is derived from it. Measures with a monotonic clock, never does I/O and never
raises into the call.
"""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic
from getpatter.calls.enums import Delivery, FailureCode, Word
from getpatter.calls.error_codes import ERROR_CODES, Blame, failure_code
from getpatter.calls.events.hub import NULL_HUB
from getpatter.calls.latencies import Measures
from getpatter.calls.leave import NO_REASON, Leaving, leaving, reduce
from getpatter.calls.reporter import Reporter
from getpatter.calls.result import OK, Result
from getpatter.calls.room import NULL_ROOM
from getpatter.calls.stats.owners import Owners
from getpatter.telemetry._interrupt import is_ctrl_c
from getpatter.telemetry._plain import lower_text, plain_number, plain_text
from getpatter.telemetry.call_metrics import STAGE_LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from getpatter.calls.events.emitter import Emitter, NullEmitter
    from getpatter.calls.events.hub import Hub, NullHub
    from getpatter.calls.events.session import Session
    from getpatter.calls.leave import LeaveReason
    from getpatter.calls.room import NullRoom, Room
    from getpatter.calls.switchboard import Switchboard
    from getpatter.telemetry.call_metrics import RecordsEvents

    Side = Literal["local", "remote"]
    StageName = Literal[
        "coordinator_join", "ws_join", "peer_connection", "carrier", "stt", "llm", "tts", "eou"
    ]

__all__ = ["Call", "Stage"]

# A stage that works on media can only run in a call that has any.
_MEDIA_STAGES = frozenset({"stt", "llm", "tts", "eou"})
_SIDES = ("local", "remote")
# Who hung up → what the stages in flight fail with, where no leave reason says it.
_ABORTS = {"local": FailureCode.CLIENT_ABORTED, "remote": FailureCode.BACKEND_LEAVE}
_LEFT = Result("already_left", "leave: the call has ended; it is left once")


class Stage:
    """One run of a stage: `with call.stage("llm") as stage`. Its latency ends with `first()`."""

    __slots__ = ("_call", "_elapsed", "_id", "_name", "_number", "_since")

    def __init__(self, call: Call, name: str) -> None:
        self._call = call
        self._name = name
        self._id = ""
        self._since = 0.0
        self._number = 0
        self._elapsed: float | None = None

    def __enter__(self) -> Self:
        self._number = self._call._blame.begin()  # noqa: SLF001 - one subject, two classes
        self._since = monotonic()
        self._id = self._call.reporter.begin(self._name)  # type: ignore[arg-type] # answers ""
        return self

    def first(self) -> None:
        """The first token or byte is there: that is the latency of a stage that streams."""
        self._call.reporter.first(self._id)
        self._measure()

    def retry(self) -> None:
        """The stage is tried again; the retries are told with its one end."""
        self._call.reporter.retry(self._id)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._measure()
            self._call.reporter.complete(self._id)
            return
        # Whether it ends the call is known only then.
        self._call._blame.mark(error, self._name, self._number)  # noqa: SLF001 - as above
        self._call.reporter.complete(self._id, failure_code(error), reason=_text(error))

    def _measure(self) -> None:
        if self._elapsed is None:
            self._elapsed = monotonic() - self._since
            self._call._record.observe(self._name, self._elapsed)  # noqa: SLF001 - as above


class Call:
    """A call under way. `with patter.call(...) as call:`; or `call.end()` where no block fits.

    However it ends, an exception, a cancelled task, a closed generator and being forgotten
    included, it records exactly one `call_completed`. Every method is safe from any thread.

    Participants and tracks are told with three methods of the room, which answer a `Result`:
    `event(kind, participant, fields, notify=True)` of the vocabulary, `sample(participant, sample)`
    of a track, and `connection(participant, connection_state=…, fabric_state=…)`. While nobody
    listens each is a look-up and a call.
    """

    def __init__(
        self,
        telemetry: RecordsEvents,
        facts: Mapping[str, object],
        *,
        hub: Hub | NullHub = NULL_HUB,
        session: str | None = None,
        ring_events: int | None = None,
        delivery: Delivery | Literal["IN_PLACE", "BATCH"] = Delivery.IN_PLACE,
        details: Mapping[str, object] | None = None,
        board: Switchboard | None = None,
        ends_with: str | None = None,
    ) -> None:
        self._blame = Blame()
        self._hub = hub
        self._session = hub.session(session, ring_events=ring_events)
        #: Tells stages, attempts and connections by hand: `begin`, `complete`, `join`, `ice`.
        self.reporter = Reporter(hub.emitter("call", self._session), delivery=delivery)
        self._board = board
        self._room = NULL_ROOM if board is None else board.room(self._session)
        self._record = _Record(telemetry, dict(facts), self.reporter, self._session, self._room)
        self._owners: Owners | None = None
        if ends_with is not None:
            self._owners = Owners(ends_with, NULL_ROOM.event, self._record.gone)
        self._take_methods(NULL_ROOM)
        self.reporter.tell("call.started", _present(details or {}))
        if board is not None:
            self.reporter.on_failure = partial(_tell_failure, board, self._room)
            board.connect(self)
        # Without `end` nobody ever says how this call ended: a defect, told as one.
        finalizer = weakref.finalize(self, self._record.forget)
        finalizer.atexit = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._record.end()
            return
        # Exceptions hold what the host's functions had: not beyond the end.
        blame, self._blame = self._blame, Blame()
        fault = blame.fault(error)
        if fault is None:
            # A cancelled task, a closed generator, Ctrl-C, `sys.exit`: this side ends it.
            self._record.end(hung_up="local")
            return
        # Outside of any stage, which is somebody else's service, it is the program's own.
        code = fault.code or ("internal" if fault.stage is None else "provider_error")
        self._record.end(error=(code, fault.stage), abort=fault.failure_code)

    def _take_methods(self, room: Room | NullRoom) -> None:
        # Taken over, not called through: with nobody listening that would double what it costs.
        self.event = room.event
        if self._owners is not None:
            self._owners.tell = room.event
            self.event = self._owners.event
        self.sample = room.sample
        self.connection = room.connection

    def enter(self) -> None:
        """Somebody listens: from now on, what is told of participants is. The host calls this."""
        self._take_methods(self._room)

    @property
    def session(self) -> str:
        """The id under which the events of this call are told to sinks."""
        return self._session.id

    @property
    def id(self) -> str:
        """The id by which callbacks and statistics name this call: that of the session.

        It has a number behind it if another call of that id was there less than three minutes ago.
        """
        return self._room.id or self._session.id

    def on(self, name: str, callback: Callable[..., object]) -> Result:
        """Attach a callback for this call; see `Patter.on`."""
        if self._board is None:
            return Result("off", "on: this call belongs to no host object")
        return self._board.on(name, callback, self._room)

    def set_stats_interval(self, seconds: float) -> Result:
        """Set the time between two stats records of this call, in seconds; 0 is never."""
        return self._room.set_stats_interval(seconds)

    def emitter(self, node: str) -> Emitter | NullEmitter:
        """Return an emitter for events of your own in this call; `node` says who tells them."""
        return self._hub.emitter(node, self._session)

    def answer(self) -> None:
        """Media begins: records `call_started`, once. A turn or a media stage implies it."""
        self._record.answer()

    def stage(self, name: StageName) -> Stage:
        """Return a context manager that times one run of a stage.

        An exception that leaves it and ends the call is attributed to it. Several runs of a stage
        in one turn add up to that turn's latency.
        """
        if plain_text(name) not in STAGE_LAYERS:
            self.refuse("stage", STAGE_LAYERS, name)
        self._record.begin(name)
        return Stage(self, name)

    def observe(self, name: StageName, seconds: float) -> None:
        """Add a latency that was measured elsewhere, in seconds, to the current turn."""
        if plain_text(name) not in STAGE_LAYERS:
            self.refuse("stage", STAGE_LAYERS, name)
            return
        self._record.begin(name)
        if self._record.observe(name, seconds):
            self.reporter.complete(self.reporter.begin(name), elapsed=seconds)
        else:
            self.refuse("seconds", ("a number from 0 to 604,800",), seconds)

    def turn(self) -> None:
        """A turn begins: the other side has finished speaking; the time to answer runs from here,
        to the first byte of `tts`.
        """
        self._blame.release()
        self._record.turn()

    def hangup(self, side: Side) -> None:
        """Say who hung up. Ends nothing by itself; the last one said counts."""
        said = lower_text(side)
        if said in _SIDES:
            self._record.hung_up = said
        else:
            self.refuse("side", _SIDES, side)

    def busy(self) -> None:
        """The other side was busy; means something only before `answer`."""
        self._record.unanswered = "busy"

    def no_answer(self) -> None:
        """Nobody answered; means something only before `answer`."""
        self._record.unanswered = "no_answer"

    def error(self, code: str, stage: StageName | None = None) -> None:
        """Say that an error without an exception ends this call; the first one said counts."""
        if stage is not None and plain_text(stage) not in STAGE_LAYERS:
            self.refuse("stage", STAGE_LAYERS, stage)
        self._record.fail(code, stage)

    def cost(self, usd: float) -> None:
        """Set what the call cost, in US dollars."""
        if plain_number(usd) is None:
            self.refuse("usd", ("a number",), usd)
        self._record.cost = usd

    def refuse(self, what: str, known: Iterable[str], value: object) -> None:
        """Count and report a value that is not valid. The value itself is not shown: a phone number
        in the wrong place must not get into a log. For the host object. The call goes on.
        """
        self.reporter.refuse()
        if self._board is not None:
            kind = "" if isinstance(value, str) else f", not {type(value).__name__:.60}"
            message = f"{what} must be {', '.join(known)}{kind}"
            self._board.refused(self._room, what, message)

    def leave(self, reason: LeaveReason | str) -> Result:
        """End the call for a reason, once; a text is a reason of your own and stays local."""
        left = leaving(reason)
        if left is None:
            return Result("unknown_leave_reason", NO_REASON)
        return OK if self._record.end(left=left) else _LEFT

    def end(self) -> None:
        """End the call as it stands. What comes after the first end does nothing."""
        self._record.end()


class _Record:
    """The numbers of one call. Outlives the `Call`, so that a forgotten one still ends."""

    def __init__(
        self,
        telemetry: RecordsEvents,
        facts: dict[str, object],
        reporter: Reporter,
        session: Session,
        room: Room | NullRoom,
    ) -> None:
        self.hung_up: str | None = None
        self.unanswered: str | None = None
        self.cost: float | None = None
        self._process = os.getpid()
        self._telemetry = telemetry
        self._facts = facts
        self._reporter = reporter
        self._session = session
        self._room = room
        self._measures = Measures()
        self._error: tuple[str, str | None] | None = None
        self._answered_at: float | None = None
        # Taken once, without waiting, by whoever comes first.
        self._start = threading.Lock()

    def answer(self) -> None:
        if self._answered_at is None and self._start.acquire(blocking=False):
            self._answered_at = monotonic()
            self._telemetry.record("call_started", **self._facts)
            self._reporter.tell("call.answered", {})

    def turn(self) -> None:
        self.answer()
        self._measures.turn(monotonic())
        self._reporter.turn_id = str(self._measures.turns)
        self._reporter.tell("call.turn", {"turn": self._measures.turns})

    def begin(self, stage: object) -> None:
        if isinstance(stage, str) and stage in _MEDIA_STAGES:
            self.answer()

    def observe(self, stage: object, seconds: object) -> bool:
        return self._measures.observe(stage, seconds, monotonic())

    def fail(self, code: str, stage: str | None) -> None:
        if self._error is None:
            self._error = (code, stage)

    def gone(self, kind: str) -> None:
        """End the call because the participant that it ends with has: however that was.

        One that never was connected says that the connection failed, unless the host knows better.
        """
        is_known = self.hung_up or self.unanswered or self._error
        if kind == "connection_aborted" and not is_known:
            self.end(error=("connection", "peer_connection"), abort=FailureCode.NETWORK_ERROR)
        else:
            self.end()

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
        side = self.hung_up or hung_up
        said, stage = self._error or error
        # What the host knows of the end goes before what its connections tell.
        is_said = said is not None or left is not None or side or self.unanswered
        if not is_said and self._reporter.has_failed_connection:
            said, stage = "connection", "peer_connection"
            abort = FailureCode.ICE_CONNECTIVITY_FAILED
        code = abort or (_ABORTS.get(side or "local", FailureCode.CLIENT_ABORTED))
        if not self._reporter.end(code if left is None else left.abort_code, left):
            return False
        end, said = reduce(
            left,
            connected=self._answered_at is not None,
            error_code=said,
            error_stage=stage,
            hung_up=side,
            unanswered=self.unanswered,
        )
        measured = self._measures.dimensions()
        seconds = 0.0 if self._answered_at is None else monotonic() - self._answered_at
        known = {name: Word(value) for name, value in end.dimensions().items()}
        own = {
            "error_code": _code(said),
            "turns": self._measures.turns,
            "cost_usd": plain_number(self.cost),
        }
        facts = _present({**known, **own, "duration_ms": round(seconds * 1_000, 3)})
        self._session.end()
        self._room.finish(partial(_close, self._reporter, facts, self._session))
        self._telemetry.record(
            "call_completed",
            **self._facts,
            **end.dimensions(),
            error_code=said,
            duration_seconds=round(seconds),
            cost_usd=self.cost,
            **measured,
        )
        return True


def _close(reporter: Reporter, facts: dict[str, object], session: Session) -> None:
    """Tell the end of a call as the last of it."""
    reporter.close(facts)
    session.close()


def _tell_failure(board: Switchboard, room: Room | NullRoom, data: Mapping[str, object]) -> None:
    stage = data.get("stage")
    # By its characters: a member of an enumeration is found by its name.
    name = str.__str__(stage) if isinstance(stage, str) else ""
    layer = STAGE_LAYERS.get(name, "other")
    board.stage_failed(room, data, layer)


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _code(said: object) -> str | None:
    """Return an error code as diagnostics tell it: one that is known is no free text."""
    if not isinstance(said, str):
        return None
    code = str.__str__(said)
    return Word(code) if code in ERROR_CODES else code


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException as failure:  # an error of the host's may fail to say itself
        if is_ctrl_c(failure):
            raise
        return type(error).__name__
