"""The gate: which events this run keeps, and with what probability. Pure.

The decision depends on the run id and the rate alone, so that every client, in any language,
decides alike; what must not be lost is never sampled and carries no rate.
"""

from getpatter.telemetry._tables import NEVER_SAMPLED_OUTCOMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Gate", "is_sampleable", "probability", "ratio"]

# The hash has 8 hex digits: below this, its steps are coarse beside the rate.
_COARSE = 1e-6


def ratio(run_id: str) -> float:
    """Return where in [0, 1] the run lies: the first 8 hex digits of SHA-256(run id), scaled."""
    import hashlib  # takes longer to load than all else here, and few runs are sampled

    return int(hashlib.sha256(run_id.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def probability(rate: float) -> float:
    """Return the probability with which `ratio` is below `rate`: how a kept event is weighed.

    That is the rate, but for very low ones: of the 2**32 values of the hash, at least one is below
    any rate above 0.
    """
    if rate >= _COARSE or rate <= 0:
        return rate
    return -int(-rate * 0xFFFFFFFF // 1) / 2**32


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

    __slots__ = ("_kept", "_probability", "rate")

    def __init__(self, run_id: str, rate: float) -> None:
        self.rate = rate
        self._probability = probability(rate)
        self._kept = rate >= 1 or ratio(run_id) < rate

    def decide(self, name: str, dimensions: "Mapping[str, object]") -> float | None:
        """Return the probability with which this event is kept, None if this run drops it.

        `dimensions` are valid ones. 1.0 means: not sampled, so no `sample_rate` stands on it.
        """
        if not is_sampleable(name, dimensions):
            return 1.0
        return self._probability if self._kept else None
