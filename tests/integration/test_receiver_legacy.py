"""What the shipped receiver takes beside a batch of this client: of released ones, and more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden
import pytest
import requests

from getpatter.telemetry.testing import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = Path(__file__).parents[2] / "schemas"
VALID = [row["event"] for row in golden.rows("valid")]
KEY = "0123456789abcdef" * 2


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the developer is no part of the test
        yield session


def post(http: requests.Session, receiver: Receiver, events: object) -> requests.Response:
    return http.post(receiver.endpoint, json=events, headers={"Idempotency-Key": KEY}, timeout=10)


def earlier(version: int) -> list[dict[str, Any]]:
    """Events as a released client of that version sends them: what v8 added is not in them."""
    found = []
    for path in sorted((SCHEMAS / f"v{version}").glob("*.schema.json")):
        schema = json.loads(path.read_text("ascii"))
        name = path.name.partition(".")[0]
        example = next(row for row in VALID if row["event"] == name)
        known = {key: example[key] for key in example if key in schema["properties"]}
        found.append({**known, "schema_version": version})
    return found


@pytest.mark.parametrize("version", [5, 7])
def test_a_batch_of_a_released_client_is_taken_and_marked(
    http: requests.Session, receiver: Receiver, version: int
) -> None:
    events = earlier(version)
    assert len(events) >= 5
    answer = http.post(receiver.endpoint, json=events, timeout=10)
    assert answer.json() == {"accepted": len(events), "refused": []}
    assert receiver.events == events
    assert receiver.requests[0].is_legacy


def test_a_released_client_of_this_version_is_taken_too(
    http: requests.Session, receiver: Receiver
) -> None:
    for events in (VALID[:2], VALID[2:3], VALID[:2]):  # the last is a blind retry
        answer = http.post(receiver.endpoint, json=events, timeout=10)
        assert answer.json() == {"accepted": len(events), "refused": []}
    assert receiver.events == VALID[:3]
    assert [request.is_legacy for request in receiver.requests] == [True] * 3


def test_what_no_released_client_sends_is_refused_from_one(
    http: requests.Session, receiver: Receiver
) -> None:
    wrong = [{**VALID[0], "os": "x"}, {**VALID[0], "schema_version": 6}, {"schema_version": 7}, 7]
    wrong += [{**VALID[0], "schema_version": value} for value in (True, 7.5, [7], "7")]
    answer = http.post(receiver.endpoint, json=wrong, timeout=10)
    assert answer.json()["accepted"] == 0
    assert len(receiver.refused) == len(wrong)


@pytest.mark.parametrize("version", [5, 7])
def test_earlier_events_are_refused_from_a_client_that_has_a_key(
    http: requests.Session, receiver: Receiver, version: int
) -> None:
    answer = post(http, receiver, earlier(version))
    assert answer.json()["accepted"] == 0
    assert not receiver.requests[0].is_legacy


@pytest.mark.parametrize(("most", "count", "status"), [(512, 512, 200), (512, 513, 413)])
@pytest.mark.parametrize("is_legacy", [False, True])
def test_a_collector_may_take_more_and_says_so(
    http: requests.Session, most: int, count: int, status: int, is_legacy: bool
) -> None:
    with Receiver(max_events=most) as receiver:
        headers = {} if is_legacy else {"Idempotency-Key": KEY}
        answer = http.post(receiver.endpoint, json=[1] * count, headers=headers, timeout=10)
        assert answer.status_code == status
        assert answer.headers["Patter-Max-Events"] == str(most)
        assert http.get(receiver.endpoint, timeout=10).headers["Patter-Max-Events"] == str(most)


def test_a_collector_that_says_nothing_takes_64(http: requests.Session, receiver: Receiver) -> None:
    answer = post(http, receiver, [1] * 64)
    assert (answer.status_code, answer.headers.get("Patter-Max-Events")) == (200, None)


@pytest.mark.parametrize("most", [0, -1, 513])
def test_what_a_collector_cannot_say_is_refused_at_once(most: int) -> None:
    with pytest.raises(ValueError, match="1 to 512"):
        Receiver(max_events=most)
