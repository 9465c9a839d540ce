"""Known calls: which call of this process the id of a carrier names.

Ids are kept as hashes under a key of this process: in memory, never in an event.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Known(Protocol):
        """A call. It is not kept alive."""


__all__ = ["KnownCalls"]

# Ids that are remembered after their calls, so that a late repeat is no unknown call.
_REMEMBERED = 10_000


class KnownCalls:
    """The calls of one host object, by carrier and id. Safe from any thread; takes no lock."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with none: at first, and in a `fork` child, which has no calls of its parent."""
        self._key = os.urandom(32)
        self._calls: weakref.WeakValueDictionary[bytes, Known] = weakref.WeakValueDictionary()
        self._seen: dict[bytes, object] = {}

    def add(self, call: Known, carrier: str, call_id: str) -> None:
        """Say that a call has this id. Of two calls with one id the later one counts."""
        key = self._hash(carrier, call_id)
        self._calls[key] = call
        self._remember(key)

    def find(self, carrier: str, ids: Sequence[str]) -> Known | None:
        """Return the call that has one of these ids, if it is still there."""
        found = (self._calls.get(self._hash(carrier, one)) for one in ids)
        return next((call for call in found if call is not None), None)

    def claim(self, carrier: str, ids: Sequence[str]) -> bool:
        """Return whether no call here ever had one of these ids; from now on one had."""
        # All of them: of two threads with the same ids one gets all.
        are_new = [self._remember(self._hash(carrier, one)) for one in sorted(ids)]
        return bool(are_new) and all(are_new)

    def _remember(self, key: bytes) -> bool:
        mine = object()
        is_new = self._seen.setdefault(key, mine) is mine
        while len(self._seen) > _REMEMBERED:
            try:
                self._seen.pop(next(iter(self._seen)), None)
            except (RuntimeError, StopIteration):  # another thread was here
                break
        return is_new

    def _hash(self, carrier: str, call_id: str) -> bytes:
        from hashlib import blake2b  # few programs have callbacks of a carrier

        text = f"{carrier}:{call_id}".encode("utf-8", "surrogatepass")
        return blake2b(text, key=self._key, digest_size=16).digest()
