"""Claims: the names under which batches are in a spool, and which of them this process holds.

Every process writes under a name of its own and holds a lock on it while it lives; the name of one
that has exited can be taken over, with its batches.
"""

import os

from getpatter.telemetry import _directories
from getpatter.telemetry.delivery.claim import Claim

__all__ = ["LOST", "REMOVED", "Claims"]

# What became of our own claim.
#: Its file was removed, and what was beside it may have been, too; nobody has taken over.
REMOVED = "removed"
#: Its descriptor was closed behind our back, so that anybody may have taken over.
LOST = "lost"


class Claims:
    """The names that this process holds in the spool at `path`; `own` is its own."""

    __slots__ = ("_claim", "_path", "adopted", "own")

    def __init__(self, path: str) -> None:
        self._path = path
        self.own = os.urandom(8).hex()
        self._claim: Claim | None = None
        self.adopted: dict[str, Claim] = {}

    def _lock(self, owner: str) -> str:
        return os.path.join(self._path, f"{owner}.lock")

    @property
    def is_begun(self) -> bool:
        """Whether our own name stands for anything."""
        return self._claim is not None

    def holds(self, owner: "str | None") -> bool:
        """Return whether we hold the name of this owner."""
        claim = self._claim if owner == self.own else self.adopted.get(owner or "")
        return claim is not None and claim.is_held

    def may_write(self, owner: str) -> bool:
        """Return whether we hold the name of this owner; take our own if need be."""
        if owner == self.own and self._claim is None:
            try:
                _directories.make_directory(self._path)
                if _directories.problem_of(self._path) is not None:
                    return False
            except OSError:
                return False
            self._claim = Claim.take(self._lock(owner))
        return self.holds(owner)

    def check(self) -> str | None:
        """Return what became of our own claim, if it is no longer held; it is taken anew then."""
        claim = self._claim
        if claim is None or claim.is_held:
            return None
        happened = REMOVED if claim.is_open else LOST
        claim.end()
        self._claim = None
        self.may_write(self.own)
        return happened

    def adopt(self, owner: str) -> bool:
        """Take over the name of an owner that has exited; return whether that could be done."""
        claim = Claim.take(self._lock(owner))
        if claim is not None:
            self.adopted[owner] = claim
        return claim is not None

    def give_back(self, owner: str, *, remove: bool) -> None:
        """Give back the name of an adopted owner; `remove` it if it stands for nothing."""
        claim = self.adopted.pop(owner, None)
        if claim is not None:
            claim.end(remove=remove)

    def release(self, *, remove: bool) -> None:
        """Give back our own name: a process that begins from now on may adopt our batches."""
        if self._claim is not None:
            self._claim.end(remove=remove)
            self._claim = None

    def drop_inherited(self) -> None:
        """Close what a `fork` child has of its parent's claims; they stay the parent's."""
        for claim in (self._claim, *self.adopted.values()):
            if claim is not None:
                claim.close()
