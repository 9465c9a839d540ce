"""Short turns: while much is loaded, the host's threads have their turn ten times as often.

Loading takes a tenth of a second of Python, and a loop that waits for its turn would wait for a
whole one, 5 ms, each time.
"""

import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SECONDS", "short_turns"]

#: A tenth of Python's own: short beside the 20 ms frames of a call, long beside a change of
#: threads.
SECONDS = 0.0005


@contextmanager
def short_turns() -> "Iterator[None]":
    """Lower the interpreter's switch interval for a while.

    What the host has set stays: a lower one, and any that it sets meanwhile.
    """
    before = sys.getswitchinterval()
    if before <= SECONDS:
        yield
        return
    sys.setswitchinterval(SECONDS)
    ours = sys.getswitchinterval()
    try:
        yield
    finally:
        if sys.getswitchinterval() == ours:
            sys.setswitchinterval(before)
