"""What a change between two versions is: breaking, widening or neutral."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._schema_history import documents as earlier
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.commands.evolution import Change, diff

if TYPE_CHECKING:
    from collections.abc import Callable

    Edit = Callable[[dict[str, Any]], object]


def changes(edit: Edit, event: str = "call_completed") -> list[Change]:
    """What `diff` says of one edit of v8."""
    old = documents()
    new = copy.deepcopy(old)
    edit(new[event])
    return diff(old, new)


def field(name: str, **rule: object) -> Edit:
    """Change some keywords of a field; None takes one away."""

    def edit(schema: dict[str, Any]) -> None:
        changed = schema["properties"][name] | rule
        schema["properties"][name] = {k: v for k, v in changed.items() if v is not None}

    return edit


def put(name: str, rule: dict[str, Any], *, required: bool = False) -> Edit:
    def edit(schema: dict[str, Any]) -> None:
        schema["properties"][name] = rule
        if required:
            schema["required"].append(name)

    return edit


def steps(*values: float, **marks: object) -> Edit:
    """Replace the bounds of `sample_rate` by a list."""
    gone = dict.fromkeys(("type", "exclusiveMinimum", "exclusiveMaximum"))
    return field("sample_rate", **gone, enum=[*values], **marks)


def retired(name: str) -> Edit:
    def edit(schema: dict[str, Any]) -> None:
        schema["required"].remove(name)
        field(name, **RETIRED)(schema)

    return edit


def of_enum(name: str, change: Callable[[list[str]], object]) -> Edit:
    """Change the list of a field that is marked as coarser."""

    def edit(schema: dict[str, Any]) -> None:
        field(name, **COARSER)(schema)
        change(schema["properties"][name]["enum"])

    return edit


RETIRED: dict[str, object] = {"x-retired": SCHEMA_VERSION}
COARSER: dict[str, object] = {"x-coarser": SCHEMA_VERSION}
NO_TEXT = dict.fromkeys(("type", "minLength", "maxLength", "pattern", "not"))
BREAKING: dict[str, Edit] = {
    "field removed": lambda s: s["properties"].pop("latency_ms"),
    "now required": lambda s: s["required"].append("outcome"),
    "no longer required": lambda s: s["required"].remove("install_id"),
    "required field added": put("brand_new", {"type": "boolean"}, required=True),
    "value removed": lambda s: s["properties"]["outcome"]["enum"].remove("busy"),
    "constant changed": field("sdk", const="pythons"),
    "upper bound stricter": field("latency_ms", maximum=60_000),
    "lower bound stricter": field("latency_ms", minimum=1),
    "bound now excluded": field("cost_usd", minimum=None, exclusiveMinimum=0),
    "shorter": field("sdk_version", maxLength=16),
    "longer at least": field("sdk_version", minLength=3),
    "fewer characters": field("call_uid", **{"not": {"pattern": "[^0-9a-e]"}}),
    "other first characters": field("sdk_version", pattern="^[1-9]"),
    "beginning asked for": field("call_uid", pattern="^[0-9]"),
    "pattern that cannot be compared": field("sdk_version", pattern="^[0-9]+[.]"),
    "type changed": field("latency_ms", type="number"),
    "list became text": field("outcome", enum=None, type="string", minLength=1, maxLength=9),
    "number became a list": field("latency_ms", type=None, minimum=None, maximum=None, enum=["1"]),
    "list of numbers, unmarked": steps(0.5, 0.1),
    "list of numbers that were not allowed": steps(1, 0.5, **COARSER),
    "list of numbers for a whole one": field(
        "latency_ms", type=None, minimum=None, maximum=None, enum=[0.5], **COARSER
    ),
    "list of words for a text": field(
        "sdk_version", **{**NO_TEXT, "enum": ["1.0", "A"], **COARSER}
    ),
    "type changed, though marked": field("latency_ms", type="number", **COARSER),
    "marked in another version": field("latency_ms", maximum=9, **{"x-coarser": 1}),
    "field removed that was not retired": lambda s: s["properties"].pop("cost_usd"),
    "numbers of a list became words": field("schema_version", const=f"{SCHEMA_VERSION}"),
    "sample_rate excluded by more": lambda s: s["if"]["anyOf"][0]["properties"]["outcome"][
        "enum"
    ].append("busy"),
    "version went back": field("schema_version", const=SCHEMA_VERSION - 1),
}
NARROWING: dict[str, Edit] = {
    "retired": field("latency_ms", **RETIRED),
    "retired, and no longer required": retired("install_id"),
    "fewer values": of_enum("outcome", lambda values: values.remove("busy")),
    "stricter bound": field("latency_ms", maximum=60_000, **COARSER),
    "numbers in steps": steps(0.5, 0.1, **COARSER),
    "whole numbers in steps": field(
        "latency_ms", type=None, minimum=None, maximum=None, enum=[1_000, 100], **COARSER
    ),
    "a text that became a list": field("sdk_version", **{**NO_TEXT, "enum": ["1.0"], **COARSER}),
    "fewer characters": field("call_uid", **{"not": {"pattern": "[^0-9]"}, **COARSER}),
}
WIDENING: dict[str, Edit] = {
    "field added": put("brand_new", {"type": "boolean"}),
    "value added": lambda s: s["properties"]["outcome"]["enum"].append("brand_new"),
    "upper bound looser": field("latency_ms", maximum=3_600_001),
    "lower bound looser": field("cost_usd", minimum=-1),
    "bound gone": field("cost_usd", maximum=None),
    "bound no longer excluded": field("sample_rate", exclusiveMaximum=None, maximum=1),
    "longer": field("sdk_version", maxLength=33),
    "more characters": field("call_uid", **{"not": {"pattern": "[^0-9a-g]"}}),
    "beginning free": field("sdk_version", pattern=None),
    "second pattern gone": field("runtime_version", **{"not": {"pattern": "[^0-9.]"}}),
    "open": lambda s: s.update(additionalProperties=True),
    "sample_rate excluded by less": lambda s: s["if"]["anyOf"].pop(),
    "sample_rate never excluded": lambda s: (s.pop("if"), s.pop("then")),
}
NEUTRAL: dict[str, Edit] = {
    "description": field("outcome", description="Other words."),
    "question": lambda s: s.update({"x-question": "Why?"}),
    "note gone": field("outcome", **{"x-purpose": None}),
}
NOTHING: dict[str, Edit] = {
    "nothing": lambda _: None,
    "id of the version": lambda s: s.update({"$id": "other", "title": "other"}),
    "next version": field("schema_version", const=SCHEMA_VERSION + 1),
    "order of a list": lambda s: s["properties"]["outcome"]["enum"].reverse(),
    "order of fields": lambda s: s["required"].reverse(),
    "the same bound, said otherwise": field("latency_ms", minimum=None, exclusiveMinimum=-1),
    "the same class, said otherwise": field("call_uid", **{"not": {"pattern": "[^a-f0-9]"}}),
    "a list of one is a constant": field("sdk", const=None, enum=["python"]),
}


@pytest.mark.parametrize("edit", BREAKING.values(), ids=BREAKING)
def test_breaking(edit: Edit) -> None:
    assert "breaking" in [change.kind for change in changes(edit)]


@pytest.mark.parametrize(
    ("was", "now", "kinds"), [(9, 10, []), (99, 100, []), (10, 9, ["breaking"])]
)
def test_versions_are_compared_as_numbers(was: int, now: int, kinds: list[str]) -> None:
    old, new = documents(), documents()
    for number, schemas in ((was, old), (now, new)):
        field("schema_version", const=number)(schemas["first_run"])
    assert [change.kind for change in diff(old, new)] == kinds


@pytest.mark.parametrize("edit", NARROWING.values(), ids=NARROWING)
def test_narrowing(edit: Edit) -> None:
    assert {change.kind for change in changes(edit)} == {"narrowing"}


def test_what_is_retired_can_come_back_as_something_more() -> None:
    old = documents()
    new = copy.deepcopy(old)
    retired("install_id")(old["call_completed"])
    assert "breaking" in {change.kind for change in diff(old, new)}  # required again
    new["call_completed"]["required"].remove("install_id")
    assert [(change.kind, change.what) for change in diff(old, new)] == [
        ("widening", "no longer retired")
    ]


def test_a_mark_does_not_hide_what_is_more() -> None:
    def edit(schema: dict[str, Any]) -> None:
        of_enum("outcome", lambda values: values.remove("busy"))(schema)
        schema["properties"]["outcome"]["enum"].append("brand_new")

    assert {change.kind for change in changes(edit)} == {"narrowing", "widening"}


@pytest.mark.parametrize("edit", WIDENING.values(), ids=WIDENING)
def test_widening(edit: Edit) -> None:
    assert {change.kind for change in changes(edit)} == {"widening"}


@pytest.mark.parametrize("edit", NEUTRAL.values(), ids=NEUTRAL)
def test_neutral(edit: Edit) -> None:
    assert {change.kind for change in changes(edit)} == {"neutral"}


@pytest.mark.parametrize("edit", NOTHING.values(), ids=NOTHING)
def test_no_change(edit: Edit) -> None:
    assert changes(edit) == []


def test_an_event_that_is_added_widens_and_one_that_is_removed_breaks() -> None:
    old, new = earlier(7), documents()
    added = [change for change in diff(old, new) if change.path == "config_incomplete"]
    assert [(change.kind, change.what) for change in added] == [("widening", "event added")]
    removed = [change for change in diff(new, old) if change.path == "config_incomplete"]
    assert [(change.kind, change.what) for change in removed] == [("breaking", "event removed")]


def test_a_change_names_its_value() -> None:
    paths = [change.path for change in diff(earlier(5), earlier(7))]
    assert "cli_command.cli_command=hermes" in paths


def test_what_only_one_version_has_excludes_nothing() -> None:
    """v7 had no `sample_rate`, so that what excludes it in v8 takes nothing away."""
    assert [c for c in diff(earlier(7), documents()) if c.kind == "breaking"] == []


@pytest.mark.parametrize(
    "edit",
    [
        field("outcome", format="uuid"),
        lambda s: s.update({"else": {}}),
        lambda s: s.update({"then": {"required": ["outcome"]}}),
    ],
)
def test_what_the_comparison_does_not_know_is_an_error(edit: Edit) -> None:
    with pytest.raises(ValueError, match="comparison"):
        changes(edit)
