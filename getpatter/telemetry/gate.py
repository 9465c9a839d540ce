"""The gate: which events this run keeps, and with what probability. Pure.

The decision depends on the run id and the rate alone, so that every client, in any language,
decides alike; what must never be thinned out is never sampled and carries no rate.
"""

from getpatter.telemetry._tables import NEVER_SAMPLED_OUTCOMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Above this the rate is the probability to a fifth of a percent.
_TINY = 1e-7

__all__ = ["Gate", "is_sampleable", "ratio"]


def ratio(run_id: str) -> float:
    """Return where in [0, 1] the run lies: the first 8 hex digits of SHA-256(run id), scaled."""
    import hashlib  # takes longer to load than all else here, and few runs are sampled

    return int(hashlib.sha256(run_id.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def is_sampleable(name: str, dimensions: "Mapping[str, object]") -> bool:
    """Return whether sampling may drop the event: calls that began, and calls without an error."""
    if name == "call_started":
        return True
    return (
        name == "call_completed"
        and "error_code" not in dimensions
        and dimensions.get("outcome") not in NEVER_SAMPLED_OUTCOMES
    )


class Gate:
    """The decision of one run at one rate."""

    __slots__ = ("_kept", "rate")

    def __init__(self, run_id: str, rate: float) -> None:
        # Of so few ratios that are below it, a rate is no good measure any more.
        self.rate = rate if rate >= _TINY else -int(-rate * 0xFFFFFFFF // 1) / 2**32
        self._kept = rate >= 1 or ratio(run_id) < rate

    def decide(self, name: str, dimensions: "Mapping[str, object]") -> float | None:
        """Return the probability with which this event is kept, None if this run drops it.

        `dimensions` are valid ones. 1.0 means: not thinned out, so no `sample_rate` stands on it.
        """
        if not is_sampleable(name, dimensions):
            return 1.0
        return self.rate if self._kept else None
