"""The collector's clocks and its randomness: the one place where they are read."""

import os
import time
from datetime import date, timedelta

__all__ = ["jitter", "monotonic", "now", "random_id", "today"]

#: Seconds since some moment; never jumps.
monotonic = time.monotonic


def now() -> int:
    """Return whole seconds since the epoch."""
    return int(time.time())  # noqa: TID251 - the one place


def today() -> date:
    """Return the day in UTC."""
    return date(1970, 1, 1) + timedelta(seconds=now())


def random_id() -> str:
    """Return 32 random hexadecimal digits."""
    return os.urandom(16).hex()


def jitter(most: int) -> int:
    """Return a random whole number from 0 to `most`, so that clients do not retry together."""
    return int.from_bytes(os.urandom(2), "big") % (most + 1)
