"""The persister: has the batches of the backlog on disk when they have to be there.

Sees to a disk that fails, to the bounds of the spool, and to a claim that is gone.
"""

from collections import Counter

from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.claims import LOST
from getpatter.telemetry.delivery.held import Held
from getpatter.telemetry.delivery.limits import DISK_AGAIN, DISK_LONGEST
from getpatter.telemetry.delivery.spool_files import GONE, LATER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from getpatter.telemetry.delivery.batch import Event, Report
    from getpatter.telemetry.delivery.held import Holdings
    from getpatter.telemetry.delivery.spool import Spool

__all__ = ["REMOVED", "Persister", "Rest"]

#: What a file of ours was lost for that somebody has removed while we held it.
REMOVED = "spool_full"


class Rest:
    """How long something that failed is left alone: doubling, until it has worked again."""

    __slots__ = ("_seconds", "is_on", "until")

    def __init__(self) -> None:
        self.is_on = False
        self.until = float("-inf")
        self._seconds = DISK_AGAIN

    def begin(self, now: float) -> None:
        """Note a failure."""
        self.is_on = True
        self.until = now + self._seconds
        self._seconds = min(2 * self._seconds, DISK_LONGEST)

    def end(self) -> None:
        """Note that it works."""
        self.is_on = False
        self.until = float("-inf")
        self._seconds = DISK_AGAIN


class Persister:
    """Writes what is held to `spool`; None where nothing is kept."""

    __slots__ = ("_holdings", "_on_error", "_spool", "_writing")

    def __init__(
        self,
        holdings: "Holdings",
        spool: "Spool | None",
        on_error: "Callable[[BaseException], None]",
    ) -> None:
        self._holdings = holdings
        self._spool = spool
        self._on_error = on_error
        self._writing = Rest()

    def room(self, rate: float, limit: int) -> int:
        """Return how many events `fill` would take."""
        held = self._holdings.own[-1] if self._holdings.own else None
        batch = None if held is None or held.place is None else held.batch
        if batch is None or batch.tries or batch.rate != rate:
            return 0
        return max(0, limit - len(batch.events))

    def fill(self, events: "Sequence[Event]", report: "Report", now: float) -> bool:
        """Add events to the last batch, which is on disk and was never sent, see `room`.

        False if they cannot be: what is there stays as it is.
        """
        self.check_claim(now)
        held = self._holdings.own[-1] if self._holdings.own else None
        if held is None or held.batch is None or held.place is None or self._spool is None:
            return False
        old = held.batch
        merged = Counter(old.report)
        merged.update(report)
        filled = Batch(
            [*old.events, *events],
            old.key,
            old.closed_at,
            dict(merged),
            rate=old.rate,
            version=old.version,
        )
        if self._spool.write(filled, now, place=held.place) is None:
            return False
        held.know(filled)
        self._keep_to_bounds(now)
        return True

    def can_persist(self, now: float) -> bool:
        """Return whether a batch that is closed now is likely to be on disk when it has to be."""
        if self._spool is None or now < self._writing.until:
            return False
        return not self._writing.is_on or all(held.place is not None for held in self._holdings.own)

    def persist(self, now: float, *, is_last: bool = False) -> float | None:
        """Put on disk what is to be there; return in how many seconds to do so again, None if there
        is no reason to. `is_last`: all of it, also if the disk has just failed.
        """
        unkept = [held for held in self._holdings.ours() if held.place is None]
        if self._spool is None or not unkept:
            return None
        if is_last:
            self._writing.end()
        due = [held for held in unkept if is_last or held.keep_at <= now]
        if due and now < self._writing.until:
            return self._writing.until - now
        if due:
            self.check_claim(now)
        for held in due:
            try:
                if not self.persist_one(held, now):
                    return max(0.0, self._writing.until - now)
            except Exception as error:  # of this batch alone
                self._on_error(error)
                held.keep_at = float("inf")
                if held is not self._holdings.in_flight:  # that one is answered, or not
                    self._holdings.forget(held)
                    self._holdings.lose(held, "internal_error")
        if due:
            self._keep_to_bounds(now)
        times = [held.keep_at for held in unkept if now < held.keep_at < float("inf")]
        return min(times) - now if times else None

    def persist_one(self, held: Held, now: float) -> bool:
        """Put one batch on disk; return whether it is there."""
        spool = self._spool
        if held.batch is not None and spool is not None and now >= self._writing.until:
            held.place = spool.write(held.batch, now)
            if held.place is None:
                self._writing.begin(now)
            else:
                self._writing.end()
        return held.place is not None

    def _keep_to_bounds(self, now: float) -> None:
        if self._spool is None:
            return
        known = {held.place: held for held in self._holdings.all()}
        for place, reason in self._spool.excess():
            held = known.get(place) or Held(None, place, is_own=False)
            if held is self._holdings.in_flight:
                continue  # it is about to be settled
            try:
                if held.names is None and self._load_any(held, now) == LATER:
                    continue  # not before it can be counted
            except Exception as error:  # of this batch alone
                self._on_error(error)
            self._holdings.forget(held)
            self._holdings.lose(held, reason)

    def _load_any(self, held: Held, now: float) -> str | None:
        """Read a batch for whatever endpoint, to know what is lost with it; return why not."""
        if self._spool is None or held.place is None:
            return GONE
        content = self._spool.content(held.place)
        if isinstance(content, str):
            return content
        held.know(self._spool.batch(content, held.place, now))
        return None

    def check_claim(self, now: float) -> None:
        """See to what is on disk if our claim on it is gone."""
        spool = self._spool
        happened = None if spool is None else spool.check()
        if spool is None or happened is None:
            return
        for held in list(self._holdings.ours()):
            place = held.place
            if place is None or (spool.holds(place) and spool.is_there(place)):
                continue
            held.place = None
            if happened == LOST:
                # Another process may have it, and then it is that one's to send and to count.
                self._holdings.forget(held)
                if held is not self._holdings.in_flight:
                    self._holdings.left += held.count
            elif held.batch is None:
                self._holdings.forget(held)
                self._holdings.lose(held, REMOVED)
            else:
                self.persist_one(held, now)
