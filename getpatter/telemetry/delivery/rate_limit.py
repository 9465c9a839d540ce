"""The rate limit: how many events of one name this process may record. On the caller's side.

One number a name is all its state: until when the events taken so far would last at the steady
rate. Taking is a read and a write without a lock, since it may run within itself (a signal
handler, a finaliser); two threads in the same instant may take one event more than the limit.
"""

__all__ = ["BURST", "PER_SECOND", "RateLimit"]

#: Events of one name that may come at once: a busy process's calls of some minutes.
BURST = 2_000
#: Events of one name a second from then on; far above any number of calls one process holds.
PER_SECOND = 100.0
# No process records so many events.
_UNLIMITED = 1e12


class RateLimit:
    """A token bucket for each of `names`, and one for all names that are none of them.

    `burst` events at once, `per_second` from then on; 0 a second: never more than the burst.
    """

    __slots__ = ("_ahead", "_full_at", "_gap")

    def __init__(
        self, names: "tuple[str, ...]", burst: float = BURST, per_second: float = PER_SECOND
    ) -> None:
        burst, per_second = _finite(burst), _finite(per_second)
        # A bucket that nothing refills: a gap so long that the burst alone counts.
        self._gap = 1.0 / per_second if per_second > 0 else 1e9
        # Half an event of slack: sums of gaps are not exact.
        self._ahead = (burst - 0.5) * self._gap
        self._full_at = dict.fromkeys((*names, ""), 0.0)

    def take(self, name: object, now: float) -> bool:
        """Return whether an event of that name may be recorded at `now` (monotonic seconds)."""
        full_at = self._full_at
        # Asking the exact type first: hashing a subclass would run its code.
        key = name if type(name) is str and name in full_at else ""
        until = max(full_at[key], now)  # before now it was full
        if until - now > self._ahead:
            return False
        full_at[key] = until + self._gap
        return True


def _finite(number: float) -> float:
    """Return a number of the host's as one that can be reckoned with; NaN is nothing."""
    try:
        return min(max(0.0, float(number)), _UNLIMITED)
    except OverflowError:
        return _UNLIMITED if number > 0 else 0.0
