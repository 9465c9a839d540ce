"""A call as the host sees it: stages, turns, the end; and the one anonymous line left of it.

The reporter (`getpatter.calls`) emits the full story to the sinks that are attached; at the end
`call_completed` is derived from it. Measures with a monotonic clock, never does I/O and never
raises into the call.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from getpatter.call_facts import engine_facts, words
from getpatter.calls.call_state import CallState, present
from getpatter.calls.clock import timestamp_us
from getpatter.calls.enums import Delivery
from getpatter.calls.event_types import CALL_STARTED
from getpatter.calls.latencies import ANSWER
from getpatter.calls.leave import NO_REASON, leaving
from getpatter.calls.mistakes import mistake
from getpatter.calls.reporter import ALREADY_LEFT, Reporter
from getpatter.calls.result import OK, Result
from getpatter.calls.stage_timer import Stage
from getpatter.calls.stats.owners import Owners
from getpatter.config import ENGINES, known
from getpatter.telemetry._plain import lower_text, plain_number, plain_text
from getpatter.telemetry.call_metrics import STAGE_LAYERS
from getpatter.telemetry.stack import stack_dimensions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from getpatter.calls.events.emitter import Emitter
    from getpatter.calls.leave import LeaveReason
    from getpatter.calls.switchboard import Switchboard
    from getpatter.telemetry.call_metrics import RecordsEvents

    Side = Literal["local", "remote"]
    StageName = Literal[
        "coordinator_join", "ws_join", "peer_connection", "carrier", "stt", "llm", "tts", "eou"
    ]
    Measured = StageName | Literal["answer"]

__all__ = ["Call", "Stage"]

_SIDES = ("local", "remote")
_MEASURED = (*STAGE_LAYERS, ANSWER)


class Call:
    """An open call. `with patter.call(...) as call:`; or `call.end()` where no block fits.

    However it ends, an exception, a cancelled task, a closed generator and being forgotten
    included, it records exactly one `call_completed`. Every method is safe from any thread.

    Three methods of the room emit what participants and tracks do, and answer a `Result`:
    `event(kind, participant, fields, notify=True)` of the vocabulary, `sample(participant, sample)`
    of a track, and `connection(participant, connection_state=…, fabric_state=…)`. While nobody
    listens each is a look-up and a call.
    """

    def __init__(
        self,
        telemetry: RecordsEvents,
        facts: Mapping[str, object],
        board: Switchboard,
        *,
        session: str | None = None,
        ring_events: int | None = None,
        delivery: Delivery | Literal["IN_PLACE", "BATCH"] = Delivery.IN_PLACE,
        stack: Mapping[str, str] | None = None,
        ends_with: str | None = None,
    ) -> None:
        self._board = board
        self._stack = dict(stack or {})
        self._session = board.hub.session(session, ring_events=ring_events)
        #: Emits stages, attempts and connections by hand: `begin`, `complete`, `join`, `ice`.
        self.reporter = Reporter(board.hub.emitter("call", self._session), delivery=delivery)
        self._room = room = board.room(self._session)
        self._state = CallState(telemetry, dict(facts), self.reporter, self._session, room)
        # Bound here, not called through: with nobody listening that would double what it costs.
        self.sample, self.connection, self.event = room.sample, room.connection, room.event
        if ends_with is not None:
            self.event = Owners(ends_with, room.event, self._state.gone).event
        self._began_us, self._direction = timestamp_us(), facts.get("direction")
        self.reporter.emit(CALL_STARTED, present(words({**facts, **self._stack})))
        board.connect(self)
        # Without `end` nobody ever says how this call ended: a defect, and reported as one.
        finalizer = weakref.finalize(self, self._state.forget)
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
            self._state.end()
        else:
            self._state.end_by(error)

    @property
    def session(self) -> str:
        """The id under which sinks get the events of this call."""
        return self._session.id

    @property
    def id(self) -> str:
        """The id by which callbacks and statistics name this call: that of the session.

        It has a number behind it if another call of that id was there less than three minutes ago.
        """
        return self._room.id

    def on(self, name: str, callback: Callable[..., object]) -> Result:
        """Attach a callback for this call; see `Patter.on`."""
        return self._board.on(name, callback, self._room)

    def set_stats_interval(self, seconds: float) -> Result:
        """Set the time between two stats records of this call, in seconds; 0 is never."""
        return self._room.set_stats_interval(seconds)

    def emitter(self, node: str) -> Emitter:
        """Return an emitter for events of your own in this call; `node` says who emits them."""
        return self._board.hub.emitter(node, self._session)

    @contextmanager
    def activate(self) -> Iterator[Self]:
        """Make the span of this call current in a block: `with call.activate():`.

        That is the span of `OpenTelemetrySink`: what instrumented libraries do in the block belongs
        to it. Without that sink, and after the end, the block is like any other.
        """
        if self.reporter.has_ended:
            yield self
            return
        is_outbound = self._direction == "outbound"
        with self._board.hub.activate(self.session, self._began_us, is_outbound=is_outbound):
            yield self

    def answer(self) -> None:
        """Media begins: records `call_started`, once. A turn or a media stage implies it."""
        self._state.answer()

    def describe(
        self,
        *,
        engine: str | None = None,
        stt: object = None,
        llm: object = None,
        tts: object = None,
    ) -> None:
        """Say what answers this call, where that is known only after it began; until `answer`.

        `engine` is `realtime`, `convai` or `pipeline`, a layer what `Patter.agent` takes. What is
        not given stays as it was.
        """
        name = self._state.engine if engine is None else known(engine, ENGINES)
        if name is None and engine is not None:
            self.refuse("engine", ENGINES, engine, of="describe")
            return
        stack = {**self._stack, **stack_dimensions(stt, tts, llm)}
        facts = engine_facts(name or ("pipeline" if stack else None), stack)
        if self._state.describe(facts, words({**facts, **stack})):
            self._stack = stack
        else:
            self.reporter.refuse()
            self._room.refuse("describe", "describe() must come before answer(). It is ignored.")

    def stage(self, name: StageName, *, add: bool = False) -> Stage:
        """Return a context manager that times one run of a stage.

        An exception that leaves it and ends the call is attributed to it. Of several runs in one
        turn the first that called `first()` counts, or else the first; `add` adds to the runs
        before.
        """
        if plain_text(name) not in STAGE_LAYERS:
            self.refuse("name", STAGE_LAYERS, name, of="stage")
        self._state.begin(name)
        return Stage(self._state, name, is_added=add)

    def observe(self, name: Measured, seconds: float, *, add: bool = False) -> None:
        """Give the current turn a latency that was measured elsewhere, in seconds.

        `answer` is the time from the end of the caller's speech to the first audio of the answer:
        it stands in place of what is derived from `turn` and `tts`. Of several runs of a stage in
        one turn the first counts; `add` adds to the runs before. What is longer than the call so
        far is dropped, and what comes before the first `turn` belongs to none.
        """
        if plain_text(name) not in _MEASURED:
            self.refuse("name", _MEASURED, name, of="observe")
            return
        self._state.begin(name)
        if wrong := self._state.observe(name, seconds, is_added=add):
            self.refuse("seconds", (wrong,), seconds, of="observe")
        elif plain_text(name) != ANSWER:
            stage_id = self.reporter.begin(name)  # type: ignore[arg-type] # no answer, so a stage
            self.reporter.complete(stage_id, elapsed=seconds)

    def turn(self, *, late: bool = False) -> None:
        """A turn begins: the other side has finished speaking; the time to answer runs from here,
        to the first byte of `tts`. `late` says that it is reported afterwards: nothing runs then.
        """
        self._state.blame.release()
        self._state.turn(is_late=bool(late))

    def hangup(self, side: Side) -> None:
        """Set who hung up. Ends nothing by itself; the last value counts."""
        said = lower_text(side)
        if said in _SIDES:
            self._state.hung_up = said
        else:
            self.refuse("side", _SIDES, side, of="hangup")

    def busy(self) -> None:
        """The other side was busy; means something only before `answer`."""
        self._state.unanswered = "busy"

    def no_answer(self) -> None:
        """Nobody answered; means something only before `answer`."""
        self._state.unanswered = "no_answer"

    def error(self, code: str, stage: StageName | None = None) -> None:
        """Set the error that ends this call, if there is no exception; the first one counts."""
        if stage is not None and plain_text(stage) not in STAGE_LAYERS:
            self.refuse("stage", STAGE_LAYERS, stage, of="error")
        self._state.fail(code, stage)

    def cost(self, usd: float) -> None:
        """Set what the call cost, in US dollars."""
        if plain_number(usd) is None:
            self.refuse("usd", ("a number",), usd, of="cost")
        self._state.cost = usd

    def refuse(self, what: str, known: Iterable[str], value: object, *, of: str = "") -> None:
        """Count and report an argument `what` of the method `of` that is not valid: it must be one
        of `known`. The call goes on. For the host object.
        """
        self.reporter.refuse()
        argument = f"{what} of {of}()" if of else what
        self._room.refuse(argument, f"{mistake(argument, tuple(known), value)} It is ignored.")

    def leave(self, reason: LeaveReason | str) -> Result:
        """End the call for a reason, once; a text is a reason of your own and stays local."""
        left = leaving(reason)
        if left is None:
            return Result("unknown_leave_reason", NO_REASON)
        return OK if self._state.end(left=left) else ALREADY_LEFT

    def end(self) -> None:
        """End the call as it stands. What comes after the first end does nothing."""
        self._state.end()
