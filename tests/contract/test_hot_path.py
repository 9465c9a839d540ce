"""`record` works in memory only: no file, socket, import or environment on the caller's thread."""

import json

from conftest import Run

WATCH = """
import json, os, sys, threading

class Environment(dict):
    reads = 0
    def __getitem__(self, name):
        Environment.reads += threading.get_ident() == MAIN
        return super().__getitem__(name)
    def get(self, name, default=None):
        Environment.reads += threading.get_ident() == MAIN
        return super().get(name, default)
    def __contains__(self, name):
        Environment.reads += threading.get_ident() == MAIN
        return super().__contains__(name)
    def __iter__(self):
        Environment.reads += threading.get_ident() == MAIN
        return super().__iter__()

MAIN = threading.get_ident()
os.environ = Environment(os.environ)
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
assert Environment.reads > 0, "the environment is watched"

seen, is_watching = [], False
def watch(event, args):
    if is_watching and threading.get_ident() == MAIN:
        seen.append((event, str(args[0]) if args else ""))
sys.addaudithook(watch)

def first():
    client.record("call_started", carrier="twilio", latency_ms=3)

def others():
    for number in range(5_000):
        client.record("agent_configured", builtin_tool_count=number, model="x" * 9_999)
        client.record("no_such_event", what=object())

told = {}
for name, work in (("first", first), ("others", others), ("closed", others)):
    if name == "closed":
        client.flush(5)
        client.close()
    seen.clear()
    Environment.reads = 0
    is_watching = True
    work()
    is_watching = False
    told[name] = {"seen": list(seen), "reads": Environment.reads}
print(json.dumps(told))
"""


def test_record_does_no_io(run: Run) -> None:
    done = run(WATCH)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["others"] == {"seen": [], "reads": 0}
    assert told["closed"] == {"seen": [], "reads": 0}
    assert told["first"]["reads"] == 0
    # The first record starts the thread, and that is all.
    assert {event for event, _ in told["first"]["seen"]} <= {
        "_thread.start_new_thread",
        "_thread.start_joinable_thread",
        "object.__getattr__",
    }
