"""Batches and their parts: whoever tries again, also another process, must say the same."""

import hashlib
import json

from getpatter.telemetry.delivery.batch import Batch, Response, part_key

KEY = "0123456789abcdef" * 2
REPORT = {("call_started", "queue_full"): 3}


def batch(count: int = 5) -> Batch:
    events = [{"event": "call_started", "n": n} for n in range(count)]
    return Batch(events, KEY, 1_000.0, dict(REPORT), rate=0.5, version="1.2.3")


def numbers(found: Batch) -> list[object]:
    return [event["n"] for event in found.events]


def test_part_keys_are_the_contract_s() -> None:
    for part in (0, 1):
        expected = hashlib.sha256(f"{KEY}:{part}".encode()).hexdigest()[:32]
        assert part_key(KEY, part) == expected
    assert part_key(KEY, 0) != part_key(KEY, 1)


def test_the_halves_have_keys_of_their_own_and_the_report_travels_once() -> None:
    first, second = batch().halves()
    assert (numbers(first), first.key, first.report) == ([0, 1], part_key(KEY, 0), REPORT)
    assert (numbers(second), second.key, second.report) == ([2, 3, 4], part_key(KEY, 1), {})
    for part in (first, second):
        assert (part.closed_at, part.rate, part.version) == (1_000.0, 0.5, "1.2.3")


def test_what_was_refused_is_left_out_under_a_key_of_its_own() -> None:
    left = batch().without([1, 4])
    assert (numbers(left), left.key, left.report) == ([0, 2, 3], part_key(KEY, 0), REPORT)


def test_the_body_is_an_array_of_the_events_and_nothing_else() -> None:
    assert json.loads(batch(2).encoded()) == [
        {"event": "call_started", "n": 0},
        {"event": "call_started", "n": 1},
    ]


def test_an_answer_says_by_itself_that_a_request_was_made() -> None:
    assert Response(None).reason == ""
    not_made = Response.none("opted_out")
    assert (not_made.status, not_made.reason) == (None, "opted_out")
