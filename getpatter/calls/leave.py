"""Leave reasons: the closed union, and what each means for stages and for telemetry. Pure.

The table is the contract's. What a reason says in free text stays local: of it, only the row of the
table and what `ending` makes of it go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from getpatter.calls.enums import FailureCode, Word, known
from getpatter.telemetry.call_metrics import Ending, ending

__all__ = [
    "NO_REASON",
    "Backend",
    "BackendCause",
    "Custom",
    "LeaveReason",
    "Leaving",
    "RetryExhausted",
    "SdkCause",
    "SdkDriven",
    "UserAction",
    "UserCause",
    "leaving",
    "reduce",
]
#: What holds for anything else.
NO_REASON = "not a leave reason: use UserAction, Backend, RetryExhausted, SdkDriven or Custom"


class UserCause(Word, Enum):
    """What the person on this side did."""

    WEARABLE_REJECTED = "WEARABLE_REJECTED"
    CALL_JOIN_ABORT = "CALL_JOIN_ABORT"
    REJECTED_BY_SELF = "REJECTED_BY_SELF"
    LEAVE_FROM_NOTIFICATION = "LEAVE_FROM_NOTIFICATION"
    HANGUP = "HANGUP"


class BackendCause(Word, Enum):
    """What the other side, or what lies between, did."""

    CALL_ENDED_EVENT = "CALL_ENDED_EVENT"
    CALL_ENDED_SFU_EVENT = "CALL_ENDED_SFU_EVENT"
    LEAVE_TIMEOUT_AFTER_DISCONNECT = "LEAVE_TIMEOUT_AFTER_DISCONNECT"


class SdkCause(Word, Enum):
    """What the library decided by itself."""

    RING_TIMEOUT = "RING_TIMEOUT"
    LOCAL_CALL_MISSED_EVENT = "LOCAL_CALL_MISSED_EVENT"
    REJECTED_BY_ALL = "REJECTED_BY_ALL"
    END_CALL = "END_CALL"
    TASK_REMOVED = "TASK_REMOVED"
    CALL_ON_HOLD = "CALL_ON_HOLD"
    CLIENT_CLEANUP = "CLIENT_CLEANUP"
    ACCEPTED_ON_OTHER_DEVICE = "ACCEPTED_ON_OTHER_DEVICE"


@dataclass(frozen=True, slots=True)
class UserAction:
    """The person on this side left."""

    cause: UserCause | str = UserCause.HANGUP


@dataclass(frozen=True, slots=True)
class Backend:
    """The other side, or the service between, ended the call."""

    cause: BackendCause | str


@dataclass(frozen=True, slots=True)
class RetryExhausted:
    """Joining was tried again and again, and failed for good."""

    retry_count: int
    failure_code: FailureCode | str


@dataclass(frozen=True, slots=True)
class SdkDriven:
    """The library left by itself."""

    cause: SdkCause | str


@dataclass(frozen=True, slots=True)
class Custom:
    """A reason of the program's own. Its text stays on this machine."""

    message: str = ""


LeaveReason = UserAction | Backend | RetryExhausted | SdkDriven | Custom

_Row = tuple[FailureCode, str]

# Leave reason → abort code of the stages in flight, `disconnect_reason`.
_CAUSES: dict[Word, _Row] = {
    **dict.fromkeys(UserCause, (FailureCode.CLIENT_ABORTED, "hangup_local")),
    BackendCause.CALL_ENDED_EVENT: (FailureCode.BACKEND_LEAVE, "hangup_remote"),
    BackendCause.CALL_ENDED_SFU_EVENT: (FailureCode.BACKEND_LEAVE, "hangup_remote"),
    BackendCause.LEAVE_TIMEOUT_AFTER_DISCONNECT: (FailureCode.NETWORK_OFFLINE, "timeout"),
    SdkCause.RING_TIMEOUT: (FailureCode.SDK_DRIVEN, "no_answer"),
    SdkCause.LOCAL_CALL_MISSED_EVENT: (FailureCode.SDK_DRIVEN, "no_answer"),
    SdkCause.REJECTED_BY_ALL: (FailureCode.SDK_DRIVEN, "busy"),
    SdkCause.END_CALL: (FailureCode.SDK_DRIVEN, "hangup_local"),
    SdkCause.TASK_REMOVED: (FailureCode.SDK_DRIVEN, "other"),
    SdkCause.CALL_ON_HOLD: (FailureCode.SDK_DRIVEN, "other"),
    SdkCause.CLIENT_CLEANUP: (FailureCode.SDK_DRIVEN, "other"),
    SdkCause.ACCEPTED_ON_OTHER_DEVICE: (FailureCode.SDK_DRIVEN, "other"),
}
_RETRY: _Row = (FailureCode.RETRY_EXHAUSTED, "error")
_CUSTOM: _Row = (FailureCode.CUSTOM, "other")
_KINDS: dict[type, type[Enum]] = {
    UserAction: UserCause,
    Backend: BackendCause,
    SdkDriven: SdkCause,
}
# Of a failure that ended a call for good → the error code of `call_completed`; else the provider's.
_ERROR_CODES = {
    FailureCode.REQUEST_TIMEOUT: "timeout",
    FailureCode.NETWORK_OFFLINE: "connection",
    FailureCode.NETWORK_ERROR: "connection",
    FailureCode.ICE_CONNECTIVITY_FAILED: "connection",
    FailureCode.ICE_GATHERING_FAILED: "connection",
    FailureCode.DTLS_CONNECTIVITY_FAILED: "connection",
}
# What fails when a call is left for one of these is the connection: a stage of the carrier's layer.
_CONNECTION = "peer_connection"


class Leaving(NamedTuple):
    """A leave reason, looked up in the table."""

    reason: Word
    cause: Word | None
    abort_code: FailureCode
    disconnect_reason: str
    error_code: str | None = None
    retry_count: int | None = None
    failure_code: FailureCode | None = None
    message: str | None = None

    def data(self) -> dict[str, object]:
        """Return it as the fields of an event; what is not known is left out."""
        fields = {
            "leave_reason": self.reason,
            "leave_cause": self.cause,
            "abort_code": self.abort_code,
            "retry_count": self.retry_count,
            "failure_code": self.failure_code,
            "message": self.message,
        }
        return {name: value for name, value in fields.items() if value is not None}


def leaving(reason: object) -> Leaving | None:
    """Look a leave reason up; a text is `Custom`. None for what is none. Never raises."""
    if isinstance(reason, str):
        return Leaving(Word("Custom"), None, *_CUSTOM, message=str.__str__(reason))
    if isinstance(reason, Custom):
        text: object = reason.message
        said = str.__str__(text) if isinstance(text, str) else None
        return Leaving(Word("Custom"), None, *_CUSTOM, message=said)
    if isinstance(reason, RetryExhausted):
        return _retries(reason)
    kind = _KINDS.get(type(reason))
    cause = None if kind is None else known(kind, getattr(reason, "cause", None))
    row = None if cause is None else _CAUSES.get(Word(cause.value))
    if cause is None or row is None:
        return None
    code, disconnect = row
    error = "timeout" if disconnect == "timeout" else None
    return Leaving(Word(type(reason).__name__), Word(cause.value), code, disconnect, error)


def _retries(reason: RetryExhausted) -> Leaving | None:
    failure = known(FailureCode, reason.failure_code)
    count: object = reason.retry_count
    if failure is None or not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return None
    error = _ERROR_CODES.get(failure, "provider_error")
    return Leaving(Word("RetryExhausted"), None, *_RETRY, error, count, failure)


def reduce(
    left: Leaving | None,
    *,
    connected: bool,
    error_code: str | None,
    error_stage: str | None,
    hung_up: str | None,
    unanswered: str | None,
) -> tuple[Ending, str | None]:
    """Reduce how a call ended to the three dimensions of `call_completed`, and its error code.

    A terminal error goes before a leave reason, and that before who hung up.
    """
    if left is None or error_code is not None:
        end = ending(
            connected=connected,
            error_code=error_code,
            error_stage=error_stage,
            hung_up=hung_up,
            unanswered=unanswered,
        )
        return end, error_code
    disconnect = left.disconnect_reason
    if left.error_code is not None:
        end = ending(connected=connected, error_code=left.error_code, error_stage=_CONNECTION)
    elif disconnect in ("no_answer", "busy"):
        end = ending(connected=connected, unanswered=disconnect)
    else:
        side = "remote" if disconnect == "hangup_remote" else "local"
        end = ending(connected=connected, hung_up=side)
    # The table knows better than what follows from the rest.
    return Ending(end.outcome, end.error_layer, disconnect), left.error_code
