"""Plots as text: one bar a value, on a logarithmic scale, because growth is a matter of factors."""

import math
from collections.abc import Mapping

__all__ = ["bars"]

_WIDTH = 50
# What one decade above the smallest value is wide, when all values fit into fewer than five.
_DECADES = 4.0


def bars(title: str, values: Mapping[str, float | None], unit: str) -> str:
    """Return a plot: the label, a bar and the number of each value; a value below zero is zero."""
    known = [value for value in values.values() if value is not None and value > 0]
    least = min(known, default=1.0)
    decades = max(_DECADES, math.log10(max(known, default=1.0) / least) + 1)
    label = max(map(len, values), default=0)
    lines = [f"{title} ({unit}; a bar {_WIDTH / decades:.0f} longer is ten times as much)"]
    for name, value in values.items():
        if value is None:
            lines.append(f"{name:<{label}}  —")
            continue
        length = 0 if value <= 0 else round((math.log10(value / least) + 1) / decades * _WIDTH)
        lines.append(f"{name:<{label}}  {'█' * length:<{_WIDTH}} {value:,.2f}")
    return "\n".join(lines)
