from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from getpatter.calls.stats import vocabulary
from getpatter.calls.stats.sample import COUNTERS, NUMBERS, refusal

LEAST = {"track": "t", "direction": "up"}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (-1, "negative"),
        (-0.5, "negative"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        (-math.inf, "negative"),
        (True, "a number"),
        ("1", "a number"),
        (2**70, "at most"),
    ],
)
def test_a_number_that_is_none_is_refused_by_its_rule(name: str, value: object, rule: str) -> None:
    answer = refusal("call-1", "p", {**LEAST, name: value})
    assert answer.status == "refused_sample"
    assert answer.message.startswith("call 'call-1': a sample ")
    assert name in answer.message
    assert rule in answer.message


@pytest.mark.parametrize("value", [np.float64(1.5), np.float64(0), 0, 0.0, 7, None])
def test_what_is_a_number_is_taken(value: object) -> None:
    for name in COUNTERS:
        assert refusal("c", "p", {**LEAST, name: value})


def test_what_only_behaves_like_a_number_is_refused() -> None:
    assert not refusal("c", "p", {**LEAST, "rtt": Fraction(1, 2)})


@pytest.mark.parametrize(("call", "participant"), [("", "p"), ("c", ""), (None, "p"), ("c", 5)])
def test_a_sample_belongs_to_somebody(call: object, participant: object) -> None:
    answer = refusal(call, participant, LEAST)
    assert answer.status == "refused_sample"
    assert "needs a call and a participant" in answer.message


def test_a_message_does_not_grow_with_what_was_given() -> None:
    assert len(refusal("c" * 9_999, "p", LEAST).message) < 300
    assert len(refusal("c", "p", {**LEAST, "x" * 9_999: 1}).message) < 300
    assert len(vocabulary.check("k" * 9_999, "c" * 9_999, "p", {}).message) < 300


@pytest.mark.parametrize(
    ("kind", "fields", "status", "words"),
    [
        ("participant_sneezed", {}, "unknown_kind", "participant_sneezed"),
        (["room_ended"], {}, "unknown_kind", "room_ended"),
        ("participant_joined", {"colour": "blue"}, "unknown_field", "colour"),
        ("participant_joined", {"reason": "it may not"}, "unknown_field", "reason"),
        ("participant_left", {"reason": 5}, "refused_event", "reason is no text"),
        ("track_published", {}, "refused_event", "needs a track"),
        ("track_published", {"track": None}, "refused_event", "needs a track"),
        ("webhook", {"event": "e", "attempts": -1}, "refused_event", "attempts is no count"),
        ("webhook", {"event": "e", "duration_ms": math.inf}, "refused_event", "no number"),
        ("local_room_state", {"rooms": ["a", 5]}, "refused_event", "rooms is no texts"),
    ],
)
def test_an_event_that_is_none_names_the_call_and_the_rule(
    kind: object, fields: dict[str, object], status: str, words: str
) -> None:
    answer = vocabulary.check(kind, "call-1", "p", fields)
    assert answer.status == status
    assert "call 'call-1'" in answer.message
    assert words in answer.message


def test_an_event_of_a_participant_names_it_and_its_call() -> None:
    assert not vocabulary.check("participant_joined", "c", "", {})
    assert not vocabulary.check("participant_joined", "", "p", {})
    assert not vocabulary.check("room_started", "", "", {})
    assert vocabulary.check("room_started", "c", "", {})
    assert vocabulary.check("egress_started", "", "", {"egress": "e"})
