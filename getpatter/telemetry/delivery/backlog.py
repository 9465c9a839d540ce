"""The backlog: the one owner of every batch that is closed and not delivered.

It alone knows where a batch is (in memory, on disk, in flight), whose it is (ours, or adopted from
an owner that has exited), and what of it has been counted. A batch is persisted when a request for
it has failed, when others wait before it, or when its oldest record is a second old. Before every
request it cost about a tenth of the throughput, roughly measured. Whoever holds a batch counts what
becomes of it, once; nothing on disk is removed because of an exception. Has no lock and no
thread: whoever calls holds the worker's.
"""

from collections import Counter, deque

from getpatter.telemetry.delivery import schedule, spool_format
from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.limits import DISK_AGAIN, DISK_LONGEST, SPOOL_SECONDS, TRIES
from getpatter.telemetry.delivery.owners import LOST
from getpatter.telemetry.delivery.spool_files import DAMAGED, GONE, LATER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from getpatter.telemetry.delivery.batch import Event, Report
    from getpatter.telemetry.delivery.schedule import Verdict
    from getpatter.telemetry.delivery.spool import Spool
    from getpatter.telemetry.losses import Losses

__all__ = ["Backlog"]

# What a file of ours was lost for that somebody has removed while we held it.
_REMOVED = "spool_full"


class _Held:
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
        self.batch = batch
        self.names = Counter(str(event["event"]) for event in batch.events)
        self.report = batch.report

    @property
    def count(self) -> int:
        return 0 if self.names is None else sum(self.names.values())


class _Rest:
    """How long something that failed is left alone: doubling, until it has worked again."""

    __slots__ = ("_seconds", "is_on", "until")

    def __init__(self) -> None:
        self.is_on = False
        self.until = float("-inf")
        self._seconds = DISK_AGAIN

    def begin(self, now: float) -> None:
        self.is_on = True
        self.until = now + self._seconds
        self._seconds = min(2 * self._seconds, DISK_LONGEST)

    def end(self) -> None:
        self.is_on = False
        self.until = float("-inf")
        self._seconds = DISK_AGAIN


class Backlog:
    """Owns the batches of one destination, and its spool; `spool` is None where nothing is kept.

    `on_error` is told of every exception that is a bug of ours.
    """

    def __init__(
        self,
        spool: "Spool | None",
        losses: "Losses",
        on_error: "Callable[[BaseException], None]",
    ) -> None:
        self._spool = spool
        self._losses = losses
        self._on_error = on_error
        self._own: deque[_Held] = deque()
        self._adopted: deque[_Held] = deque()
        self._in_flight: _Held | None = None
        self._writing = _Rest()
        self._reading = _Rest()
        # Events of ours on disk that are no longer ours to send.
        self._left = 0
        #: How many events of ours were delivered.
        self.delivered = 0

    # what there is

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is left to deliver, on disk included."""
        return not self._own and not (self._in_flight and self._in_flight.is_own)

    @property
    def is_in_flight(self) -> bool:
        """Whether a batch is being sent."""
        return self._in_flight is not None

    @property
    def has_own(self) -> bool:
        """Whether a batch of ours waits to be sent."""
        return bool(self._own)

    @property
    def has_next(self) -> bool:
        """Whether any batch waits to be sent."""
        return bool(self._own or self._adopted)

    @property
    def waiting(self) -> int:
        """How many events of ours are in memory only."""
        return sum(held.count for held in self._ours() if held.place is None)

    @property
    def spooled(self) -> int:
        """How many events of ours are on disk."""
        return self._left + sum(held.count for held in self._ours() if held.place is not None)

    def _ours(self) -> "Iterable[_Held]":
        in_flight = self._in_flight
        return [*self._own, *([in_flight] if in_flight and in_flight.is_own else [])]

    def _all(self) -> "Iterable[_Held]":
        return [*self._own, *self._adopted, *([self._in_flight] if self._in_flight else [])]

    # adding

    def add(self, batch: Batch, now: float, keep_at: float) -> None:
        """Take over a closed batch, which is to be on disk at `keep_at` if it is not delivered."""
        self._own.append(_Held(batch, keep_at=keep_at))
        if len(self._own) > 1:
            # One batch waits in memory behind the one in flight; what comes after it, on disk.
            self._own[-1].keep_at = now
        self.persist(now)
        # The content stays in memory of what is sent next, and of what may still be filled.
        if len(self._own) > 2 and self._own[-2].place is not None:
            self._own[-2].batch = None

    def room(self, rate: float, limit: int) -> int:
        """Return how many events `fill` would take."""
        held = self._own[-1] if self._own else None
        batch = None if held is None or held.place is None else held.batch
        if batch is None or batch.tries or batch.rate != rate:
            return 0
        return max(0, limit - len(batch.events))

    def fill(self, events: "Sequence[Event]", report: "Report", now: float) -> bool:
        """Add events to the last batch, which is on disk and was never sent, see `room`.

        False if they cannot be: what is there stays as it is.
        """
        self._check_claim(now)
        held = self._own[-1] if self._own else None
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

    def adopt(self) -> bool:
        """Take over the batches of an owner that has exited; return whether there was one."""
        places = [] if self._spool is None else self._spool.adopt()
        self._adopted.extend(_Held(None, place, is_own=False) for place in places)
        return bool(places)

    # the disk

    def can_persist(self, now: float) -> bool:
        """Return whether a batch that is closed now is likely to be on disk when it has to be."""
        if self._spool is None or now < self._writing.until:
            return False
        return not self._writing.is_on or all(held.place is not None for held in self._own)

    def persist(self, now: float, *, is_last: bool = False) -> float | None:
        """Put on disk what is to be there; return in how many seconds to do so again, None if there
        is no reason to. `is_last`: all of it, also if the disk has just failed.
        """
        unkept = [held for held in self._ours() if held.place is None]
        if self._spool is None or not unkept:
            return None
        if is_last:
            self._writing.end()
        due = [held for held in unkept if is_last or held.keep_at <= now]
        if due and now < self._writing.until:
            return self._writing.until - now
        if due:
            self._check_claim(now)
        for held in due:
            try:
                if not self._persist(held, now):
                    return max(0.0, self._writing.until - now)
            except Exception as error:  # of this batch alone
                self._on_error(error)
                held.keep_at = float("inf")
                if held is not self._in_flight:  # that one is answered, or not
                    self._forget(held)
                    self._lose(held, "internal_error")
        if due:
            self._keep_to_bounds(now)
        times = [held.keep_at for held in unkept if now < held.keep_at < float("inf")]
        return min(times) - now if times else None

    def _persist(self, held: _Held, now: float) -> bool:
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
        known = {held.place: held for held in self._all()}
        for place, reason in self._spool.excess():
            held = known.get(place) or _Held(None, place, is_own=False)
            if held is self._in_flight:
                continue  # it is about to be settled
            try:
                if held.names is None and self._load_any(held, now) == LATER:
                    continue  # not before it can be counted
            except Exception as error:  # of this batch alone
                self._on_error(error)
            self._forget(held)
            self._lose(held, reason)

    def _load_any(self, held: _Held, now: float) -> str | None:
        """Read a batch for whatever endpoint, to know what is lost with it; return why not."""
        if self._spool is None or held.place is None:
            return GONE
        content = self._spool.content(held.place)
        if isinstance(content, str):
            return content
        held.know(self._spool.batch(content, held.place, now))
        return None

    def _check_claim(self, now: float) -> None:
        """See to what is on disk if our claim on it is gone."""
        spool = self._spool
        happened = None if spool is None else spool.check()
        if spool is None or happened is None:
            return
        for held in list(self._ours()):
            place = held.place
            if place is None or (spool.holds(place) and spool.is_there(place)):
                continue
            held.place = None
            if happened == LOST:
                # Another process may have it, and then it is that one's to send and to count.
                self._forget(held)
                if held is not self._in_flight:
                    self._left += held.count
            elif held.batch is None:
                self._forget(held)
                self._lose(held, _REMOVED)
            else:
                self._persist(held, now)

    # sending

    def take(self, now: float, limit: int) -> Batch | None:
        """Return the next batch to send, which then is in flight: ours before the adopted ones, the
        oldest first. None if there is none, or none that can be read now: see `pause`.
        """
        self._check_claim(now)
        for queue in (self._own, self._adopted):
            while queue and now >= self._reading.until:
                held = queue.popleft()
                if not self._has_content(held, now):
                    self._give_back(held)
                    continue
                batch = held.batch
                if batch is None:
                    continue
                if len(batch.events) > limit:
                    self._replace(held, batch.halves(), now)
                    continue
                self._in_flight = held
                return batch
        return None

    def pause(self, now: float) -> float:
        """Return for how long there is no use in `take`: what is on disk cannot be read now."""
        return max(0.0, self._reading.until - now)

    def _has_content(self, held: _Held, now: float) -> bool:
        """Have the content of a batch in memory; if there is none to be had, see to what that
        means, and answer False.
        """
        spool, place = self._spool, held.place
        if spool is None or place is None:
            return held.batch is not None
        if not held.is_own and not spool.holds(place):
            return False  # whoever holds it now sees to it
        try:
            found = held.batch or spool.read(place, now)
        except Exception as error:  # of this batch alone
            self._on_error(error)
            found = DAMAGED
        if isinstance(found, Batch):
            if held.batch is None:
                held.know(found)
            if spool.age(place) > SPOOL_SECONDS:
                self._lose(held, "expired")
                return False
            self._reading.end()
            return True
        if found == LATER:
            self._queue(held).append(held)
            self._reading.begin(now)
        elif found == DAMAGED:
            self._lose(held, "internal_error")
        elif held.is_own:
            self._lose(held, _REMOVED)
        return False

    def unsend(self) -> None:
        """Take back the batch in flight, which was not sent."""
        held, self._in_flight = self._in_flight, None
        if held is not None:
            self._queue(held).appendleft(held)

    def settle(self, verdict: "Verdict", now: float) -> None:
        """Do with the batch in flight what its answer means."""
        held, self._in_flight = self._in_flight, None
        if held is None or held.batch is None:
            return
        try:
            self._settle(held, held.batch, verdict, now)
        except Exception as error:  # of this batch alone: set aside, if it is on disk
            self._on_error(error)
            self._forget(held)
            self._lose(held, "internal_error")
        self._give_back(held)

    def _settle(self, held: _Held, batch: Batch, verdict: "Verdict", now: float) -> None:
        if verdict.kind == schedule.DELIVERED:
            self._count(self._names(batch, verdict.refused), "rejected", is_own=held.is_own)
            if held.is_own:
                self.delivered += len(batch.events) - len(verdict.refused)
            self._remove(held)
        elif verdict.kind == schedule.RETRY:
            batch.tries += 1
            batch.faults += verdict.reason == "internal_error"
            self._retry(held, batch, verdict.reason, now)
        elif verdict.kind == schedule.SPLIT:
            self._replace(held, batch.halves(), now)
        elif verdict.kind == schedule.REDUCE:
            if self._replace(held, [batch.without(verdict.refused)], now):
                names = self._names(batch, verdict.refused)
                self._count(names, verdict.reason, is_own=held.is_own)
        else:
            self._lose(held, verdict.reason)

    def _retry(self, held: _Held, batch: Batch, reason: str, now: float) -> None:
        """Keep a batch for another try: on disk, or in memory for so many tries."""
        if held.place is None and not self._persist(held, now) and batch.tries >= TRIES:
            self._lose(held, reason)
        else:
            self._queue(held).appendleft(held)

    def _replace(self, held: _Held, parts: "Sequence[Batch]", now: float) -> bool:
        """Put parts in the place of a batch; answer whether that was done.

        Parts of a batch on disk are persisted before it is removed: a kill in between sends them
        twice, under the same keys, and loses nothing. If they cannot be, it stays as it is.
        """
        queue = self._queue(held)
        made = [_Held(part, keep_at=held.keep_at, is_own=held.is_own) for part in parts]
        if held.place is not None and self._spool is not None:
            for part in made:
                assert part.batch is not None  # noqa: S101 - as constructed
                part.place = self._spool.write(part.batch, now, beside=held.place)
            if any(part.place is None for part in made):
                for part in made:
                    if part.place is not None:
                        self._spool.remove(part.place)
                queue.appendleft(held)
                self._reading.begin(now)
                return False
            self._spool.remove(held.place)
        queue.extendleft(reversed(made))
        return True

    # giving up

    def discard(self, reason: str) -> None:
        """Give up all that is ours but what is in flight, of which only the file goes: it is still
        answered, or not.
        """
        own, self._own = self._own, deque()
        for held in own:
            self._lose(held, reason)
        if self._in_flight is not None and self._in_flight.is_own:
            self._remove(self._in_flight)

    def discard_unkept(self, reason: str) -> None:
        """Give up what is in memory only, the batch in flight included."""
        for held in [held for held in self._ours() if held.place is None]:
            self._forget(held)
            if held is self._in_flight:
                self._in_flight = None
            self._lose(held, reason)

    def _lose(self, held: _Held, reason: str) -> None:
        """Count a batch as lost, and remove its file; its report is to be said by another."""
        spool, place = self._spool, held.place
        names = held.names
        if spool is not None and place is not None:
            if names is None:
                names = {"": spool.count(place)}
            if reason == "internal_error":
                spool.set_aside(place)
            elif not spool.remove(place) and not held.is_own:
                return  # whoever has removed it has counted it
        held.place = None
        self._losses.give_back(held.report)
        self._count(names or {}, reason, is_own=held.is_own)

    def _count(self, names: "Mapping[str, int]", reason: str, *, is_own: bool) -> None:
        for name, times in names.items():
            self._losses.count(name, reason, times, is_own=is_own)

    @staticmethod
    def _names(batch: Batch, indices: "Iterable[int]") -> "Mapping[str, int]":
        return Counter(str(batch.events[index]["event"]) for index in indices)

    def _remove(self, held: _Held) -> None:
        if held.place is not None and self._spool is not None:
            self._spool.remove(held.place)
            held.place = None

    def _queue(self, held: _Held) -> "deque[_Held]":
        return self._own if held.is_own else self._adopted

    def _forget(self, held: _Held) -> None:
        """Take a batch out of its queue, if it is in there."""
        queue = self._queue(held)
        if held in queue:
            queue.remove(held)

    def _give_back(self, held: _Held) -> None:
        """Give back the claim on an adopted owner of whom nothing is left."""
        if held.is_own or self._spool is None:
            return
        places = [other.place for other in self._all() if not other.is_own and other.place]
        self._spool.keep({spool_format.owner_of(place) or "" for place in places})

    # the end

    def disconnect(self) -> None:
        """Give back what was adopted; all can go on."""
        self._adopted.clear()
        if self._spool is not None:
            self._spool.tidy()

    def release(self) -> None:
        """Give back what is ours, too: a later start may adopt it from now on."""
        self._adopted.clear()
        kept = [held for held in self._own if held.place is not None]
        self._left += sum(held.count for held in kept)
        for held in kept:
            self._own.remove(held)
        if self._spool is not None:
            self._spool.release()

    def hand_over(self) -> str | None:
        """Say to a sender that this process ends; return the spool's directory, None if nothing is
        there to be sent.
        """
        if self._spool is None or not self.spooled:
            return None
        self._spool.say_ending()
        return self._spool.path

    def drop_inherited(self) -> None:
        """Leave to the parent what is the parent's, in a `fork` child."""
        if self._spool is not None:
            self._spool.drop_inherited()
