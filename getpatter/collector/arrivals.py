"""The last requests of clients, for the page that shows whether anything arrives. In memory only.

No content, no id, no address: what is kept of a request is what refusals are counted by, too.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.collector.batch import ReceivedBatch

__all__ = ["Arrival", "Arrivals"]

_MOST = 50
_UNKNOWN = "unknown event"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that was answered. `refused` are a pointer and a rule each, with how many."""

    moment: int
    status: int
    events: tuple[tuple[str, int], ...] = ()
    versions: tuple[str, ...] = ()
    refused: tuple[tuple[str, str, int], ...] = ()
    is_legacy: bool = False
    is_repeated: bool = False


class Arrivals:
    """The last requests, the newest first. The event loop's thread writes, any thread reads."""

    def __init__(self, began: int) -> None:
        self.began = began
        self._last: deque[Arrival] = deque(maxlen=_MOST)

    def add(
        self, moment: int, status: int, batch: ReceivedBatch | None, *, is_repeated: bool = False
    ) -> None:
        """Keep what may be shown of a request."""
        if batch is None:
            self._last.appendleft(Arrival(moment, status))
            return
        taken = [event for _, event in batch.events]
        names = Counter(str(event["event"]) for event in taken)
        names.update(kind[2] or _UNKNOWN for kind in batch.refusals)
        versions = {f"{event['sdk']} {event['sdk_version']}" for event in taken}
        refused = Counter((kind[3] or "", kind[4]) for kind in batch.refusals)
        arrival = Arrival(
            moment,
            status,
            tuple(names.most_common()),
            tuple(sorted(versions)),
            tuple((pointer, rule, n) for (pointer, rule), n in refused.most_common()),
            batch.key.is_legacy,
            is_repeated,
        )
        self._last.appendleft(arrival)

    def last(self) -> Sequence[Arrival]:
        """Return the last requests, the newest first."""
        return tuple(self._last)
