"""What a recorded value becomes, and which events may leave."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any, NoReturn

import golden
import pytest

from getpatter.telemetry._tables import COMMON_FIELDS, SCHEMA_VERSION
from getpatter.telemetry.schema import UNFIT, check, coerce

HUGE = 10**10_000  # more digits than Python turns into text
ID = "0123456789abcdef" * 2


def event(name: str = "first_run", /, **fields: object) -> dict[str, object]:
    common = {field: golden.rows("valid")[0]["event"][field] for field in COMMON_FIELDS}
    return {**common, "event": name, **fields}


class Layer(str, Enum):
    STT = "stt"

    def __str__(self) -> str:
        return "Layer.STT"


class Milliseconds(IntEnum):
    FAST = 7


class HalfSecond(float):
    def __float__(self) -> float:
        return 1.0


class Hostile:
    def _refuse(self, *_: object) -> NoReturn:
        message = "code of a recorded value ran"
        raise RuntimeError(message)

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __str__ = __repr__ = __float__ = __int__ = __index__ = __bool__ = __len__ = _refuse
    __iter__ = __contains__ = __round__ = __format__ = __getattr__ = _refuse
    __class__ = property(_refuse)


class HostileText(Hostile, str):
    __slots__ = ()


class HostileInteger(Hostile, int):
    pass


class HostileNumber(Hostile, float):
    pass


FIELD_OF_EACH_KIND = [
    *("carrier", "event", "latency_ms", "cost_usd", "sample_rate", "llm_model", "run_id"),
    *("container", "schema_version", "sdk", "runtime_version", "no_such_field"),
]


@pytest.mark.parametrize("value", ["twilio", "none", "other"])
def test_a_value_of_the_set_stays(value: str) -> None:
    assert coerce("carrier", value) == value


class Carrier(str, Enum):
    TELNYX = "Telnyx"


@pytest.mark.parametrize(
    ("value", "carrier"),
    [
        ("Twilio", "twilio"),
        ("PLIVO", "plivo"),
        (Carrier.TELNYX, "telnyx"),
        (HostileText("Twilio"), "twilio"),
        ("Vonage", "other"),
        ("Twi\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}io", "other"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER T}wilio", "other"),
        (" twilio", "other"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_text_of_an_enumeration_is_compared_in_lower_case(value: str, carrier: str) -> None:
    found = coerce("carrier", value)
    assert (found, type(found)) == (carrier, str)


@pytest.mark.parametrize(
    "value", ["vonage", "", "twilio\n", "\ud800", ["twilio"], {}, 1, 1.5, b"twilio", True]
)
def test_anything_else_in_an_enumeration_is_other(value: object) -> None:
    assert coerce("carrier", value) == "other"


def test_a_number_is_no_bucket() -> None:
    assert coerce("turn_count_bucket", 1) == "other"


def test_a_fallback_that_the_set_does_not_list_is_refused() -> None:
    assert coerce("event", "call_started") == "call_started"
    assert coerce("event", "call_transferred") is UNFIT


def test_a_string_enum_counts_by_its_content() -> None:
    result = coerce("error_layer", Layer.STT)
    assert result == "stt"
    assert type(result) is str


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        *((0, 0), (5, 5), (5.0, 5), (1.4, 1), (1.6, 2), (0.4, 0), (-0.0, 0)),
        *((3_600_000, 3_600_000), (Milliseconds.FAST, 7), (HalfSecond(0.6), 1)),
    ],
)
def test_milliseconds_are_whole(value: float, whole: int) -> None:
    result = coerce("latency_ms", value)
    assert result == whole
    assert type(result) is int


@pytest.mark.parametrize(
    "field", ["latency_ms", "duration_seconds", "builtin_tool_count", "cost_usd"]
)
@pytest.mark.parametrize(
    "value",
    [
        *(-1, -0.4, math.nan, math.inf, -math.inf, True, False, "5", b"5", [5], 1e300, HUGE, -HUGE),
        *(Decimal("nan"), Decimal(-1), Fraction(10**400), 5 + 0j, 3_600_001),
    ],
    ids=lambda value: "huge" if value in (HUGE, -HUGE) else repr(value),
)
def test_a_number_that_is_none_or_out_of_bounds_is_refused(field: str, value: object) -> None:
    assert coerce(field, value) is UNFIT


def test_a_number_is_judged_before_it_is_rounded() -> None:
    assert coerce("latency_ms", 3_600_000.4) is UNFIT
    assert coerce("cost_usd", 10_000.00001) is UNFIT


@pytest.mark.parametrize(
    ("value", "cost"), [(0.12345, 0.1235), (0.00004, 0.0), (3, 3.0), (10_000, 10_000.0)]
)
def test_a_cost_has_four_decimals(value: float, cost: float) -> None:
    result = coerce("cost_usd", value)
    assert result == pytest.approx(cost, abs=1e-12)
    assert type(result) is float
    assert round(result, 4) == result


def test_a_cost_has_no_negative_zero() -> None:
    assert json.dumps(coerce("cost_usd", -0.0)) == "0.0"


@pytest.mark.parametrize("value", [0.1, 5e-324, 0.9999999999999999])
def test_a_sample_rate_is_exact(value: float) -> None:
    assert coerce("sample_rate", value) == value


@pytest.mark.parametrize("value", [0, 1, 1.0, -0.5, 2, math.nan, True, "0.5"])
def test_a_sample_rate_without_meaning_is_refused(value: object) -> None:
    assert coerce("sample_rate", value) is UNFIT


@pytest.mark.parametrize("value", ["x", "a" * 41, "0.7.1", "openai-gpt-4o", "a.-"])
def test_a_token_is_taken_whole(value: str) -> None:
    assert coerce("llm_model", value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "a" * 42, "-a", ".a", "A", "a_b", "a b", "a/b", "a:b", "a\n", "\na", "a\x00"),
        *("gpt-\u0664", "\u212aimi", "a\ud800", 4, 4.0, b"a", ["a"], None, True, "a" * 1_000_000),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_token_that_does_not_fit_is_refused(value: object) -> None:
    assert coerce("llm_model", value) is UNFIT


@pytest.mark.parametrize("value", [ID[:-1], ID + "0", ID.upper(), ID[:-1] + "\n", ID[:-1] + "g", 7])
def test_an_id_is_32_hexadecimal_digits(value: object) -> None:
    assert coerce("call_uid", ID) == ID
    assert coerce("call_uid", value) is UNFIT


@pytest.mark.parametrize("value", [0, 1, "true", "", None, [], Milliseconds.FAST])
def test_only_a_real_boolean_is_one(value: object) -> None:
    assert coerce("container", True) is True
    assert coerce("container", False) is False
    assert coerce("container", value) is UNFIT


def test_a_constant_is_its_value_or_refused() -> None:
    assert coerce("schema_version", SCHEMA_VERSION) == SCHEMA_VERSION
    assert coerce("schema_version", SCHEMA_VERSION - 1) is UNFIT
    assert coerce("sdk", "python") == "python"


def test_an_unknown_field_is_refused() -> None:
    assert coerce("hostname", "x") is UNFIT


@pytest.mark.parametrize("field", FIELD_OF_EACH_KIND)
def test_no_code_of_a_recorded_value_runs(field: str) -> None:
    for value in (Hostile(), Hostile, HostileText("stt"), HostileInteger(7), HostileNumber(0.5)):
        result = coerce(field, value)
        assert type(result) in {str, int, float, type(UNFIT)}


def test_a_hostile_subclass_still_counts_by_its_content() -> None:
    assert coerce("error_layer", HostileText("stt")) == "stt"
    assert coerce("latency_ms", HostileInteger(7)) == 7
    assert coerce("sample_rate", HostileNumber(0.5)) == 0.5


@pytest.mark.parametrize("row", golden.rows("valid"), ids=lambda row: row["name"])
def test_valid_vectors_pass_without_what_is_retired(row: dict[str, Any]) -> None:
    assert check(golden.sent(row["event"])) is None


@pytest.mark.parametrize("row", golden.rows("invalid"), ids=lambda row: row["name"])
def test_invalid_vectors_fail_where_and_why_they_say(row: dict[str, Any]) -> None:
    assert check(golden.sent(row["event"])) == (row["pointer"], row["rule"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    assert check(event("call_completed", cost_usd=value)) is not None
    assert check(event("call_started", sample_rate=value)) is not None


@pytest.mark.parametrize("value", [HUGE, -HUGE], ids=["highest", "lowest"])
def test_an_integer_of_any_length_is_judged(value: int) -> None:
    for field in ("latency_ms", "cost_usd"):
        violation = check({**event("call_completed"), field: value})
        assert violation == (f"/{field}", "maximum" if value > 0 else "minimum")


KINDS = ["object", "class", "text", "enum", "set", "complex"]


@pytest.mark.parametrize("kind", KINDS)
def test_check_refuses_what_json_does_not_make(kind: str) -> None:
    values = [Hostile(), Hostile, HostileText("linux"), Layer.STT, {1}, 1j]
    value = dict(zip(KINDS, values, strict=True))[kind]
    assert check(value) == ("", "type")
    assert check(event(os=value)) == ("/os", "enum")
    assert check(event(run_id=value)) == ("/run_id", "type")
    assert check(event(ci=value)) == ("/ci", "type")
    assert check(event(sdk=value)) == ("/sdk", "const")
    assert check(event("call_completed", latency_ms=value)) == ("/latency_ms", "type")
    assert check({**event(), "event": value}) == ("/event", "enum")


def test_check_never_repeats_an_unknown_name() -> None:
    assert check(event(**{"+15550100": 1})) == ("", "additionalProperties")


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("0.7.1", "0.7.1"),
        ("0.8.0rc1", "0.8.0rc1"),
        ("0.8.0-beta.2", "0.8.0-beta.2"),
        ("0.8.0.post1.dev20241101", "0.8.0.post1.dev20241101"),
        ("1.2.3.4", "1.2.3.4"),
        ("0", "0"),
        ("0.7.1+customer.name", "0.7.1"),
        ("0.7.1-customer", "0.7.1"),
        ("0.7.1.customer.name", "0.7.1"),
        ("0.7.1rcustomer", "0.7.1"),
        ("0.7.1dev15550001234", "0.7.1"),
        ("0.8.0rc1+gdeadbeef", "0.8.0rc1"),
        ("1.2.3.4.5.6.7.8", "1.2.3.4"),
        ("0.15550001234", "0"),
        ("15550001234", UNFIT),
        ("customer", UNFIT),
        ("0.7.1 customer", UNFIT),
    ],
)
def test_a_version_says_its_release_and_nothing_else(version: str, release: object) -> None:
    assert coerce("sdk_version", version) == release
    assert coerce("previous_sdk_version", version) == release
