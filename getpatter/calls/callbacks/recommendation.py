"""What a collector recommends: only ever to collect less, and only if the host says so.

Decides and never acts; what applies a recommendation is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from getpatter.calls.result import OK, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Recommendation", "reduction"]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to collect less of. Nothing happens before `apply()`.

    `sample_rate`: the lower rate, None to keep it. `without`: events to record no longer. `off`:
    record nothing. `ignored`: what was recommended and is no reduction, by name.
    """

    sample_rate: float | None = None
    without: tuple[str, ...] = ()
    off: bool = False
    ignored: tuple[str, ...] = ()
    _apply: Callable[[Recommendation], object] | None = field(
        default=None, repr=False, compare=False
    )

    def apply(self) -> Result:
        """Apply it for the rest of the run; answer `not_applied` where that is not possible."""
        if self._apply is None:
            return Result("not_applied", "nothing here can apply a recommendation")
        try:
            self._apply(self)
        except Exception as error:  # the public boundary: a callback gets a result, no exception
            return Result("not_applied", f"applying the recommendation failed: {error!r:.200}")
        return OK


def reduction(
    recommended: object,
    *,
    sample_rate: float,
    events: Collection[str],
    apply: Callable[[Recommendation], object] | None = None,
) -> Recommendation | None:
    """Return what of a collector's `recommended` reduces collection; None if nothing does.

    `sample_rate` and `events` are what is in force. Whatever would collect more, is not known or
    makes no sense is not taken, and named in `ignored`.
    """
    if not isinstance(recommended, dict):
        return None
    ignored = sorted(
        str(name)[:80] for name in recommended.keys() - {"sample_rate", "without", "off"}
    )
    rate = recommended.get("sample_rate")
    if rate is not None and not _is_lower(rate, sample_rate):
        ignored.append("sample_rate")
        rate = None
    without = recommended.get("without")
    fewer: tuple[str, ...] = ()
    if without is not None:
        named = without if isinstance(without, list) else []
        fewer = tuple(sorted({name for name in named if isinstance(name, str) and name in events}))
        if not fewer:
            ignored.append("without")
    off = recommended.get("off")
    if off is not None and off is not True:
        ignored.append("off")
    if rate is None and not fewer and off is not True:
        return None
    return Recommendation(rate, fewer, off is True, tuple(ignored), apply)


def _is_lower(rate: object, than: float) -> bool:
    return isinstance(rate, (int, float)) and type(rate) is not bool and 0 <= rate < than
