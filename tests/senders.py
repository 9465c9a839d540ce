"""Finds the detached senders of a state directory; they are nobody's children."""

import os
import time
from pathlib import Path

# What a next start would do with what a program that ended left on disk.
CATCH_UP = """
import os
from getpatter.telemetry import install_id
from getpatter.telemetry.delivery import sender
directory = install_id.open_state().directory
if directory is not None:
    sender.send_all(directory, os.environ)
"""


def senders(state: Path) -> list[int]:
    """The senders of this state directory that are alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(state) in arguments:
            found.append(int(place.name))
    return found


def gone(state: Path, seconds: float = 20) -> bool:
    """Wait until no sender of this state directory is left."""
    until = time.monotonic() + seconds
    while senders(state):
        if time.monotonic() > until:
            return False
        os.sched_yield()
    return True
