"""A program that has nothing to report keeps no thread of ours."""

from conftest import Run

from getpatter.telemetry.testing import Receiver


def test_the_threads_end_by_themselves_and_come_back(run: Run, receiver: Receiver) -> None:
    done = run("""
import threading
from getpatter import Patter

def ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("getpatter")]

assert ours() == []
phone = Patter(carrier="none")
assert phone.telemetry.flush(20)
running = ours()
assert running
for thread in running:
    thread.join(60)
assert ours() == [], ours()
phone.telemetry.record("cli_command", cli_command="eval")
assert ours()
""")
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in receiver.events][-1] == "cli_command"
