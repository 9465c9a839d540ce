"""Whatever an event's data is, what sinks see is bounded JSON, and as private as was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from getpatter.calls.enums import StageName, Word
from getpatter.calls.events.redaction import REDACTED, Redaction

# Every text that is the host's holds this character, and nothing of ours does.
MARK = "☎"
TEXTS = st.text(max_size=150).map(lambda text: text + MARK)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | TEXTS
DATA = st.dictionaries(
    TEXTS | st.integers() | st.booleans() | st.none(),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.tuples(inner)
            | st.dictionaries(TEXTS, inner, max_size=4)
        ),
        max_leaves=20,
    ),
    max_size=6,
)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@given(data=DATA, longest=st.integers(0, 120))
def test_every_key_and_value_is_cut_in_characters(data: dict[object, object], longest: int) -> None:
    cleaned = Redaction(max_text_chars=longest).clean(data)
    assert json.loads(json.dumps(cleaned, allow_nan=False)) == cleaned
    assert len(cleaned) == len(data)
    ours = {"[bytes]", "[too deep]"}
    for text in strings(cleaned):
        assert len(text.partition("~")[0]) <= longest or text in ours


@given(data=DATA)
def test_no_free_text_is_left_if_none_is_wanted(data: dict[object, object]) -> None:
    cleaned = Redaction(redact_text=True).clean(data)
    assert MARK not in json.dumps(cleaned, ensure_ascii=False)
    assert len(cleaned) == len(data)


@given(data=DATA)
def test_what_is_short_stays(data: dict[object, object]) -> None:
    cleaned = Redaction(max_text_chars=10_000).clean(data)
    for (key, value), (name, seen) in zip(data.items(), cleaned.items(), strict=True):
        if isinstance(key, str):
            assert name == key
        if isinstance(value, str):
            assert seen == value


def test_words_of_ours_stay_whatever_is_removed() -> None:
    rule = Redaction(redact_text=True, keep_keys=frozenset({"mine"}))
    cleaned = rule.clean(
        {
            Word("stage"): StageName.STT,
            "mine": "Jane",
            "Jane": {"deep": ["Jane", Word("made here"), 7]},
        }
    )
    assert cleaned["stage"] == "stt"
    assert cleaned["mine"] == REDACTED
    assert cleaned["redacted_2"] == {"redacted_0": [REDACTED, "made here", 7]}
    assert all(type(text) is str for text in strings(cleaned))


class Rude:
    """An object that says a secret, slowly, when it is asked for a text."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def test_objects_are_not_asked() -> None:
    cleaned = Redaction().clean({"object": Rude(), "key": {Rude(): 1}})
    assert cleaned == {"object": "[Rude]", "key": {"[Rude]": 1}}


def test_what_is_endless_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    cleaned = Redaction().clean({"endless": endless, "many": list(range(100_000))})
    assert "[too deep]" in json.dumps(cleaned)
    many = cleaned["many"]
    assert isinstance(many, list)
    assert len(many) < 3_000


def test_long_keys_that_begin_alike_do_not_hide_each_other() -> None:
    cleaned = Redaction(max_text_chars=3).clean({"abcd": 1, "abce": 2, "abcf": 3})
    assert sorted(cleaned.values(), key=str) == [1, 2, 3]


@pytest.mark.parametrize("odd", [-1, 1.5, "100", None, True])
def test_a_rule_that_is_none_is_refused_at_once(odd: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="max_text_chars"):
        Redaction(max_text_chars=odd)
