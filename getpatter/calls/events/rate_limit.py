"""The rate limit of an emitter: so many events per second and type. Pure, and takes no lock.

`admit` may run in many threads at once and within itself (a signal handler, a finaliser): each step
on the tables is one step of the interpreter, and `next` on a counter counts each event once.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PER_SECOND", "TYPES", "EventRateLimit"]

#: A hundred of one type in a second is a loop that went wrong, not a call.
PER_SECOND = 100
#: Types that are counted within one second; a program with more has put data into the type.
TYPES = 128


class EventRateLimit:
    """At most `per_second` events of each type in each second of the clock that `admit` is given.

    With 0 nothing passes. A new second begins with empty tables, so that only what came within
    one second is kept; a thread or two beyond `types` may pass where several arrive together.
    """

    __slots__ = ("_per_second", "_seconds", "_types")

    def __init__(self, per_second: int = PER_SECOND, types: int = TYPES) -> None:
        self._per_second = per_second
        self._types = types
        self._seconds: dict[int, dict[str, Iterator[int]]] = {}

    def admit(self, event_type: str, now: float) -> str:
        """Return an empty text if it may pass, else the reason: `rate_limit` or `type_limit`."""
        second = int(now)
        window = self._seconds.get(second)
        if window is None:
            window = self._next(second)
        counter = window.get(event_type)
        if counter is None:
            if len(window) >= self._types:
                return "type_limit"
            counter = window.setdefault(event_type, itertools.count(1))
        return "" if next(counter) <= self._per_second else "rate_limit"

    def _next(self, second: int) -> dict[str, Iterator[int]]:
        window = self._seconds.setdefault(second, {})
        for passed in list(self._seconds):
            if passed < second:
                self._seconds.pop(passed, None)
        return window
