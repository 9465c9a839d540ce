"""The table of leave reasons, row by row, and what is left of a reason in `call_completed`."""

from __future__ import annotations

from typing import Any

import pytest
from lone_call import lone_call

from getpatter.calls import (
    Backend,
    BackendCause,
    Custom,
    FailureCode,
    RetryExhausted,
    SdkCause,
    SdkDriven,
    UserAction,
    UserCause,
)
from getpatter.calls.leave import leaving

# The contract's table: leave reason, abort code, disconnect_reason.
TABLE: list[tuple[Any, str, str]] = [
    *((UserAction(cause), "CLIENT_ABORTED", "hangup_local") for cause in UserCause),
    (Backend(BackendCause.CALL_ENDED_EVENT), "BACKEND_LEAVE", "hangup_remote"),
    (Backend("CALL_ENDED_SFU_EVENT"), "BACKEND_LEAVE", "hangup_remote"),
    (Backend("LEAVE_TIMEOUT_AFTER_DISCONNECT"), "NETWORK_OFFLINE", "timeout"),
    (RetryExhausted(3, FailureCode.SFU_ERROR), "RETRY_EXHAUSTED", "error"),
    (RetryExhausted(0, "REQUEST_TIMEOUT"), "RETRY_EXHAUSTED", "error"),
    (SdkDriven(SdkCause.RING_TIMEOUT), "SDK_DRIVEN", "no_answer"),
    (SdkDriven("LOCAL_CALL_MISSED_EVENT"), "SDK_DRIVEN", "no_answer"),
    (SdkDriven("REJECTED_BY_ALL"), "SDK_DRIVEN", "busy"),
    (SdkDriven("END_CALL"), "SDK_DRIVEN", "hangup_local"),
    *(
        (SdkDriven(cause), "SDK_DRIVEN", "other")
        for cause in (
            *("TASK_REMOVED", "CALL_ON_HOLD", "CLIENT_CLEANUP", "ACCEPTED_ON_OTHER_DEVICE"),
        )
    ),
    (Custom("the cat walked over the keyboard"), "CUSTOM", "other"),
    ("the same as a text", "CUSTOM", "other"),
]


class Recorder:
    def __init__(self) -> None:
        self.completed: list[dict[str, Any]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        if name == "call_completed":
            self.completed.append(dimensions)


def test_the_table_has_every_cause() -> None:
    causes = {getattr(reason, "cause", None) for reason, _, _ in TABLE}
    assert {*UserCause, *BackendCause, *SdkCause} <= causes


@pytest.mark.parametrize("is_answered", [True, False])
@pytest.mark.parametrize(("reason", "abort_code", "disconnect"), TABLE, ids=str)
def test_a_row_of_the_table(
    reason: Any, abort_code: str, disconnect: str, is_answered: bool
) -> None:
    left = leaving(reason)
    assert left is not None
    assert (left.abort_code.value, left.disconnect_reason) == (abort_code, disconnect)
    recorder = Recorder()
    call = lone_call(recorder, {})
    if is_answered:
        call.answer()
    assert call.leave(reason)
    (completed,) = recorder.completed
    assert completed["disconnect_reason"] == disconnect


@pytest.mark.parametrize(
    ("reason", "is_answered", "ending"),
    [
        (UserAction(), True, ("completed", "none", None)),
        (UserAction(), False, ("failed", "none", None)),
        (Backend("CALL_ENDED_EVENT"), True, ("completed", "none", None)),
        (Backend("LEAVE_TIMEOUT_AFTER_DISCONNECT"), True, ("error", "carrier", "timeout")),
        (Backend("LEAVE_TIMEOUT_AFTER_DISCONNECT"), False, ("failed", "carrier", "timeout")),
        (RetryExhausted(2, "REQUEST_TIMEOUT"), False, ("failed", "carrier", "timeout")),
        (RetryExhausted(2, "NETWORK_ERROR"), True, ("error", "carrier", "connection")),
        (RetryExhausted(2, "SERVER_ERROR"), True, ("error", "carrier", "provider_error")),
        (SdkDriven("RING_TIMEOUT"), False, ("no_answer", "none", None)),
        (SdkDriven("REJECTED_BY_ALL"), False, ("busy", "none", None)),
        (SdkDriven("REJECTED_BY_ALL"), True, ("completed", "none", None)),
        (Custom("x"), True, ("completed", "none", None)),
    ],
    ids=str,
)
def test_outcome_layer_and_code_follow_the_wire(
    reason: Any, is_answered: bool, ending: tuple[str, str, str | None]
) -> None:
    recorder = Recorder()
    call = lone_call(recorder, {})
    if is_answered:
        call.answer()
    call.leave(reason)
    (completed,) = recorder.completed
    assert (completed["outcome"], completed["error_layer"], completed["error_code"]) == ending


def test_a_terminal_error_goes_before_the_reason() -> None:
    recorder = Recorder()
    call = lone_call(recorder, {})
    call.answer()
    call.error("rate_limit", "llm")
    call.leave(UserAction())
    (completed,) = recorder.completed
    assert (completed["outcome"], completed["error_layer"]) == ("error", "llm")
    assert completed["disconnect_reason"] == "error"


@pytest.mark.parametrize(
    "reason",
    [
        None,
        7,
        [],
        UserAction("NO_SUCH_CAUSE"),
        Backend("HANGUP"),
        SdkDriven("HANGUP"),
        RetryExhausted(-1, "SFU_ERROR"),
        RetryExhausted(1, "NO_SUCH_CODE"),
        RetryExhausted(True, "SFU_ERROR"),
        ...,
    ],
    ids=repr,
)
def test_what_is_no_leave_reason_is_answered_and_ends_nothing(reason: Any) -> None:
    recorder = Recorder()
    call = lone_call(recorder, {})
    answer = call.leave(reason)
    assert not answer
    assert answer.status == "unknown_leave_reason"
    assert "leave" in answer.message
    assert recorder.completed == []
    call.end()
    assert len(recorder.completed) == 1


def test_leaving_twice_is_answered() -> None:
    recorder = Recorder()
    call = lone_call(recorder, {})
    assert call.leave("enough")
    answer = call.leave(UserAction())
    assert (bool(answer), answer.status) == (False, "already_left")
    assert "leave" in answer.message
    assert len(recorder.completed) == 1
    assert "enough" not in str(recorder.completed)
