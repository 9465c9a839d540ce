"""A session: what the emitters of one call share: its sequence, its ring, its losses.

Owned by its maker (a call); the hub only has a weak reference, so that a session that nobody
holds any more leaves nothing behind.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any

from getpatter.calls.events.losses import EventLosses

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RING_EVENTS", "Record", "Session"]

#: A call of a minute has about this many; at a few hundred bytes each a ring is 50 KiB.
RING_EVENTS = 100

#: type, session, node, timestamp_us, sequence, data, correlation_id, turn_id
Record = tuple[str, str, str, int, int, dict[Any, object], "object", "object"]


class Session:
    """The shared part of the emitters of one call.

    `ring` keeps its last `ring_events` events for later subscribers; 0 keeps none.
    """

    __slots__ = (
        *("__weakref__", "health_at", "id", "is_closed", "is_ended", "losses"),
        *("next_sequence", "ring", "rule"),
    )

    def __init__(self, session_id: str, ring_events: int = RING_EVENTS) -> None:
        self.id = session_id
        #: Whether the emitters of the host are refused, and whether the library's own are, too.
        self.is_ended = False
        self.is_closed = False
        #: By which rule they are refused then.
        self.rule = "closed"
        self.losses = EventLosses()
        # When it last reported losses; the hub's thread alone reads and sets it.
        self.health_at: float | None = None
        self.next_sequence: Callable[[], int] = itertools.count().__next__
        self.ring: deque[Record] = deque(maxlen=ring_events)

    def end(self) -> None:
        """Take no more events of the host: what comes now is lost and counted as `closed`."""
        self.is_ended = True

    def close(self) -> None:
        """Take no more events at all."""
        self.is_ended = self.is_closed = True
