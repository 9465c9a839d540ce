"""When an event was recorded, and as which one of its session."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Stamp"]


class Stamp(NamedTuple):
    """Taken on the thread that records an event, for the thread that emits it later.

    `sequence` is None for an event that is numbered when it is emitted.
    """

    timestamp_us: int
    sequence: int | None = None
