"""A busy program sends about one request per second, or full batches: not one for each event."""

from conftest import Run

from getpatter.telemetry.testing import Receiver


def test_events_that_come_one_by_one_travel_together(run: Run, receiver: Receiver) -> None:
    done = run("""
import time
from threading import Event
from getpatter.telemetry import TelemetryClient

client = TelemetryClient(sdk_version="0.8.0")
began = time.monotonic()
while time.monotonic() - began < 4:
    client.record("cli_command", cli_command="eval")
    Event().wait(0.05)
print(time.monotonic() - began, client.flush(20))
""")
    assert done.returncode == 0, done.stderr
    seconds, flushed = done.stdout.split()
    assert flushed == "True"
    # One each second, and one at either end.
    assert len(receiver.requests) <= float(seconds) + 2
    assert len(receiver.events) > 2 * len(receiver.requests)
