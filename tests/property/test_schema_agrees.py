"""Our check and `jsonschema` say the same of every event, and what `coerce` returns is valid."""

from __future__ import annotations

import json
from typing import Any

import history
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from getpatter.telemetry import _tables as tables
from getpatter.telemetry import events
from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._tables import SCHEMA_VERSION as VERSION
from getpatter.telemetry.gate import Gate
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.schema import UNFIT, check, check_dimensions, coerce

SENT = {name: history.sent(schema) for name, schema in documents().items()}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SENT.items()}
FIELDS = sorted({*tables.COMMON_FIELDS}.union(*tables.DIMENSIONS.values()))

# Text near the edges of our rules: the allowed characters, and what looks like them.
near = st.text(
    st.sampled_from("0129azAZfg.-_+/:\n\x00 \u0660\u0664\uff11\u212a\u017f\ud800\udfff"),
    max_size=45,
)
tokens = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,42}\n?\Z")
ids = st.from_regex(r"\A[0-9a-f]{31,33}\n?\Z")
versions = st.from_regex(r"\A[0-9]{1,3}\.?[0-9]{0,3}\.?[0-9]?\n?\Z")
integers = st.one_of(
    st.integers(-2, 9),
    st.integers(604_799, 604_802),
    st.integers(3_599_999, 3_600_002),
    st.integers(-(10**400), 10**400),
)
floats = st.one_of(
    st.floats(allow_nan=False),
    st.floats(-1, 2, allow_nan=False),
    integers.filter(lambda number: abs(number) < 10**300).map(float),
)
listed = st.sampled_from(sorted(set().union(*tables.ENUMS.values())))
scalars = st.one_of(
    *(st.none(), st.booleans(), integers, floats, near, tokens, ids, versions, listed),
    st.sampled_from([VERSION, float(VERSION), f"{VERSION}", "python", *tables.EVENT_NAMES]),
)
json_values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.one_of(near, st.sampled_from(FIELDS)), scalars, max_size=3),
)


def values(field: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each kind
    """Mostly what a field allows."""
    if field in tables.CONSTANTS:
        return st.just(tables.CONSTANTS[field])
    if field in tables.ENUMS:
        return st.sampled_from(sorted(tables.ENUMS[field]))
    if field in tables.BOOLEANS:
        return st.booleans()
    if field in tables.STEPS:
        return st.sampled_from(tables.STEPS[field])
    if field in tables.INTEGERS:
        return st.integers(*tables.INTEGERS[field])
    if field in tables.NUMBERS:
        low, high, low_out, high_out = tables.NUMBERS[field]
        return st.floats(low, high, exclude_min=low_out, exclude_max=high_out)
    if field == "runtime_version":
        return st.from_regex(r"\A[0-9]{1,3}\.[0-9]{1,2}\Z")
    if field == "sdk_version":
        return st.from_regex(r"\A[0-9][0-9a-z.+-]{0,31}\Z")
    if tables.STRINGS[field][:2] == (32, 32):
        return st.text("0123456789abcdef", min_size=32, max_size=32)
    return st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,40}\Z")


@st.composite
def valid_events(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(tables.EVENT_NAMES))
    chosen = draw(st.sets(st.sampled_from(tables.DIMENSIONS[name])))
    carried = [n for n in tables.COMMON_FIELDS if n not in tables.WITHOUT.get(name, ())]
    fields = (*carried, *sorted(chosen))
    event = {field: draw(values(field)) for field in fields}
    event["event"] = name
    if "error_code" in event or event.get("outcome") in {"error", "failed"}:
        event.pop("sample_rate", None)
    return event


@st.composite
def mutated_events(draw: st.DrawFn) -> dict[str, Any]:
    event = draw(valid_events())
    for _ in range(draw(st.integers(1, 3))):
        field = draw(st.one_of(st.sampled_from(FIELDS), near))
        if draw(st.booleans()):
            event[field] = draw(
                st.one_of(json_values, values(field) if field in FIELDS else scalars)
            )
        else:
            event.pop(field, None)
    return event


def judge(event: Any) -> tuple[str, str] | None:
    if not isinstance(event, dict):
        return "", "type"
    if "event" not in event:
        return "", "required"
    if not isinstance(event["event"], str) or event["event"] not in VALIDATORS:
        return "/event", "enum"
    error = next(VALIDATORS[event["event"]].iter_errors(event), None)
    if error is None:
        return None
    return "".join(f"/{part}" for part in error.absolute_path), str(error.validator)


@given(valid_events())
def test_what_the_tables_allow_is_valid(event: dict[str, Any]) -> None:
    assert judge(event) is None
    assert check(event) is None


@given(mutated_events())
def test_both_judges_agree_on_changed_events(event: dict[str, Any]) -> None:
    """On more than valid or not: on the place and the keyword of the first violation too."""
    assert check(event) == judge(event)


@given(json_values)
def test_both_judges_agree_on_any_json(value: object) -> None:
    assert check(value) == judge(value)


@given(valid_events(), st.sampled_from(FIELDS), json_values)
def test_both_judges_agree_on_any_value_of_any_field(
    event: dict[str, Any], field: str, value: object
) -> None:
    changed = {**event, field: value}
    assert check(changed) == judge(changed)


@given(valid_events(), mutated_events())
def test_the_dimensions_alone_are_judged_as_in_their_event(
    event: dict[str, Any], other: dict[str, Any]
) -> None:
    common = {field: event[field] for field in tables.COMMON_FIELDS if field in event}
    own = {n: value for n, value in other.items() if n not in tables.COMMON_FIELDS}
    assert check_dimensions(event["event"], own) == check({**common, **own})


@given(valid_events())
def test_an_event_is_the_same_after_the_wire(event: dict[str, Any]) -> None:
    assert check(json.loads(json.dumps(event))) is None


anything = st.one_of(
    *(json_values, st.floats(), st.binary(), st.complex_numbers(), st.decimals()),
    *(st.fractions(), st.dates(), st.sets(st.integers()), st.functions()),
)


@given(valid_events(), st.sampled_from(FIELDS), anything)
def test_what_coerce_returns_is_valid_and_stays_as_it_is(
    event: dict[str, Any], field: str, value: object
) -> None:
    coerced = coerce(field, value)
    if coerced is UNFIT:
        return
    schema = {"type": "object", "properties": {field: _rule(field)}}
    assert Draft202012Validator(schema).is_valid({field: coerced})
    assert coerce(field, coerced) == coerced
    if field in event and field not in {"event", "outcome"}:
        assert check({**event, field: coerced}) is None


@given(valid_events(), st.randoms(use_true_random=False))
def test_the_order_of_the_fields_tells_nothing_of_the_program(
    event: dict[str, Any], any_: Any
) -> None:
    carried = [n for n in tables.COMMON_FIELDS if n in event and n != "event"]
    common = {field: event[field] for field in carried}
    own = [(field, event[field]) for field in tables.DIMENSIONS[event["event"]] if field in event]
    builder = events.Builder(common, Gate("a" * 32, 1.0), Losses(), age=None, asked=0.0)
    first = builder.build(event["event"], dict(own), 0.0)
    any_.shuffle(own)
    again = builder.build(event["event"], dict(own), 0.0)
    assert first is not None
    assert again is not None
    assert list(first) == list(again)
    wanted = ("event", *common, *tables.DIMENSIONS[event["event"]])
    assert list(first) == [field for field in wanted if field in first]


def _rule(field: str) -> Any:
    rules = [s["properties"][field] for s in SENT.values() if field in s["properties"]]
    return {"anyOf": rules}
