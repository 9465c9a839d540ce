"""Whatever comes, in whichever order: one end for each beginning, no sample untold, no mixing."""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from getpatter.calls.stats.participant import REAP_SECONDS, Input, Output
from getpatter.calls.stats.registry import FLUSH_SECONDS, OutOfPlace, Registry

CALLS = st.sampled_from(["one", "two"])
PARTICIPANTS = st.sampled_from(["alice", "bob"])
OWNERS = st.sampled_from(["media", "signalling", "status_webhook", None])
KINDS = ["participant_joined", "participant_active", "participant_resumed"]
ENDS = {"participant_left", "connection_aborted"}


class Model:
    """What is true of one (call, participant), whatever the registry thinks."""

    def __init__(self) -> None:
        self.is_open = False
        self.active: set[object] = set()
        self.spent: set[object] = set()
        self.was_active = False
        self.ends = 0
        self.beginnings = 0
        self.taken = 0
        self.told = 0
        self.closed_at = 0.0
        self.packets: defaultdict[tuple[str, str], int] = defaultdict(int)

    def forget(self) -> None:
        """Whoever comes now is somebody new, whose counters begin at 0."""
        self.was_active = False
        self.packets.clear()


class Anything(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.now = 1_000.0
        self.models: defaultdict[tuple[str, str], Model] = defaultdict(Model)
        self.ended: set[str] = set()

    def say(self, kind: str, call: str, participant: str = "", owner: object = None) -> bool:
        fields = {"owner": owner} if participant else {}
        try:
            outputs = self.registry.event(Input(kind, call, participant, fields, True, self.now))
        except OutOfPlace:
            return False
        self.hear(outputs)
        return True

    def hear(self, outputs: list[Output]) -> None:
        for output in outputs:
            if output.kind == "forgotten":
                self.ended.discard(output.call)
                for model in self.of(output.call):
                    assert not model.is_open
                continue
            assert output.data["call"] == output.call
            model = self.models[output.call, output.participant]
            if output.participant:
                assert output.data["participant"] == output.participant
            if output.kind == "participant_stats":
                self.hear_streams(output, model)
            if output.kind in ENDS:
                assert model.is_open, "an end without a beginning, or a second one"
                assert model.told == model.taken, "reported closed before it was flushed"
                assert (output.kind == "participant_left") == model.was_active
                model.is_open = False
                model.closed_at = self.now
                model.ends += 1

    def of(self, call: str) -> list[Model]:
        return [model for (name, _), model in self.models.items() if name == call]

    def hear_streams(self, output: Output, model: Model) -> None:
        streams: Any = output.data["streams"]
        assert streams, "nothing to say was said"
        for stream in streams:
            assert stream["track"].startswith(f"{output.call} {output.participant} ")
            assert stream["packets"] == stream["samples"]
            model.told += stream["samples"]

    @rule(call=CALLS, participant=PARTICIPANTS, owner=OWNERS,
          kind=st.sampled_from(KINDS))  # fmt: skip
    def come(self, call: str, participant: str, owner: object, kind: str) -> None:
        if not self.say(kind, call, participant, owner):
            return
        model = self.models[call, participant]
        if not model.is_open:
            model.is_open = True
            model.beginnings += 1
            model.active, model.spent = set(), set()
        if owner not in model.spent:
            model.active.add(owner)
        model.was_active |= kind == "participant_active"

    @rule(call=CALLS, participant=PARTICIPANTS, owner=OWNERS,
          kind=st.sampled_from(sorted(ENDS)))  # fmt: skip
    def go(self, call: str, participant: str, owner: object, kind: str) -> None:
        model = self.models[call, participant]
        was_open = model.is_open
        model.spent.add(owner)
        model.active.discard(owner)
        self.say(kind, call, participant, owner)
        assert model.is_open == (was_open and bool(model.active))

    @rule(call=CALLS)
    def begin_room(self, call: str) -> None:
        self.say("room_started", call)
        if call in self.ended:
            self.ended.discard(call)
            for model in self.of(call):
                model.forget()

    @rule(call=CALLS)
    def end_room(self, call: str) -> None:
        if self.say("room_ended", call):
            self.ended.add(call)
        for model in self.of(call):
            assert not model.is_open

    @rule(call=CALLS, participant=PARTICIPANTS, track=st.sampled_from(["a", "b"]),
          direction=st.sampled_from(["up", "down"]))  # fmt: skip
    def measure(self, call: str, participant: str, track: str, direction: str) -> None:
        """One packet a sample, so that packets and samples must agree in every sum."""
        name = f"{call} {participant} {track}"
        model = self.models[call, participant]
        key = (name, direction)
        values = {"track": name, "direction": direction, "packets": model.packets[key] + 1}
        try:
            self.registry.sample(call, participant, self.now, values)
        except OutOfPlace:
            return
        model.packets[key] += 1
        model.taken += 1

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 31.0, 100.0, 181.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.hear(self.registry.due(self.now))
        due = self.registry.next_due()
        assert due is None or due > self.now
        for model in self.models.values():
            if not model.is_open and self.now >= model.closed_at + REAP_SECONDS:
                model.forget()

    @rule()
    def flush(self) -> None:
        self.hear(self.registry.flush())
        for model in self.models.values():
            assert model.told == model.taken

    @rule(seconds=st.sampled_from([0.0, 1.0, 60.0]), call=st.one_of(st.none(), CALLS))
    def set_interval(self, seconds: float, call: str | None) -> None:
        try:
            self.registry.set_record_seconds(seconds, call, self.now)
        except OutOfPlace:
            assert call is not None

    @invariant()
    def at_most_one_end_for_each_beginning(self) -> None:
        for model in self.models.values():
            assert model.ends == model.beginnings - model.is_open

    def teardown(self) -> None:
        for call in ("one", "two"):
            self.say("room_ended", call)
        self.now += REAP_SECONDS + FLUSH_SECONDS
        self.hear(self.registry.due(self.now))
        for model in self.models.values():
            assert not model.is_open
            assert model.ends == model.beginnings
            assert model.told == model.taken, "reaped with samples that were not told"
        assert len(self.registry) == 0
        assert self.registry.next_due() is None


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

TWICE = ["media", "media", "signalling", "signalling", "status_webhook", "status_webhook"]


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("joins", sorted(set(permutations(sorted(set(TWICE))))))
def test_three_owners_that_each_say_the_end_twice_give_one_end(
    joins: tuple[str, ...],
    active: bool,
) -> None:
    """In every order of the six, and of the three that said it began."""
    for order in sorted(set(permutations(TWICE))):
        registry = Registry()
        outputs: list[Output] = []
        kinds = ["participant_joined"] * 3 + ["participant_active"] * (3 if active else 0)
        said = [*zip(kinds, joins * 2, strict=False), *(("participant_left", o) for o in order)]
        reasons: list[str] = []
        for now, (kind, owner) in enumerate(said):
            try:
                outputs += registry.event(Input(kind, "c", "p", {"owner": owner}, True, float(now)))
            except OutOfPlace as why:
                reasons.append(str(why))
        ends = [output.kind for output in outputs if output.kind in ENDS]
        assert ends == ["participant_left" if active else "connection_aborted"]
        joined = [output for output in outputs if output.kind == "participant_joined"]
        assert len(joined) == 1
        # What came after the end was refused; up to then every owner had said it at least once.
        last_first = max(order.index(owner) for owner in set(order))
        assert reasons == ["already_left"] * (len(order) - 1 - last_first)
