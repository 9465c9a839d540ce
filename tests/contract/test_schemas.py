"""The schema files: closed, described, bounded, free of what validators read differently.

Of the newest version, whatever it is; what v8 is as a deployed contract stands at the end.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden
import history
import pytest
from golden import NEWEST
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = Path(__file__).parents[2] / "schemas"
VERSIONS = history.versions(SCHEMAS)
FILES = sorted(VERSIONS[NEWEST].iterdir())
DEPLOYED = VERSIONS[8]
COMMON = {
    *("event", "schema_version", "run_id", "install_id", "sdk", "sdk_version"),
    *("os", "arch", "runtime", "runtime_version", "ci"),
}


def read(path: Path) -> Any:
    return json.loads(path.read_text("ascii"))


def fields(folder: Path = VERSIONS[NEWEST]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in sorted(folder.iterdir()):
        for name, rule in read(path)["properties"].items():
            yield path.name.removesuffix(".schema.json"), name, rule


def is_rule(keyword: str) -> bool:
    return keyword != "description" and not keyword.startswith("x-")


def keywords(schema: object) -> Iterator[tuple[str, object]]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key, value
            yield from keywords(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from keywords(item)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_closed_described_and_of_this_version(path: Path) -> None:
    schema = read(path)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"https://getpatter.com/schemas/telemetry/v{NEWEST}/{path.name}"
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= COMMON
    assert {"event", "schema_version"} <= set(schema["required"])
    assert schema["properties"]["event"]["const"] == path.name.removesuffix(".schema.json")
    assert schema["properties"]["schema_version"]["const"] == NEWEST
    assert schema["title"]
    assert schema["description"].endswith(".")
    assert schema["x-when"].endswith(".")
    assert schema["x-question"].endswith("?")
    assert schema["x-since"] in VERSIONS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_uses_nothing_that_validators_read_differently(path: Path) -> None:
    for keyword, value in keywords(read(path)):
        assert keyword not in {"format", "$ref", "$dynamicRef", "patternProperties", "default"}
        if keyword == "pattern":
            assert isinstance(value, str)
            assert "$" not in value
            assert value.isascii()
            assert not any(letter in value for letter in ("\\d", "\\w", "\\s", "\\b", "\\Z"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_order_of_the_keywords_makes_the_first_violation_unambiguous(path: Path) -> None:
    """`schema.check` names the first one, and so does every validator that goes top to bottom."""
    event_order = ["type", "required", "additionalProperties", "properties", "if", "then"]
    field_order = ["type", "minLength", "maxLength", "minimum", "exclusiveMinimum", "maximum"]
    field_order += ["exclusiveMaximum", "pattern", "not"]
    schema = read(path)
    assert [key for key in schema if key in event_order] == event_order[: len(schema) - 9]
    for rule in schema["properties"].values():
        found = [key for key in rule if key in field_order]
        assert found == [key for key in field_order if key in rule]


def test_every_field_says_what_it_is_and_which_question_it_answers() -> None:
    for event, name, rule in fields():
        where = f"{event}.{name}"
        assert rule["description"].endswith("."), where
        assert 1 <= rule["description"].count(". ") + 1 <= 2, where
        assert rule["x-question"].endswith("?"), where
        assert rule["x-question"].count("?") == 1, where
        assert rule["x-since"] in VERSIONS, where


def test_a_field_is_the_same_wherever_it_stands() -> None:
    seen: dict[str, object] = {}
    for event, name, rule in fields():
        # It may be retired in one event and sent in another.
        words = {keyword: value for keyword, value in rule.items() if keyword != "x-retired"}
        if name != "event":
            assert seen.setdefault(name, words) == words, f"{event}.{name}"


def test_every_field_is_bounded() -> None:
    for event, name, rule in fields():
        bounds = {
            "string": {"minLength", "maxLength", "not"},
            "integer": {"minimum", "maximum"},
            "boolean": set[str](),
        }
        if "const" in rule or "enum" in rule:
            continue
        if name == "sample_rate":
            bounds["number"] = {"exclusiveMinimum", "exclusiveMaximum"}
        elif name == "cost_usd":
            bounds["number"] = {"minimum", "maximum"}
        assert bounds[rule["type"]] <= rule.keys(), f"{event}.{name}"


def test_every_enumeration_has_the_fallback() -> None:
    enums = {name: rule["enum"] for _, name, rule in fields() if "enum" in rule}
    assert len(enums) > 20
    for name, values in enums.items():
        assert "other" in values or not any(isinstance(value, str) for value in values), name
        assert len(set(values)) == len(values), name


@pytest.mark.parametrize("row", golden.rows("valid"), ids=lambda r: r["name"])
def test_valid_vectors_pass(row: dict[str, Any]) -> None:
    schema = read(VERSIONS[NEWEST] / f"{row['event']['event']}.schema.json")
    assert Draft202012Validator(schema).is_valid(row["event"])


@pytest.mark.parametrize("row", golden.rows("invalid"), ids=lambda r: r["name"])
def test_invalid_vectors_fail_against_every_file(row: dict[str, Any]) -> None:
    for path in FILES:
        assert not Draft202012Validator(read(path)).is_valid(row["event"])


def test_the_valid_vectors_cover_every_event_and_every_field() -> None:
    events = [row["event"] for row in golden.rows("valid")]
    seen = {(event["event"], name) for event in events for name in event}
    assert seen == {(event, name) for event, name, _ in fields()}


def test_the_invalid_vectors_cover_every_keyword() -> None:
    rules = {row["rule"] for row in golden.rows("invalid")}
    of_fields = {keyword for _, _, rule in fields() for keyword in rule if is_rule(keyword)}
    assert rules == of_fields | {"type", "required", "additionalProperties"}


@pytest.mark.parametrize("row", read(SCHEMAS / "vectors" / "sampling.json"))
def test_sampling_vectors_follow_the_formula(row: dict[str, Any]) -> None:
    digest = hashlib.sha256(row["run_id"].encode("ascii")).hexdigest()
    assert row["ratio"] == int(digest[:8], 16) / 0xFFFFFFFF
    assert row["kept"] is (row["rate"] >= 1 or row["ratio"] < row["rate"])


# v8, as it is deployed


def test_v8_has_the_eight_events_with_the_same_common_fields() -> None:
    found = {path.name.removesuffix(".schema.json"): read(path) for path in DEPLOYED.iterdir()}
    assert set(found) == {
        *("agent_configured", "call_completed", "call_started", "cli_command"),
        *("config_incomplete", "feature_used", "first_run", "sdk_initialized"),
    }
    assert all(set(schema["required"]) == COMMON for schema in found.values())
    enums = {name: rule["enum"] for _, name, rule in fields(DEPLOYED) if "enum" in rule}
    assert len(enums) == 30
    assert all("other" in values for values in enums.values())


def test_what_v8_is_about_has_the_values_of_the_contract() -> None:
    enums = {name: set(rule["enum"]) for _, name, rule in fields(DEPLOYED) if "enum" in rule}
    since = {name: rule["x-since"] for _, name, rule in fields(DEPLOYED) if "enum" in rule}
    new = {
        "missing": {"carrier_credentials", "llm_key", "engine_config", "other"},
        "error_layer": {
            *("stt", "llm", "tts", "carrier", "config", "internal", "none", "other"),
        },
        "disconnect_reason": {
            *("hangup_local", "hangup_remote", "error", "timeout"),
            *("no_answer", "busy", "completed", "other"),
        },
        "time_to_first_call_bucket": {"lt_1h", "1h_1d", "1d_7d", "gt_7d", "unknown", "other"},
    }
    assert {name: enums[name] for name, version in since.items() if version == 8} == new


def test_the_bounds_of_v8_are_those_of_the_contract() -> None:
    highest = {name: rule["maximum"] for _, name, rule in fields(DEPLOYED) if "maximum" in rule}
    milliseconds = {name for name in highest if name.endswith("_ms")}
    assert len(milliseconds) == 5
    assert {highest.pop(name) for name in milliseconds} == {3_600_000}
    assert highest == {
        "duration_seconds": 604_800,
        "cost_usd": 10_000,
        "builtin_tool_count": 1_000,
    }


def test_in_v8_only_an_event_that_may_be_sampled_has_a_sample_rate() -> None:
    with_rate = {event for event, name, _ in fields(DEPLOYED) if name == "sample_rate"}
    assert with_rate == {"call_started", "call_completed"}
