"""The collector's judge, our own check and `jsonschema` agree on every event."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from getpatter.collector.judge import LANGUAGES, EventJudge, overlay
from getpatter.collector.store.columns import schemas
from getpatter.telemetry.schema import check

JUDGE = EventJudge()
SCHEMAS = schemas()
FIELDS = sorted({f for e in SCHEMAS.values() for s in e.values() for f in s["properties"]})
VARIANTS = [
    (version, name, language, is_legacy)
    for version, events in SCHEMAS.items()
    for name in events
    for language in LANGUAGES
    for is_legacy in (False, True)
]
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 4_000_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([5, 7, 8, 8.0, 6, "8", 0.5, 1.0, "", "\n", "0", "1.2\n", "ff" * 16, "é" * 32]),
    st.text("azAZ059.-_ é\n\x00", max_size=45),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["", "os", "x"]), st.integers(), max_size=2),
)


def valid_value(draw: st.DrawFn, rule: dict[str, Any]) -> Any:
    if "const" in rule:
        return rule["const"]
    if "enum" in rule:
        return draw(st.sampled_from(rule["enum"]))
    if rule["type"] == "boolean":
        return draw(st.booleans())
    if rule["type"] == "string":
        return "ab" * 16 if rule["minLength"] == 32 else draw(st.sampled_from(["3.11", "0.1"]))
    low = rule.get("minimum", 0)
    return draw(st.integers(low, rule["maximum"])) if "maximum" in rule else 0.5


@st.composite
def events(draw: st.DrawFn) -> tuple[Any, bool]:
    """An event near a valid one, and whether it comes without a key."""
    version, name, language, is_legacy = draw(st.sampled_from(VARIANTS))
    schema = overlay(SCHEMAS[version][name], language, is_legacy=is_legacy)
    fields = set(schema["required"]) | draw(st.sets(st.sampled_from(sorted(schema["properties"]))))
    event = {f: valid_value(draw, r) for f, r in schema["properties"].items() if f in fields}
    for _ in range(draw(st.integers(0, 2))):
        field = draw(st.sampled_from([*FIELDS, "made_up"]))
        if draw(st.booleans()):
            event.pop(field, None)
        else:
            event[field] = draw(odd)
    return event, is_legacy


def reference(event: Any, *, is_legacy: bool) -> bool:
    """What `jsonschema` says by the schema of the event's own version, name and language."""
    name, version, language = (event.get(f) for f in ("event", "schema_version", "sdk"))
    if type(version) not in {int, float} or version not in SCHEMAS or not isinstance(name, str):
        return False
    if name not in SCHEMAS[version]:
        return False
    known = language if isinstance(language, str) and language in LANGUAGES else "python"
    schema = overlay(SCHEMAS[version][name], known, is_legacy=is_legacy)
    return bool(Draft202012Validator(schema).is_valid(event))


@given(events())
def test_jsonschema_agrees(made: tuple[Any, bool]) -> None:
    event, is_legacy = made
    violation = JUDGE.violation(event, is_legacy=is_legacy)
    assert (violation is None) == reference(event, is_legacy=is_legacy)


@given(events())
def test_our_own_check_agrees(made: tuple[Any, bool]) -> None:
    event, _ = made
    if event.get("schema_version") != 8 or event.get("sdk") == "typescript":
        return
    if event.get("schema_version") is True or "event" not in event:
        return
    assert (JUDGE.violation(event, is_legacy=False) is None) == (check(event) is None)


@given(events())
def test_what_is_said_of_an_event_holds_nothing_of_it(made: tuple[Any, bool]) -> None:
    event, is_legacy = made
    violation = JUDGE.violation(event, is_legacy=is_legacy)
    if violation is not None:
        pointer, rule = violation
        assert pointer == "" or pointer[1:] in FIELDS
        assert rule.isalpha()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sample_rate": 0.5, "outcome": "error"}, ("/sample_rate", "not")),
        ({"sample_rate": 0.5, "error_code": "auth"}, ("/sample_rate", "not")),
        ({"latency_ms": 1.5}, ("/latency_ms", "type")),
        ({"latency_ms": -1}, ("/latency_ms", "minimum")),
        ({"sdk_version": "x" * 40}, ("/sdk_version", "maxLength")),
        ({"os": "amiga", "arch": "68k"}, ("/os", "enum")),
        ({"os": "amiga", "made_up": 1}, ("", "additionalProperties")),
    ],
)
def test_first_violation_is_that_of_our_own_check(
    change: dict[str, Any], expected: tuple[str, str]
) -> None:
    schema = SCHEMAS[8]["call_completed"]
    fixed = {"run_id": "ab" * 16, "install_id": "cd" * 16, "sdk_version": "1", "ci": True}
    valid = {f: schema["properties"][f] for f in schema["required"]}
    event = {f: fixed.get(f, r.get("const", r.get("enum", ["3.11"])[0])) for f, r in valid.items()}
    assert check(event) is None
    event |= change
    assert JUDGE.violation(event, is_legacy=False) == check(event) == expected
    if change.get("sample_rate"):
        assert JUDGE.violation(event, is_legacy=True) is None


def test_openapi_describes_what_is_judged() -> None:
    from getpatter.collector.openapi import document

    described = json.loads(document())
    components = described["components"]["schemas"]
    for version, events_ in SCHEMAS.items():
        for name in events_:
            for language in LANGUAGES:
                Draft202012Validator.check_schema(components[f"v{version}.{name}.{language}"])
    assert set(described["paths"]) == {
        "/v1/ingest",
        "/v1/installs/{install_id}",
        "/v1/receipts/{receipt}",
    }
    references = {line["$ref"] for line in components["Batch"]["items"]["anyOf"]}
    assert {r.rpartition("/")[2] for r in references} <= components.keys()
