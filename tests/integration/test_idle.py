"""A program that has nothing to report keeps no thread of ours."""

from conftest import Run

from getpatter.telemetry.testing import Receiver


def test_the_threads_end_by_themselves_and_come_back(run: Run, receiver: Receiver) -> None:
    done = run("""
import sys, time
from getpatter import Patter

def threads():
    return len(sys._current_frames())  # ours are none of `threading.enumerate()`

before = threads()
phone = Patter(carrier="none")
assert phone.telemetry.flush(20)
assert threads() > before
until = time.monotonic() + 60
while threads() > before and time.monotonic() < until:
    time.sleep(0.1)
assert threads() == before
phone.telemetry.record("cli_command", cli_command="eval")
assert phone.telemetry.flush(20)
""")
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events][-1] == "cli_command"
