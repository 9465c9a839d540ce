"""What the backlog holds: each batch once, where it is, and what is counted when it is lost.

The holder of a batch counts what becomes of it, once; nothing on disk is removed because of an
exception.
"""

from collections import Counter, deque

from getpatter.telemetry.delivery import spool_format
from getpatter.telemetry.delivery.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from getpatter.telemetry.delivery.batch import Report
    from getpatter.telemetry.delivery.spool import Spool
    from getpatter.telemetry.losses import Losses

__all__ = ["Held", "Holdings"]


class Held:
    """One batch: its content, if that is in memory; its place, if it is on disk; and what is to be
    counted if it is lost. `names` is None for a batch that was adopted and not read yet. Until
    `keep_at` it may be in memory only.
    """

    __slots__ = ("batch", "is_own", "keep_at", "names", "place", "report")

    def __init__(
        self,
        batch: Batch | None,
        place: str | None = None,
        *,
        keep_at: float = 0.0,
        is_own: bool = True,
    ) -> None:
        self.batch = batch
        self.keep_at = keep_at
        self.place = place
        self.is_own = is_own
        self.names: Mapping[str, int] | None = None
        self.report: Report = {}
        if batch is not None:
            self.know(batch)

    def know(self, batch: Batch) -> None:
        """Take in the content, once it is read."""
        self.batch = batch
        self.names = Counter(str(event["event"]) for event in batch.events)
        self.report = batch.report

    @property
    def count(self) -> int:
        """How many events it holds; 0 as long as that is not known."""
        return 0 if self.names is None else sum(self.names.values())


class Holdings:
    """The batches that are closed and not delivered: ours, adopted ones, and the one in flight."""

    __slots__ = ("_losses", "_spool", "adopted", "in_flight", "left", "own")

    def __init__(self, spool: "Spool | None", losses: "Losses") -> None:
        self._spool = spool
        self._losses = losses
        self.own: deque[Held] = deque()
        self.adopted: deque[Held] = deque()
        self.in_flight: Held | None = None
        #: Events of ours on disk that are no longer ours to send.
        self.left = 0

    def ours(self) -> "Iterable[Held]":
        """Return what is ours, the batch in flight included."""
        in_flight = self.in_flight
        return [*self.own, *([in_flight] if in_flight and in_flight.is_own else [])]

    def all(self) -> "Iterable[Held]":
        """Return everything that is held."""
        return [*self.own, *self.adopted, *([self.in_flight] if self.in_flight else [])]

    def queue(self, held: Held) -> "deque[Held]":
        """Return the queue that a batch belongs into."""
        return self.own if held.is_own else self.adopted

    def forget(self, held: Held) -> None:
        """Take a batch out of its queue, if it is in there."""
        queue = self.queue(held)
        if held in queue:
            queue.remove(held)

    def remove(self, held: Held) -> None:
        """Remove the file of a batch, if it has one."""
        if held.place is not None and self._spool is not None:
            self._spool.remove(held.place)
            held.place = None

    def lose(self, held: Held, reason: str) -> None:
        """Count a batch as lost, and remove its file; another batch takes over its report."""
        spool, place = self._spool, held.place
        names = held.names
        if spool is not None and place is not None:
            if names is None:
                names = {"": spool.count(place)}
            if reason == "internal_error":
                spool.set_aside(place)
            elif not spool.remove(place) and not held.is_own:
                return  # the process that removed it has counted it
        held.place = None
        self._losses.give_back(held.report)
        self.count(names or {}, reason, is_own=held.is_own)

    def count(self, names: "Mapping[str, int]", reason: str, *, is_own: bool) -> None:
        """Count events as lost; `is_own`: this run has recorded them."""
        for name, times in names.items():
            self._losses.count(name, reason, times, is_own=is_own)

    def give_back(self, held: Held) -> None:
        """Give back the claim on an adopted owner of whom nothing is left."""
        if held.is_own or self._spool is None:
            return
        places = [other.place for other in self.all() if not other.is_own and other.place]
        self._spool.keep({spool_format.owner_of(place) or "" for place in places})
