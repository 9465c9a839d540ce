"""The buffer between the host's threads and the worker: bounded, and never waited for.

`put` may run anywhere, also within itself (a signal handler, a finaliser), so it takes no lock:
each step on the deque is one step of the interpreter.
"""

from collections import deque

from getpatter.telemetry.delivery.limits import BUFFER_RECORDS
from getpatter.telemetry.losses import Losses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Buffer"]

_Record = tuple[str, "Mapping[str, object]", float]


class Buffer:
    """Holds what was recorded; over `capacity` the oldest goes, and is counted."""

    __slots__ = ("_capacity", "_losses", "_records")

    def __init__(self, losses: Losses, capacity: int = BUFFER_RECORDS) -> None:
        self._records: deque[_Record] = deque()
        self._capacity = capacity
        self._losses = losses

    def __len__(self) -> int:
        return len(self._records)

    def oldest(self) -> float | None:
        """Return when the oldest waiting record was made; None where none waits."""
        try:
            return self._records[0][2]
        except IndexError:
            return None

    def put(self, record: _Record) -> int:
        """Add (name, dimensions, monotonic seconds); answer how many are waiting now."""
        records = self._records
        records.append(record)
        waiting = len(records)
        return waiting if waiting <= self._capacity else self._make_room()

    def _make_room(self) -> int:
        while (waiting := len(self._records)) > self._capacity:
            self.lose("queue_full", 1)
        return waiting

    def take(self, limit: int) -> list[_Record]:
        """Remove and return the oldest records, `limit` at most."""
        taken: list[_Record] = []
        while len(taken) < limit:
            try:
                taken.append(self._records.popleft())
            except IndexError:
                break
        return taken

    def lose(self, reason: str, limit: int | None = None) -> int:
        """Drop the oldest records, by default all, and count each under `reason`;
        return how many.
        """
        lost = self.take(len(self._records) if limit is None else limit)
        for name, _, _ in lost:
            self._losses.count(name, reason)
        return len(lost)
