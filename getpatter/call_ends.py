"""How a call ends: what the host says of it, what its carrier says, and when nobody says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic
from getpatter.calls.event_types import PARTICIPANT_JOINED, PARTICIPANT_LEFT
from getpatter.calls.leave import NO_REASON, leaving
from getpatter.calls.mistakes import mistake
from getpatter.calls.reporter import ALREADY_LEFT
from getpatter.calls.result import OK, Result
from getpatter.calls.stats.owners import STATUS_WEBHOOK
from getpatter.telemetry._plain import lower_text, plain_number, plain_text
from getpatter.telemetry.call_metrics import STAGE_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from getpatter.calls.call_state import CallState
    from getpatter.calls.leave import LeaveReason
    from getpatter.calls.reporter import Reporter
    from getpatter.calls.room import Room
    from getpatter.calls.stats.owners import Owners
    from getpatter.calls.switchboard import Switchboard

    Side = Literal["local", "remote"]
    StageName = Literal[
        "coordinator_join", "ws_join", "peer_connection", "carrier", "stt", "llm", "tts", "eou"
    ]

__all__ = ["ENDS_WITHIN", "CallEnds"]

#: How long a call waits for its other owners once media has left, in seconds.
ENDS_WITHIN = 5.0
# How long a call without owners stays open once its carrier says that it ended: a host may have
# some work left to do in it.
_HOST_SECONDS = 60.0
_SIDES = ("local", "remote")
_UNANSWERED = ("busy", "no_answer")
_OVER = Result("already_ended", "the call has ended")
# Longer than any id of a carrier.
_LONGEST_ID = 200


class CallEnds:
    """The part of a call that is about its end. Every method is safe from any thread."""

    _board: Switchboard
    _room: Room
    _state: CallState
    reporter: Reporter
    _owners: Owners | None = None
    _ends_within = ENDS_WITHIN
    # When the carrier said that a call without owners had ended.
    _carrier_at: float | None = None

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

    def known_as(self, carrier: str, call_id: str) -> Result:
        """Say by which id a carrier knows this call, so that its callbacks find it.

        The id stays in memory, as a hash, and is in no event. A call may have several.
        """
        name, text = lower_text(carrier), plain_text(call_id)
        if not name or not 0 < len(text) <= _LONGEST_ID:
            self.refuse("call_id", ("an id of 1 to 200 characters",), call_id, of="known_as")
            return Result(
                "refused_id", "known_as needs a carrier, and an id of 1 to 200 characters"
            )
        if self.reporter.has_ended:
            return _OVER
        self._board.known.add(self, name, text)
        self._state.names = tuple(dict.fromkeys((*self._state.names, f"{name}:{text}")))
        self._webhook(PARTICIPANT_JOINED)
        return OK

    def carrier_ended(
        self,
        *,
        answered: bool,
        unanswered: str | None = None,
        hung_up: str | None = None,
        error: str | None = None,
        stage: str | None = None,
    ) -> Result:
        """Say what the carrier says of the end; where the host says something, that counts.

        A call that the carrier did not connect (`answered`), and that had no media, ends now.
        Another one ends when its media has left, at the latest after some seconds.
        """
        from getpatter.calls.carrier_end import CarrierEnd  # few programs have callbacks

        if self.reporter.has_ended:
            return _OVER
        said = CarrierEnd(bool(answered), unanswered, hung_up, error, stage)
        is_wrong = (
            (unanswered is not None and unanswered not in _UNANSWERED)
            or (hung_up is not None and hung_up not in _SIDES)
            or (stage is not None and stage not in STAGE_LAYERS)
        )
        if is_wrong:
            self.refuse("an argument", ("one of those listed",), said, of="carrier_ended")
            return Result("refused_end", "carrier_ended: a value is none of those that there are")
        self._state.carrier_end = said.over(self._state.carrier_end)
        is_connected = self._state.is_answered
        if not (answered or is_connected):
            self._state.end()
        elif self._owners is None:
            self._carrier_at = self._carrier_at or monotonic()
            self._board.deadlines.put(self, _HOST_SECONDS)
        elif is_connected:
            self._webhook(PARTICIPANT_LEFT)
        else:
            self._board.deadlines.put(self, self._ends_within)  # media may still be reported
        return OK

    def leave(self, reason: LeaveReason | str) -> Result:
        """End the call for a reason, once; a text is a reason of your own and stays local."""
        left = leaving(reason)
        if left is None:
            return Result("unknown_leave_reason", NO_REASON)
        return OK if self._state.end(left=left) else ALREADY_LEFT

    def end(self) -> None:
        """End the call as it stands. What comes after the first end does nothing."""
        self._state.end()

    def expire(self) -> None:
        """End the call although nobody has reported it. For the host object, at a deadline."""
        if self._owners is not None:
            self._owners.end()
        else:
            self._state.left_at = self._carrier_at
            self._state.end()

    def refuse(self, what: str, known: Iterable[str], value: object, *, of: str = "") -> None:
        """Count and report an argument `what` of the method `of` that is not valid: it must be one
        of `known`. The call goes on. For the host object.
        """
        self.reporter.refuse()
        argument = f"{what} of {of}()" if of else what
        self._room.refuse(argument, f"{mistake(argument, tuple(known), value)} It is ignored.")

    def _set_ends_within(self, seconds: float | None) -> None:
        number = plain_number(seconds)
        if number is not None and number >= 0:
            self._ends_within = float(number)
        elif seconds is not None:
            self.refuse("ends_within", ("a number of seconds, at least 0",), seconds, of="call")

    def _wait(self, *, is_waiting: bool) -> None:
        """Wait for what else is said of the end, but not for ever; or no longer."""
        if is_waiting:
            self._state.left_at = self._state.left_at or monotonic()
            self._board.deadlines.put(self, self._ends_within)
        else:
            self._state.left_at = None
            self._board.deadlines.drop(self)

    def _webhook(self, kind: str) -> None:
        """Say to the owners what callbacks say of the participant that the call ends with."""
        if self._owners is not None:
            self._owners.event(kind, self._owners.participant, {"owner": STATUS_WEBHOOK})
