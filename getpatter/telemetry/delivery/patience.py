"""Patience: how long a thread of the host still waits for us, whatever the clock does.

A clock that stands still (libfaketime, as tests and builds use it) brings no deadline, and under it
no timed wait for a lock ends, and no sleep lasts; a wait for files ends in time. So what
was waited for in vain counts, too.
"""

from getpatter.telemetry._clock import is_running, monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

__all__ = ["Patience"]

# What is waited for at a time where the clock stands still.
_NAP = 0.005
# No wait for a lock may be longer, on any system: some weeks.
_LONGEST = 4_000_000.0


class Patience:
    """Begins with so many seconds, and is used up by waiting and by time that passes. `spare` is by
    how many it may be prolonged.
    """

    __slots__ = ("_left", "_until", "spare")

    def __init__(self, seconds: float, spare: float = 0.0) -> None:
        self._left = min(max(0.0, seconds), _LONGEST)
        self._until = monotonic() + self._left
        self.spare = spare

    @property
    def left(self) -> float:
        """How many seconds are left; 0 when it is used up."""
        return max(0.0, min(self._left, self._until - monotonic()))

    def spend(self, seconds: float) -> None:
        """Count a wait that was in vain."""
        self._left -= seconds

    def prolong(self, seconds: float) -> bool:
        """Begin again with so many seconds of the spare ones; return whether there were any."""
        more = min(seconds, self.spare)
        self.spare -= more
        self._left = more
        self._until = monotonic() + more
        return more > 0

    def acquire(self, lock: "threading.Lock", most: float = _LONGEST) -> bool:
        """Wait for a lock, at most so long, and take it; return whether it was had."""
        seconds = min(self.left, most)
        if _acquired(lock, seconds):
            return True
        self.spend(seconds)
        return False


def _acquired(lock: "threading.Lock", seconds: float) -> bool:
    if lock.acquire(blocking=False):
        return True
    if is_running():
        return lock.acquire(timeout=seconds)
    from select import select  # hardly any process needs it

    while seconds > 0:
        select((), (), (), min(_NAP, seconds))
        seconds -= _NAP
        if lock.acquire(blocking=False):
            return True
    return False
