"""Rate limits: for all, and for each install, in memory; never for an address."""

from __future__ import annotations

from collections import OrderedDict

from getpatter.collector.limits import (
    GLOBAL_RATE,
    INSTALL_BUCKETS,
    INSTALL_BURST,
    INSTALL_RATE,
)

__all__ = ["Bucket", "RateLimits"]


class Bucket:
    """A token bucket: `burst` at once, `rate` a second."""

    __slots__ = ("_burst", "_left", "_rate", "_seen")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._seen = burst, now

    def take(self, amount: int, now: float) -> float:
        """Take `amount` and return 0, or take nothing and return the seconds to wait."""
        self._left = min(self._burst, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if amount <= self._left:
            self._left -= amount
            return 0.0
        return (amount - self._left) / self._rate


class RateLimits:
    """One bucket for all, one for each of the installs seen last."""

    def __init__(self, now: float) -> None:
        self._all = Bucket(GLOBAL_RATE, 2 * GLOBAL_RATE, now)
        self._installs: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, installs: dict[str, int], now: float) -> float:
        """Take the events of a batch, by install; return 0, or after how many seconds to retry."""
        wait = self._all.take(sum(installs.values()), now)
        for install, amount in installs.items():
            if wait:
                break
            bucket = self._installs.pop(install, None) or Bucket(INSTALL_RATE, INSTALL_BURST, now)
            self._installs[install] = bucket  # the last one seen is the last one dropped
            wait = bucket.take(amount, now)
        while len(self._installs) > INSTALL_BUCKETS:
            self._installs.popitem(last=False)
        return wait
