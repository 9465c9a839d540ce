"""Canaries in every field of every diagnostics API: the file has them, no v8 event has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

    from getpatter.telemetry.testing import Receiver

CANARY = "canary-5Jx0q"

PROGRAM = """
import itertools
from contextlib import suppress
from getpatter import Patter
from getpatter.calls import *

numbers = itertools.count()
def canary():
    return f"CANARY{next(numbers)}"

patter = Patter(carrier="none")
hub = patter.diagnostics
hub.attach(JsonLinesSink("calls.jsonl", max_bytes=100_000_000))

def begin(**options):
    call = patter.call(direction="inbound", session=canary(), **options)
    call.turn()
    return call

REASONS = [
    lambda: canary(), lambda: Custom(canary()), lambda: UserAction(canary()),
    lambda: Backend(canary()), lambda: SdkDriven(canary()), lambda: UserAction(),
    lambda: Backend("CALL_ENDED_EVENT"), lambda: Backend("LEAVE_TIMEOUT_AFTER_DISCONNECT"),
    lambda: RetryExhausted(3, canary()), lambda: RetryExhausted(canary(), "SFU_ERROR"),
    lambda: RetryExhausted(2, "SFU_ERROR"), lambda: SdkDriven("RING_TIMEOUT"),
]
for delivery, reason in itertools.product(("IN_PLACE", "BATCH"), REASONS):
    call = begin(delivery=delivery)
    r = call.reporter
    r.begin(canary()); r.begin("llm", role=canary())
    stage = r.begin("ws_join", role="publisher")
    r.complete(canary()); r.complete(stage, canary()); r.retry(canary()); r.first(canary())
    r.complete(stage, "CUSTOM", reason=canary(), retry_count=canary(),
               previously_connected_at=canary(), elapsed=canary())
    r.join(canary()); r.join("migration")
    r.ice(canary(), canary()); r.ice("publisher", canary()); r.ice("publisher", "checking")
    r.tell(canary(), {canary(): canary(), "nested": [{canary(): canary()}]})
    emitter = call.emitter(canary())
    emitter.emit(canary(), {canary(): canary()}, correlation_id=canary(), turn_id=canary())
    emitter.try_emit(canary(), canary())
    with emitter.span(canary(), {canary(): canary()}, correlation_id=canary()) as span:
        span.set(canary(), canary())
    call.leave(reason())
    call.end()
for end in (
    lambda call: call.leave(canary()),
    lambda call: call.error(canary(), canary()),
    lambda call: call.hangup(canary()),
    lambda call: call.cost(canary()),
):
    with begin() as call:
        end(call)
with suppress(RuntimeError), begin() as call:
    with call.stage("llm"):
        raise RuntimeError(canary())
with suppress(RuntimeError), begin() as call:
    with call.stage(canary()):
        raise type(canary(), (RuntimeError,), {})(canary())
session = hub.session(canary())
hub.emitter(canary(), session).emit(canary(), canary())
Reporter(hub.emitter(canary(), session)).tell(canary(), {canary(): canary()})
assert hub.flush(30)
hub.attach(lambda event: 1 / 0, canary())
hub.close(30)
assert patter.telemetry.flush(30)
"""


@pytest.mark.parametrize("variables", [{}, {"PATTER_TELEMETRY": "0"}], ids=["on", "off"])
def test_no_field_of_diagnostics_reaches_a_v8_event(
    run: Run, receiver: Receiver, tmp_path: Path, variables: dict[str, str]
) -> None:
    done = run(PROGRAM.replace("CANARY", CANARY + "-"), timeout=120, **variables)
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "work" / "calls.jsonl").read_text("utf-8")
    # Or the test would hold nothing. And turning telemetry off does not turn diagnostics off.
    assert told.count(CANARY) > 500
    assert told.count('"call.ended"') == 30
    sent = json.dumps([request.events for request in receiver.requests])
    heads = str([(request.path, request.headers) for request in receiver.requests])
    assert CANARY not in sent + heads
    completed = [event for event in receiver.events if event["event"] == "call_completed"]
    assert len(completed) == (0 if variables else 30)
    assert receiver.refused == []
    calls = {event["call_uid"] for event in completed}
    assert len(calls) == len(completed)
