"""The clocks and the random ids of call diagnostics: the one file here that asks for them."""

from __future__ import annotations

import os
import time

from getpatter.calls.enums import Word
from getpatter.telemetry._clock import monotonic, seconds

__all__ = ["monotonic", "new_id", "seconds", "timestamp_us"]


def timestamp_us() -> int:
    """Return the wall clock in microseconds since 1970: for reading, never for measuring."""
    return time.time_ns() // 1_000  # noqa: TID251 - the one place


def new_id() -> Word:
    """Return 32 random hexadecimal digits."""
    return Word(os.urandom(16).hex())
