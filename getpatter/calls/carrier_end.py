"""What a carrier says of the end of a call. Pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CarrierEnd"]


class CarrierEnd(NamedTuple):
    """How a call ended, as its carrier reports it; what the host reports goes before it.

    `answered`: it was connected, so its media must have been here. If it was not, that failed.
    """

    answered: bool
    unanswered: str | None = None
    hung_up: str | None = None
    error: str | None = None
    stage: str | None = None

    def over(self, other: CarrierEnd | None) -> CarrierEnd:
        """Return which of two counts, whichever came first: the one that says more."""
        return self if other is None else max(self, other, key=CarrierEnd._rank)

    def _rank(self) -> tuple[bool, bool, bool, str]:
        said = (self.error, self.unanswered, self.hung_up)
        return said[0] is not None, said[1] is not None, said[2] is not None, repr(self)

    def error_of(self, *, connected: bool) -> tuple[str | None, str | None]:
        """Return the error code and the stage that this stands for."""
        if self.answered and not connected:
            return "connection", "peer_connection"
        return self.error, self.stage
