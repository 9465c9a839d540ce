"""Telling works in memory only: no file, socket, import or process on the caller's thread."""

import json

from conftest import Run

WATCH = """
import json, sys, threading
from getpatter import Patter
from getpatter.calls import JsonLinesSink, UserAction

patter = Patter(carrier="none", telemetry=False)
patter.diagnostics.attach(JsonLinesSink("calls.jsonl"))
MAIN = threading.get_ident()
seen, is_watching = [], False
def watch(event, args):
    if is_watching and threading.get_ident() == MAIN:
        seen.append((event, str(args[0]) if args else ""))
sys.addaudithook(watch)

def use():
    for _ in range(50):
        with patter.call(direction="inbound") as call:
            call.turn()
            with call.stage("llm") as stage:
                stage.retry()
                stage.first()
            call.observe("eou", 0.1)
            call.reporter.join("migration")
            call.reporter.ice("publisher", "checking")
            emitter = call.emitter("tool")
            for number in range(300):
                emitter.emit("event", {"number": number, "text": "x" * 999, "odd": object()})
            with emitter.span("work"):
                pass
            call.leave(UserAction())

use()  # what is loaded the first time
assert patter.diagnostics.flush(60)
is_watching = True
use()
is_watching = False
assert patter.diagnostics.flush(60)
print(json.dumps({"seen": seen, "stats": patter.diagnostics.stats()}))
"""


def test_telling_does_no_io(run: Run) -> None:
    done = run(WATCH, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # A thread would be started only in the place of one that hangs in a sink.
    harmless = {"_thread.start_new_thread", "_thread.start_joinable_thread", "builtins.id"}
    assert [event for event in told["seen"] if event[0] not in harmless] == []
    assert told["stats"]["sinks"]["jsonlines"]["delivered"] > 1_000
