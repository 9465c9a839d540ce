"""The backlog: the one owner of every batch that is closed and not delivered.

It alone knows where a batch is (in memory, on disk, in flight), whose it is (ours, or adopted from
an owner that has exited), and what of it has been counted. A batch is persisted when a request for
it has failed, when others wait before it, or when its oldest record is a second old. Before every
request it cost about a tenth of the throughput, roughly measured. The holder of a batch counts what
becomes of it, once; nothing on disk is removed because of an exception. Has no lock and no
thread: the caller holds the worker's.
"""

from collections import Counter, deque

from getpatter.telemetry.delivery import schedule
from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.held import Held, Holdings
from getpatter.telemetry.delivery.limits import SPOOL_SECONDS, TRIES
from getpatter.telemetry.delivery.persister import REMOVED, Persister, Rest
from getpatter.telemetry.delivery.spool_files import DAMAGED, LATER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from getpatter.telemetry.delivery.schedule import Verdict
    from getpatter.telemetry.delivery.spool import Spool
    from getpatter.telemetry.losses import Losses

__all__ = ["Backlog"]


class Backlog:
    """Owns the batches of one destination, and its spool; `spool` is None where nothing is kept.

    `on_error` gets every exception that is a bug of ours.
    """

    def __init__(
        self,
        spool: "Spool | None",
        losses: "Losses",
        on_error: "Callable[[BaseException], None]",
    ) -> None:
        self._spool = spool
        self._on_error = on_error
        self._holdings = Holdings(spool, losses)
        self._persister = persister = Persister(self._holdings, spool, on_error)
        self._reading = Rest()
        # What becomes of the disk is the persister's business.
        self.can_persist, self.persist = persister.can_persist, persister.persist
        self.room, self.fill = persister.room, persister.fill
        #: How many events of ours were delivered.
        self.delivered = 0

    # what there is

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is left to deliver, on disk included."""
        return not self._holdings.own and not (
            self._holdings.in_flight and self._holdings.in_flight.is_own
        )

    @property
    def is_in_flight(self) -> bool:
        """Whether a batch is being sent."""
        return self._holdings.in_flight is not None

    @property
    def has_own(self) -> bool:
        """Whether a batch of ours waits to be sent."""
        return bool(self._holdings.own)

    @property
    def has_next(self) -> bool:
        """Whether any batch waits to be sent."""
        return bool(self._holdings.own or self._holdings.adopted)

    @property
    def waiting(self) -> int:
        """How many events of ours are in memory only."""
        return sum(held.count for held in self._holdings.ours() if held.place is None)

    @property
    def spooled(self) -> int:
        """How many events of ours are on disk."""
        return self._holdings.left + sum(
            held.count for held in self._holdings.ours() if held.place is not None
        )

    @property
    def has_stored(self) -> bool:
        """Whether a batch on disk, ours or adopted, is not delivered yet."""
        sent = self._holdings.in_flight
        return bool(self.spooled or self._holdings.adopted or (sent and sent.place))

    def add(self, batch: Batch, now: float, keep_at: float) -> None:
        """Take over a closed batch, which is to be on disk at `keep_at` if it is not delivered."""
        self._holdings.own.append(Held(batch, keep_at=keep_at))
        if len(self._holdings.own) > 1:
            # One batch waits in memory behind the one in flight; what comes after it, on disk.
            self._holdings.own[-1].keep_at = now
        self._persister.persist(now)
        # The content stays in memory of what is sent next, and of what may still be filled.
        if len(self._holdings.own) > 2 and self._holdings.own[-2].place is not None:
            self._holdings.own[-2].batch = None

    def adopt(self) -> bool:
        """Take over the batches of an owner that has exited; return whether there was one."""
        places = [] if self._spool is None else self._spool.adopt()
        self._holdings.adopted.extend(Held(None, place, is_own=False) for place in places)
        return bool(places)

    # sending

    def take(self, now: float, limit: int) -> Batch | None:
        """Return the next batch to send, which then is in flight: ours before the adopted ones, the
        oldest first. None if there is none, or none that can be read now: see `pause`.
        """
        self._persister.check_claim(now)
        for queue in (self._holdings.own, self._holdings.adopted):
            while queue and now >= self._reading.until:
                held = queue.popleft()
                if not self._has_content(held, now):
                    self._holdings.give_back(held)
                    continue
                batch = held.batch
                if batch is None:
                    continue
                if len(batch.events) > limit:
                    self._replace(held, batch.halves(), now)
                    continue
                self._holdings.in_flight = held
                return batch
        return None

    def pause(self, now: float) -> float:
        """Return for how long there is no use in `take`: what is on disk cannot be read now."""
        return max(0.0, self._reading.until - now)

    def _has_content(self, held: Held, now: float) -> bool:
        """Have the content of a batch in memory; if there is none to be had, see to what that
        means, and answer False.
        """
        spool, place = self._spool, held.place
        if spool is None or place is None:
            return held.batch is not None
        if not held.is_own and not spool.holds(place):
            return False  # its new owner delivers it
        try:
            found = held.batch or spool.read(place, now)
        except Exception as error:  # of this batch alone
            self._on_error(error)
            found = DAMAGED
        if isinstance(found, Batch):
            if held.batch is None:
                held.know(found)
            if spool.age(place) > SPOOL_SECONDS:
                self._holdings.lose(held, "expired")
                return False
            self._reading.end()
            return True
        if found == LATER:
            self._holdings.queue(held).append(held)
            self._reading.begin(now)
        elif found == DAMAGED:
            self._holdings.lose(held, "internal_error")
        elif held.is_own:
            self._holdings.lose(held, REMOVED)
        return False

    def unsend(self) -> None:
        """Take back the batch in flight, which was not sent."""
        held, self._holdings.in_flight = self._holdings.in_flight, None
        if held is not None:
            self._holdings.queue(held).appendleft(held)

    def settle(self, verdict: "Verdict", now: float) -> None:
        """Do with the batch in flight what its answer means."""
        held, self._holdings.in_flight = self._holdings.in_flight, None
        if held is None or held.batch is None:
            return
        try:
            self._settle(held, held.batch, verdict, now)
        except Exception as error:  # of this batch alone: set aside, if it is on disk
            self._on_error(error)
            self._holdings.forget(held)
            self._holdings.lose(held, "internal_error")
        self._holdings.give_back(held)

    def _settle(self, held: Held, batch: Batch, verdict: "Verdict", now: float) -> None:
        if verdict.kind == schedule.DELIVERED:
            self._holdings.count(
                self._names(batch, verdict.refused), "rejected", is_own=held.is_own
            )
            if held.is_own:
                self.delivered += len(batch.events) - len(verdict.refused)
            self._holdings.remove(held)
        elif verdict.kind == schedule.RETRY:
            batch.tries += 1
            batch.faults += verdict.reason == "internal_error"
            self._retry(held, batch, verdict.reason, now)
        elif verdict.kind == schedule.SPLIT:
            self._replace(held, batch.halves(), now)
        elif verdict.kind == schedule.REDUCE:
            if self._replace(held, [batch.without(verdict.refused)], now):
                names = self._names(batch, verdict.refused)
                self._holdings.count(names, verdict.reason, is_own=held.is_own)
        else:
            self._holdings.lose(held, verdict.reason)

    def _retry(self, held: Held, batch: Batch, reason: str, now: float) -> None:
        """Keep a batch for another try: on disk, or in memory for so many tries."""
        if (
            held.place is None
            and not self._persister.persist_one(held, now)
            and batch.tries >= TRIES
        ):
            self._holdings.lose(held, reason)
        else:
            self._holdings.queue(held).appendleft(held)

    def _replace(self, held: Held, parts: "Sequence[Batch]", now: float) -> bool:
        """Put parts in the place of a batch; answer whether that was done.

        Parts of a batch on disk are persisted before it is removed: a kill in between sends them
        twice, under the same keys, and loses nothing. If they cannot be, it stays as it is.
        """
        queue = self._holdings.queue(held)
        made = [Held(part, keep_at=held.keep_at, is_own=held.is_own) for part in parts]
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
        own, self._holdings.own = self._holdings.own, deque()
        for held in own:
            self._holdings.lose(held, reason)
        if self._holdings.in_flight is not None and self._holdings.in_flight.is_own:
            self._holdings.remove(self._holdings.in_flight)

    def discard_unkept(self, reason: str) -> None:
        """Give up what is in memory only, the batch in flight included."""
        for held in [held for held in self._holdings.ours() if held.place is None]:
            self._holdings.forget(held)
            if held is self._holdings.in_flight:
                self._holdings.in_flight = None
            self._holdings.lose(held, reason)

    @staticmethod
    def _names(batch: Batch, indices: "Iterable[int]") -> "Mapping[str, int]":
        return Counter(str(batch.events[index]["event"]) for index in indices)

    # the end

    def disconnect(self) -> None:
        """Give back what was adopted; all can go on."""
        self._holdings.adopted.clear()
        if self._spool is not None:
            self._spool.tidy()

    def release(self) -> None:
        """Give back what is ours, too: a later start may adopt it from now on."""
        self._holdings.adopted.clear()
        kept = [held for held in self._holdings.own if held.place is not None]
        self._holdings.left += sum(held.count for held in kept)
        for held in kept:
            self._holdings.own.remove(held)
        if self._spool is not None:
            self._spool.release()

    def hand_over(self) -> str | None:
        """Say to a sender that this process ends; return the spool's directory, None if nothing is
        there to be sent.
        """
        if self._spool is None or not self.has_stored:
            return None
        self._spool.say_ending()
        return self._spool.path

    def drop_inherited(self) -> None:
        """Leave to the parent what is the parent's, in a `fork` child."""
        if self._spool is not None:
            self._spool.drop_inherited()
