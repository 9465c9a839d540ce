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
    r.emit(canary(), {canary(): canary(), "nested": [{canary(): canary()}]})
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
Reporter(hub.emitter(canary(), session)).emit(canary(), {canary(): canary()})
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


# The statistics half: every kind with every field, samples, connections, callbacks, settings.
STATISTICS = """
import itertools, threading
from getpatter import Patter
from getpatter.calls import *
from getpatter.calls.callbacks.subscriptions import NAMES
from getpatter.calls.stats.sample import NUMBERS, TEXTS, VALUES

numbers = itertools.count()
def canary():
    return f"CANARY{next(numbers)}"

TYPES = {
    "text": canary, "texts": lambda: [canary()], "count": lambda: 1, "number": lambda: 0.5,
    "flag": lambda: True, "object": lambda: {canary(): [canary(), {canary(): canary()}]},
}
patter = Patter(carrier="none", stats_interval=1)
hub = patter.diagnostics
hub.attach(JsonLinesSink("calls.jsonl", max_bytes=100_000_000))
heard, changed = [], threading.Condition()
def hear(payload):
    with changed:
        heard.append(repr(payload))
        changed.notify_all()
    raise RuntimeError(canary())
async def answer(payload):
    return canary()
def ask(where):
    for name in NAMES:
        assert where.on(name, hear) and where.on(name, answer)
    where.on(canary(), hear)
ask(patter)

for number in range(3):
    alice = canary()
    call = patter.call(direction="inbound", session=canary(), ends_with=alice)
    call.answer()
    ask(call)
    call.set_stats_interval(canary())
    call.event(canary(), canary(), {canary(): canary()}, notify=canary())
    assert call.event("participant_active", alice, {"owner": canary()})
    for kind, about in VOCABULARY.items():
        if kind in ("room_ended", "participant_left", "connection_aborted"):
            continue
        fields = {name: TYPES[field.type]() for name, field in about.fields.items()}
        assert call.event(kind, canary(), fields), (kind, fields)
        call.event(kind, canary(), {**fields, canary(): canary()})
        call.event(kind, canary(), {name: canary() for name in fields})
        patter.event(kind, fields)
    for _ in range(3):
        texts = {name: VALUES[name][0] if name in VALUES else canary() for name in TEXTS}
        assert call.sample(alice, {**texts, "packets": 5, "bytes": 9})
        call.sample(canary(), {name: canary() for name in TEXTS})
        call.sample(alice, {**texts, **{name: canary() for name in NUMBERS}})
        call.sample(alice, {canary(): canary()})
    call.sample(canary(), canary())
    call.connection(alice, connection_state=canary(), fabric_state=canary())
    patter.service.error(canary(), canary(), canary(), canary())
    patter.service.error(canary(), canary(), canary(), call.id)
    if number == 0:
        call.event("room_ended", canary(), {"reason": canary()})
    elif number == 1:
        call.event("participant_left", alice, {"reason": canary(), "owner": canary()})
        call.end()
    else:
        call.end()
    assert call.reporter.has_ended
patter.set_stats_interval(canary())
patter.precall_test([canary()])
patter.precall_test(["127.0.0.1:9/" + canary()])
patter.precall_test(["http://127.0.0.1:9/" + canary()], probes=1)
with changed:
    assert changed.wait_for(lambda: any("endpoints" in one for one in heard), 60)
assert hub.flush(60)
open("heard", "w").write("".join(heard))
hub.close(30)
assert patter.telemetry.flush(60)
"""


@pytest.mark.parametrize("variables", [{}, {"PATTER_TELEMETRY": "0"}], ids=["on", "off"])
def test_no_field_of_statistics_reaches_a_v8_event(
    run: Run, receiver: Receiver, tmp_path: Path, variables: dict[str, str]
) -> None:
    # What a collector says is answered to callbacks, and comes back to it as little.
    receiver.recommended = {"sample_rate": 0.5, "without": [CANARY], CANARY: CANARY}
    done = run(STATISTICS.replace("CANARY", CANARY + "-"), timeout=120, **variables)
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "work" / "calls.jsonl").read_text("utf-8")
    heard = (tmp_path / "work" / "heard").read_text("utf-8")
    # Turning telemetry off does not turn any of this off.
    assert told.count(CANARY) > 500
    assert heard.count(CANARY) > 100
    assert told.count('"call.ended"') == told.count('"room_ended"') == 3
    sent = [(request.path, str(request.headers), request.events) for request in receiver.requests]
    assert CANARY not in json.dumps(sent)
    completed = [event for event in receiver.events if event["event"] == "call_completed"]
    assert len(completed) == (0 if variables else 3)
    assert receiver.refused == []


def test_diagnostics_off_leaves_telemetry_on(run: Run, receiver: Receiver) -> None:
    done = run(
        """
from getpatter import Patter
patter = Patter(carrier="none", diagnostics=False)
call = patter.call(direction="inbound", ends_with="alice")
call.answer()
call.event("participant_active", "alice")
call.sample("alice", {"track": "t", "direction": "up"})
call.event("participant_left", "alice")
assert call.reporter.has_ended
assert patter.telemetry.flush(60)
"""
    )
    assert done.returncode == 0, done.stderr
    (completed,) = (event for event in receiver.events if event["event"] == "call_completed")
    assert completed["outcome"] == "completed"
