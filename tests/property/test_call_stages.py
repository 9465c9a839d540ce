"""Whatever is done to calls, in any order: stages come in pairs, and none outlives its call."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from getpatter.calls.enums import FailureCode, IceState, JoinReason, Role, StageName, Word
from getpatter.calls.event_types import STAGE_COMPLETED, STAGE_INITIATED
from getpatter.calls.stages import StageFailure, Stages

CALLS = st.sampled_from(["a", "b"])


class Told:
    """A call's stages, and everything that they told, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[tuple[str, dict[Any, Any]]] = []
        self.refuses = False
        self.stages = Stages(self.say, Word(f"{name}-attempt-0"))
        self.ended_after: int | None = None

    def say(self, event_type: str, data: dict[str, object], is_end: bool) -> bool:
        if event_type == STAGE_COMPLETED and not is_end:
            return False  # as a reporter does: its `initiated` had been refused
        if event_type == STAGE_INITIATED and self.refuses:
            return False
        self.events.append((event_type, data))
        return True


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.calls = {name: Told(name) for name in ("a", "b")}
        self.now = 0.0
        self.numbers = itertools.count()
        self.ids: list[str] = ["never begun"]

    def fresh(self, call: str) -> Word:
        return Word(f"{call}-{next(self.numbers)}")

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(call=CALLS, refuses=st.booleans())
    def the_limit_changes(self, call: str, refuses: bool) -> None:
        self.calls[call].refuses = refuses

    @rule(call=CALLS, stage=st.sampled_from(StageName))
    def begin(self, call: str, stage: StageName) -> None:
        stage_id = self.fresh(call)
        self.ids.append(stage_id)
        told = self.calls[call]
        is_begun = told.stages.begin(stage, stage_id, self.now, {})
        assert is_begun is (told.ended_after is None)

    @rule(
        call=CALLS,
        data=st.data(),
        failure=st.none()
        | st.builds(StageFailure, st.sampled_from(FailureCode), st.none() | st.text()),
        retry_count=st.none() | st.integers(0, 9),
    )
    def complete(
        self, call: str, data: st.DataObject, failure: StageFailure | None, retry_count: int | None
    ) -> None:
        stage_id = data.draw(st.sampled_from(self.ids))
        was_open = stage_id in self.calls[call].stages.open()
        done = self.calls[call].stages.complete(
            stage_id, self.now, failure, retry_count=retry_count
        )
        assert done is was_open
        assert not self.calls[call].stages.complete(stage_id, self.now)

    @rule(call=CALLS, data=st.data())
    def retry(self, call: str, data: st.DataObject) -> None:
        self.calls[call].stages.retry(data.draw(st.sampled_from(self.ids)))

    @rule(call=CALLS, data=st.data())
    def first(self, call: str, data: st.DataObject) -> None:
        self.calls[call].stages.first(data.draw(st.sampled_from(self.ids)), self.now)

    @rule(call=CALLS, reason=st.sampled_from(JoinReason))
    def join(self, call: str, reason: JoinReason) -> None:
        before = self.calls[call].stages.attempt_id
        after = self.calls[call].stages.join(reason, self.fresh(call))
        assert (after == before) is (reason is JoinReason.FIRST_ATTEMPT)

    @rule(
        call=CALLS, role=st.sampled_from(Role), state=st.sampled_from([*IceState, None, *IceState])
    )
    def ice(self, call: str, role: Role, state: IceState | None) -> None:
        stage_id = self.fresh(call)
        self.ids.append(stage_id)
        before = len(self.calls[call].events)
        self.calls[call].stages.ice(role, state, self.now, int(self.now), stage_id)
        if state is None:
            assert len(self.calls[call].events) == before

    @rule(call=CALLS, code=st.sampled_from(FailureCode))
    def end(self, call: str, code: FailureCode) -> None:
        told = self.calls[call]
        others = {name: list(c.events) for name, c in self.calls.items() if name != call}
        in_flight, before = len(told.stages.open()), len(told.events)
        assert told.stages.end(code, self.now) == in_flight
        assert {name: c.events for name, c in self.calls.items() if name != call} == others
        if told.ended_after is None:
            told.ended_after = len(told.events)
            aborted = told.events[before:]
            assert len(aborted) <= in_flight  # fewer where an `initiated` was refused
            assert {kind for kind, _ in aborted} <= {STAGE_COMPLETED}
            assert {data["failure_code"] for _, data in aborted} <= {code}

    @invariant()
    def stages_come_in_pairs(self) -> None:
        for told in self.calls.values():
            begun: dict[str, dict[Any, Any]] = {}
            completed: set[str] = set()
            for kind, data in told.events:
                stage_id = data["stage_id"]
                if kind == STAGE_INITIATED:
                    assert stage_id not in begun
                    begun[stage_id] = data
                else:
                    assert stage_id in begun, "a completed without an initiated"
                    assert stage_id not in completed, "a second completed"
                    completed.add(stage_id)
                    assert begun[stage_id].items() <= data.items()
                    assert data["elapsed_ms"] >= 0
                    assert data["retry_count"] >= 0
                    is_failure = data["outcome"] == "failure"
                    assert is_failure is ("failure_code" in data)
                    assert is_failure or not {"reason", "previously_connected_at"} & data.keys()
            is_told = set(begun) - completed
            assert is_told <= set(told.stages.open())

    @invariant()
    def nothing_outlives_its_call(self) -> None:
        for told in self.calls.values():
            if told.ended_after is not None:
                assert told.stages.open() == []
                assert len(told.events) == told.ended_after

    @invariant()
    def no_call_knows_of_another(self) -> None:
        for name, told in self.calls.items():
            for _, data in told.events:
                assert data["stage_id"].startswith(f"{name}-")
                assert data["attempt_id"].startswith(f"{name}-")

    @invariant()
    def one_connection_of_a_role_at_a_time(self) -> None:
        for told in self.calls.values():
            in_flight = set(told.stages.open())
            roles = [
                data["role"]
                for kind, data in told.events
                if kind == STAGE_INITIATED and data["stage_id"] in in_flight and "role" in data
            ]
            assert len(roles) == len(set(roles))


def test_stages_come_in_pairs_and_none_outlives_its_call() -> None:
    chosen = settings(max_examples=60, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(Machine, settings=chosen)
