"""The state machine of stages, step by step; what always holds is in `property/`."""

from __future__ import annotations

from typing import Any

import pytest

from getpatter.calls.enums import FailureCode, IceState, JoinReason, Role, StageName, Word
from getpatter.calls.event_types import STAGE_COMPLETED, STAGE_INITIATED
from getpatter.calls.stages import StageFailure, Stages

Event = tuple[str, dict[Any, Any]]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def stages(events: list[Event]) -> Stages:
    def say(event_type: str, data: dict[str, object], _: bool) -> bool:
        events.append((event_type, data))
        return True

    return Stages(say, Word("first"))


def ice(stages: Stages, role: Role, *states: IceState | None) -> None:
    for number, state in enumerate(states):
        stages.ice(role, state, float(number), 1_000 + number, Word(f"{role.value}-{number}"))


def summary(events: list[Event]) -> list[tuple[str, Any]]:
    return [
        (kind.removeprefix("stage."), data.get("failure_code", data.get("outcome", "")))
        for kind, data in events
    ]


def test_a_stage_says_how_long_it_took_by_the_monotonic_clock(
    stages: Stages, events: list[Event]
) -> None:
    stages.begin(StageName.WS_JOIN, Word("s"), 10.0, {})
    stages.complete("s", 10.25)
    assert [kind for kind, _ in events] == [STAGE_INITIATED, STAGE_COMPLETED]
    assert events[1][1]["elapsed_ms"] == 250.0
    assert events[1][1]["outcome"] == "success"
    assert "failure_code" not in events[1][1]


def test_a_failure_says_why(stages: Stages, events: list[Event]) -> None:
    stages.begin(StageName.WS_JOIN, Word("s"), 0.0, {})
    stages.complete("s", 1.0, StageFailure(FailureCode.SFU_ERROR, "503", 42))
    said = events[1][1]
    assert (said["failure_code"], said["reason"], said["previously_connected_at"]) == (
        *("SFU_ERROR", "503", 42),
    )


def test_retries_in_a_stage_fold_into_one_pair(stages: Stages, events: list[Event]) -> None:
    stages.begin(StageName.COORDINATOR_JOIN, Word("s"), 0.0, {})
    assert stages.retry("s")
    assert stages.retry("s")
    stages.complete("s", 3.0)
    assert summary(events) == [("initiated", ""), ("completed", "success")]
    assert events[1][1]["retry_count"] == 2  # three attempts, less one
    assert not stages.retry("s")


def test_a_stage_keeps_the_attempt_it_began_in(stages: Stages, events: list[Event]) -> None:
    stages.begin(StageName.WS_JOIN, Word("old"), 0.0, {})
    stages.join(JoinReason.FIRST_ATTEMPT, Word("unused"))
    stages.join(JoinReason.MIGRATION, Word("second"))
    stages.begin(StageName.WS_JOIN, Word("new"), 0.0, {})
    stages.complete("old", 1.0)
    stages.complete("new", 1.0)
    told = [(d["stage_id"], d["attempt_id"], d["join_reason"]) for _, d in events]
    assert told == [
        ("old", "first", "first_attempt"),
        ("new", "second", "migration"),
        ("old", "first", "first_attempt"),
        ("new", "second", "migration"),
    ]


def test_a_connection_is_driven_by_its_ice_states(stages: Stages, events: list[Event]) -> None:
    ice(stages, Role.PUBLISHER, IceState.CHECKING, None, IceState.CONNECTED, IceState.COMPLETED)
    assert summary(events) == [("initiated", ""), ("completed", "success")]
    assert events[0][1]["was_previously_connected"] is False


def test_a_restart_supersedes_the_stage_that_is_open(stages: Stages, events: list[Event]) -> None:
    ice(stages, Role.PUBLISHER, IceState.CHECKING, IceState.CHECKING, IceState.CONNECTED)
    assert summary(events) == [
        ("initiated", ""),
        ("completed", "ICE_CONNECTIVITY_FAILED"),
        ("initiated", ""),
        ("completed", "success"),
    ]


def test_whether_it_was_connected_before_is_known_per_role(
    stages: Stages, events: list[Event]
) -> None:
    ice(stages, Role.PUBLISHER, IceState.CHECKING, IceState.CONNECTED)
    ice(stages, Role.SUBSCRIBER, IceState.CHECKING)
    stages.ice(Role.PUBLISHER, IceState.CHECKING, 9.0, 9, Word("again"))
    stages.ice(Role.PUBLISHER, IceState.FAILED, 9.5, 9, Word("unused"))
    begun = [(d["role"], d["was_previously_connected"]) for k, d in events if k == STAGE_INITIATED]
    assert begun == [("publisher", False), ("subscriber", False), ("publisher", True)]
    failed = events[-1][1]
    assert failed["failure_code"] == "ICE_CONNECTIVITY_FAILED"
    assert failed["previously_connected_at"] == 1_001


@pytest.mark.parametrize("state", [None, IceState.FAILED, IceState.CONNECTED])
def test_a_state_without_a_stage_tells_nothing(
    stages: Stages, events: list[Event], state: IceState | None
) -> None:
    ice(stages, Role.SUBSCRIBER, state)
    assert events == []


def test_abort_completes_what_is_in_flight_and_only_that(
    stages: Stages, events: list[Event]
) -> None:
    for name in ("done", "one", "two"):
        stages.begin(StageName.LLM, Word(name), 0.0, {})
    stages.complete("done", 1.0)
    assert stages.end(FailureCode.BACKEND_LEAVE, 2.0) == 2
    assert summary(events)[4:] == [("completed", "BACKEND_LEAVE")] * 2
    assert not stages.complete("one", 3.0)
    assert stages.end(FailureCode.CUSTOM, 4.0) == 0
    assert not stages.begin(StageName.LLM, Word("late"), 5.0, {})
    assert len(events) == 6


def test_a_stage_that_begins_while_the_call_ends_is_completed(events: list[Event]) -> None:
    """Between its `initiated` and its being known, the call ends: nobody else would see it."""

    def say(event_type: str, data: dict[str, object], _: bool) -> bool:
        events.append((event_type, data))
        if event_type == STAGE_INITIATED:
            ended.end(FailureCode.NETWORK_OFFLINE, 1.0)
        return True

    ended = Stages(say, Word("first"))
    ended.begin(StageName.STT, Word("s"), 0.0, {})
    assert summary(events) == [("initiated", ""), ("completed", "NETWORK_OFFLINE")]
    assert ended.open() == []


def test_an_initiated_that_was_refused_takes_its_completed_along() -> None:
    ends: list[tuple[str, bool]] = []

    def say(event_type: str, _: dict[str, object], is_end: bool) -> bool:
        ends.append((event_type, is_end))
        return False

    stages = Stages(say, Word("first"))
    stages.begin(StageName.STT, Word("s"), 0.0, {})
    stages.complete("s", 1.0)
    assert ends == [(STAGE_INITIATED, False), (STAGE_COMPLETED, False)]


def test_the_first_byte_is_told_with_the_end(stages: Stages, events: list[Event]) -> None:
    stages.begin(StageName.TTS, Word("s"), 0.0, {})
    assert stages.first("s", 0.2) == 0.2
    assert stages.first("s", 0.3) is None
    stages.complete("s", 1.0)
    assert events[1][1]["first_ms"] == 200.0
    assert stages.first("s", 2.0) is None


def test_a_time_that_was_measured_elsewhere_stands(stages: Stages, events: list[Event]) -> None:
    stages.begin(StageName.EOU, Word("s"), 5.0, {})
    stages.complete("s", 5.0, elapsed=0.4)
    assert events[1][1]["elapsed_ms"] == 400.0
