"""Threads of ours that are killed: what they had not in hand is delivered nevertheless."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

# A host whose tracer gets into every thread, and raises there.
TRACED = """
import _thread, asyncio, json, linecache, sys, threading
import requests
left, line = int(sys.argv[1]), int(sys.argv[2])
start, is_tracing = _thread.start_new_thread, False
def is_finaliser(frame):  # what is raised there ends no thread: Python prints it
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None
def traced(function, args, *more):
    work = getattr(args[0], "__func__", args[0]) if args else function
    seen = 0
    def trace(frame, event, arg):
        nonlocal seen
        global left
        # Python shows the line of a `with` again when it is left, before the lock is released: who
        # raises there leaves any lock of any program locked.
        code = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if code.lstrip().startswith("with ") or is_finaliser(frame):
            return trace
        if left and is_tracing and "getpatter" in frame.f_code.co_filename:
            seen += 1
            if seen == line:
                left -= 1
                raise SystemExit
        return trace
    def run(*args):
        if getattr(work, "__module__", "").endswith("." + sys.argv[3]):
            sys.settrace(trace)
        function(*args)
    return start(run, args, *more)
_thread.start_new_thread = traced

from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("call_started", direction="inbound")
assert client.flush(30)
client.close(30)
client = TelemetryClient(sdk_version="1")
is_tracing = True
for number in range(3):
    client.record("call_started", direction="outbound")
    asyncio.run(client.drain(0.2))
    client.flush(30)
assert client.flush(30), client.stats()
is_tracing = False
assert left < int(sys.argv[1])
print(json.dumps(client.stats()))
"""


@pytest.mark.parametrize(
    ("module", "times", "line"),
    [
        ("worker", 1, 1),
        ("worker", 2, 6),
        ("worker", 1, 40),
        ("worker", 1_000_000, 1),
        ("uploader", 1, 1),
        ("uploader", 1, 8),
        ("drain", 1, 1),
    ],
)
def test_a_tracer_that_ends_our_threads_does_not_end_delivery(
    run: Run, receiver: Receiver, module: str, times: int, line: int
) -> None:
    """Once, twice, or in every thread that is started: then the caller does the work."""
    done = run(f"import sys\nsys.argv = ['', '{times}', '{line}', '{module}']\n{TRACED}")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert json.loads(done.stdout) == {"delivered": 3, "waiting": 0, "spooled": 0, "lost": {}}
    assert [event.get("direction") for event in receiver.events].count("outbound") == 3
