"""Figures that a framework has measured, as an integration takes them."""

from __future__ import annotations

import math

__all__ = ["measured"]


def measured(value: object) -> float | None:
    """Return a latency in seconds; None for what says that nothing was measured."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value)
    return seconds if math.isfinite(seconds) and seconds > 0 else None
