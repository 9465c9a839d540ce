"""What is withheld is exactly what the version that was told of would not have sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import drafts
import history
import pytest
from jsonschema import Draft202012Validator

from getpatter.telemetry import disclosure, notice
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.schema import check

VERSIONS = {n: history.load(p) for n, p in history.versions(Path(history.__file__).parent).items()}
EARLIER = [5, 7]


def valid_events() -> list[dict[str, Any]]:
    events = []
    sent = {name: history.sent(schema) for name, schema in VERSIONS[SCHEMA_VERSION].items()}
    for text in drafts.drafts(sent, 2_000, seed=1):
        try:
            event = json.loads(text)
        except ValueError:
            continue
        if check(event) is None:
            events.append(event)
    assert len(events) > 500
    return events


def is_valid_in(version: int, event: dict[str, Any]) -> bool:
    """Whether that version could say each of its fields; what is retired since may be missing."""
    schema = VERSIONS[version].get(event["event"])
    said = {**event, "schema_version": version}
    return schema is not None and Draft202012Validator({**schema, "required": []}).is_valid(said)


@pytest.mark.parametrize("shown", EARLIER)
def test_what_is_left_is_valid_in_the_version_that_was_told_of(shown: int) -> None:
    kept = 0
    for event in valid_events():
        before = dict(event)
        reason = disclosure.withhold(event, shown)
        if reason is None:
            kept += 1
            assert is_valid_in(shown, event), event
            assert check(event) is None
            assert event.keys() <= before.keys()
        else:
            assert reason == ("sampled_out" if "sample_rate" in before else "unknown_event")
    assert kept > 300


@pytest.mark.parametrize("shown", EARLIER)
def test_what_that_version_could_say_stays(shown: int) -> None:
    for event in valid_events():
        if is_valid_in(shown, event):
            before = dict(event)
            assert disclosure.withhold(event, shown) is None
            assert event == before


@pytest.mark.parametrize("shown", [SCHEMA_VERSION, SCHEMA_VERSION + 1])
def test_nothing_is_withheld_where_this_version_was_told_of(shown: int) -> None:
    for event in valid_events():
        before = dict(event)
        assert disclosure.withhold(event, shown) is None
        assert event == before
    assert disclosure.names(shown) == []
    assert disclosure.words(shown) == ()


def test_a_value_becomes_other_where_there_was_that() -> None:
    event: dict[str, object] = {"event": "cli_command", "cli_command": "hermes"}
    assert disclosure.withhold(event, 5) is None
    assert event["cli_command"] == "other"
    event = {"event": "feature_used", "carrier": "other", "engine": "realtime"}
    assert disclosure.withhold(event, 7) is None
    assert event == {"event": "feature_used", "engine": "realtime"}


def test_a_sampled_call_that_may_not_say_so_does_not_leave() -> None:
    """It would count as one, and the calls of everybody else as several."""
    event: dict[str, object] = {"event": "call_started", "sample_rate": 0.1}
    assert disclosure.withhold(event, 7) == "sampled_out"


@pytest.mark.parametrize("shown", EARLIER)
def test_the_notice_names_all_that_is_withheld(shown: int) -> None:
    text = notice.compose(shown, is_upgrade=True)
    named = set(re.findall(r"`([^`]+)`", text))
    for name in disclosure.names(shown):
        assert name.rpartition("=")[2] in named
    assert text.startswith("getpatter was updated")
    assert ("call_uid" in named) is (shown == 5)


def test_a_version_that_collects_nothing_more_has_nothing_to_say() -> None:
    assert notice.compose(SCHEMA_VERSION, is_upgrade=True) == ""


def test_a_new_install_has_the_three_lines_and_an_unknown_one_all_that_is_new() -> None:
    assert notice.compose(None, is_upgrade=False) == notice.TEXT
    text = notice.compose(None, is_upgrade=True)
    assert text.startswith(notice.TEXT)
    assert len(text.splitlines()) == 4 + len(disclosure.words(5))
