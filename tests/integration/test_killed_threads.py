"""Threads of ours that are killed: what they had not in hand is delivered nevertheless."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

TRACED = """
import asyncio, json, sys, threading
import requests
from getpatter import Patter
from getpatter.telemetry import TelemetryClient
left, line = int(sys.argv[1]), int(sys.argv[2])
seen = {}
def trace(frame, event, arg):
    global left
    # Not current_thread(): it makes one for a thread that is about to end, which 3.13 reports.
    me = next((t for t in threading.enumerate() if t.ident == threading.get_ident()), None)
    if left and me and me.name.startswith(sys.argv[3]) and "getpatter" in frame.f_code.co_filename:
        seen[me] = seen.get(me, 0) + 1
        if seen[me] == line:
            left -= 1
            raise SystemExit
    return trace
threading.excepthook = lambda args: None
client = TelemetryClient(sdk_version="1")
client.record("call_started", direction="inbound")
assert client.flush(30)
client.close(30)
client = TelemetryClient(sdk_version="1")
threading.settrace(trace)
for number in range(3):
    client.record("call_started", direction="outbound")
    asyncio.run(client.drain(0.2))
    client.flush(30)
assert client.flush(30), client.stats()
threading.settrace(None)
assert left < int(sys.argv[1])
print(json.dumps(client.stats()))
"""


@pytest.mark.parametrize(
    ("thread", "times", "line"),
    [
        ("getpatter-telemetry", 1, 1),
        ("getpatter-telemetry", 2, 4),
        ("getpatter-telemetry", 1_000_000, 1),
        ("getpatter-telemetry-http", 1, 1),
        ("getpatter-telemetry-drain", 1, 1),
    ],
)
def test_a_tracer_that_ends_our_threads_does_not_end_delivery(
    run: Run, receiver: Receiver, thread: str, times: int, line: int
) -> None:
    """Once, twice, or in every thread that is started: then the caller does the work."""
    done = run(f"import sys\nsys.argv = ['', '{times}', '{line}', '{thread}']\n{TRACED}")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert json.loads(done.stdout) == {"delivered": 3, "waiting": 0, "spooled": 0, "lost": {}}
    assert [event.get("direction") for event in receiver.events].count("outbound") == 3
