"""What the programs of these tests import: the host object, and `tell`.

`tell` records an event and notes it where the test reads along, so that the test knows what must
arrive. The journal is a named pipe: writing a line to it is one step, whoever writes.
"""

import os

from getpatter import Patter

phone = Patter(carrier="none")
client = phone.telemetry


def note(phase: str, number: int, uid: str = "-") -> None:
    """Write a line into the test's journal; without an uid it tells no event."""
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY)
    try:
        os.write(journal, f"{phase} {number} {uid}\n".encode())
    finally:
        os.close(journal)


def tell(phase: str) -> None:
    """Record an event that no other resembles, and note its phase and its `call_uid`."""
    uid = os.urandom(16).hex()
    client.record("call_started", direction="inbound", call_uid=uid)
    note(phase, os.getpid(), uid)
