"""The outbox: takes what was recorded to the collector, one step at a time.

`step` does the next thing and says when there will be another; deciding is the delivery's, the
disk the spool's, the network the courier's. Has no lock and no thread: whoever calls holds the
worker's.
"""

import os
from collections import deque

from getpatter.telemetry.delivery import (
    BATCH_EVENTS,
    STORE_SECONDS,
    Answer,
    Batch,
    Delivery,
    Send,
    Store,
    is_final,
    part_key,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from getpatter.telemetry._observer import Observed
    from getpatter.telemetry.buffer import Buffer
    from getpatter.telemetry.courier import Courier, Transport
    from getpatter.telemetry.delivery import Drop, Report
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.spool import Spool

    class Route(Protocol):
        """What a run needs to send: made on the worker, because making it reads the disk."""

        problem: str | None
        spool: Spool | None
        rate: float
        version: str
        refusal: str

        @property
        def is_local(self) -> bool: ...
        @property
        def standing(self) -> tuple[str, str]: ...
        @property
        def needs_name(self) -> bool: ...
        def open_transport(self) -> Transport: ...
        def build(
            self, name: object, dimensions: Mapping[str, object], at: float
        ) -> dict[str, object] | None: ...
        def has_consent(self) -> bool: ...
        def may_send(self) -> bool: ...
        def note(self, batch: Batch | None = None, answer: Answer | None = None) -> None: ...
        def lower_rate(self, rate: float) -> None: ...


__all__ = ["Outbox"]

# A record waits so long for company before it is sent.
_LINGER = 0.5
# A script that fails for want of configuration ends soon: what it says leaves first.
_URGENT_LINGER = 0.1
# Between two requests that do not carry a full batch.
_GAP = 1.0
# So many records do not wait for an answer: the buffer holds 1,000, and a burst of as many again is
# to find room.
_MANY = 7 * BATCH_EVENTS
# After a disk has failed, how soon it is tried again.
_STORE_AGAIN = 5.0
# How soon a courier is looked after that is left to its last request.
_NOTICE = 1.0
# Longer than any pause between tries. A collector that is to be left alone for longer is asked at
# the next record, or by a later start: no thread waits for it.
_LONGEST_PAUSE = 60.0


class Outbox:
    """Owns the delivery and the courier of one client, and what it has in the spool."""

    def __init__(
        self,
        route: "Route",
        buffer: "Buffer",
        losses: "Losses",
        *,
        open_courier: "Callable[[], Courier]",
        observed: "Observed",
    ) -> None:
        self.delivery = Delivery()
        self._observed = observed
        #: Why this run may send no more; None while it may.
        self.stopped: str | None = None
        self._route = route
        self._buffer = buffer
        self._losses = losses
        self._open_courier = open_courier
        self._courier: Courier | None = None
        self._stuck: Courier | None = None
        self._for_others = 0
        self._sent_at = float("-inf")
        self._in_flight: Batch | None = None
        # Where what this run has stored is, the oldest first.
        self._places: deque[str] = deque()
        self._store_failed_at = float("-inf")
        # Stored, never tried, and with room for more.
        self._filling: Batch | None = None
        # Batches of processes that are gone; None: nobody has looked yet.
        self._adopted: deque[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing of this run is left to deliver, on disk included."""
        return self.delivery.is_empty and not self._own

    @property
    def rate(self) -> float:
        """The rate at which the run keeps its sampleable events."""
        return self._route.rate

    def lower_rate(self, rate: float) -> None:
        """Keep fewer of them from now on; a rate that is not lower changes nothing."""
        self._route.lower_rate(rate)

    def say_standing(self) -> None:
        """Tell whoever observes how the set-up went."""
        if self._observed.is_asked:
            self._observed.tell(*self._route.standing)

    @property
    def spooled(self) -> int:
        """How many events of this run are on disk and not delivered."""
        return sum(self._own.values())

    @property
    def _own(self) -> "dict[str, int]":
        return {} if self._route.spool is None else self._route.spool.own

    @property
    def delivered(self) -> int:
        """How many events of this run were delivered."""
        return self.delivery.delivered - self._for_others

    def step(  # noqa: PLR0911 - one for each kind of thing to do
        self,
        now: float,
        *,
        urgent: bool = False,
        flushing: bool = False,
        here: float | None = None,
    ) -> float | None:
        """Do the next thing; return the seconds until there is another, None for no end.

        `here`: make requests on this thread, each within so many seconds.
        """
        if self._has_settled(now):
            if self.stopped is not None:
                self.give_up(self.stopped)  # it came back, and nobody will step again
            return 0.0
        if self.stopped is not None:
            self.give_up(self.stopped)
            # What was sent before is still answered, or not: then the courier is left to it.
            return _NOTICE if self.delivery.is_in_flight else None
        is_free = self._is_free()
        pauses = [self._look_again(now, is_free=is_free)]
        # What is closed already comes first: there is never more of it than has to be.
        action = self.delivery.next(now, may_send=is_free)
        if isinstance(action, Store):
            self._store(action.batches, now)
            return 0.0
        if isinstance(action, Send):
            self._send(action.batch, now, here)
            return 0.0
        pauses.append(action.seconds)
        if len(self._buffer):
            due = self._due(now, urgent=urgent, flushing=flushing)
            if due is not None and due <= 0:
                self._close_batch(now)
                return 0.0
            pauses.append(due)
        if is_free and self.delivery.is_empty and (self._places or self._adopted):
            pause = self.delivery.wait(now)
            if pause == 0:
                self._take_from_spool(now)
                return 0.0
            pauses.append(pause if pause <= _LONGEST_PAUSE else None)
        return min((pause for pause in pauses if pause is not None), default=None)

    def _has_settled(self, now: float) -> bool:
        """Take the answer that has come, or that will not come; return whether there was one."""
        courier = self._courier
        if courier is None:
            return False
        answer = courier.take()
        if answer is None and self._in_flight is not None and courier.is_overdue(now):
            self._leave(courier)
            answer = Answer(None)
        if answer is None:
            return False
        self._answered(answer, now)
        return True

    def _look_again(self, now: float, *, is_free: bool) -> float | None:
        """Return when to look again at what nobody rings for: a request that does not end, and a
        disk that has failed, which is tried again.
        """
        pauses = []
        waits = self.delivery.has_next or self._places or self._adopted
        is_carried = self._in_flight is not None and self._courier is not None
        if is_carried or (waits and not is_free):
            pauses.append(_NOTICE)
        if self._route.spool is not None and self.delivery.cannot_store:
            again = self._store_failed_at + _STORE_AGAIN - now
            if again <= 0:
                self.delivery.store_again()
            else:
                pauses.append(again)
        return min(pauses, default=None)

    # closing a batch

    def _is_free(self) -> bool:
        """Return whether no request is stuck, beside which none is made."""
        if self._stuck is not None and not self._stuck.is_alive:
            self._stuck = None
        return self._stuck is None

    def _may_ask(self) -> bool:
        """Return whether a request can be made: none is under way, nor stuck."""
        return self._is_free() and self.delivery.is_empty

    def _due(self, now: float, *, urgent: bool, flushing: bool) -> float | None:
        """Return in how many seconds a batch is to be closed; None: not before something else."""
        oldest = self._buffer.oldest()
        if oldest is None:
            return None
        is_full = len(self._buffer) >= BATCH_EVENTS
        if self._route.problem is not None:
            return 0.0
        if self._may_ask() and self.delivery.wait(now) == 0:
            if is_full or flushing:
                return 0.0
            linger = _URGENT_LINGER if urgent else _LINGER
            at = oldest + linger
            return (at if urgent else max(at, self._sent_at + _GAP)) - now
        return self._due_without_answer(oldest, now, is_full=is_full)

    def _due_without_answer(self, oldest: float, now: float, *, is_full: bool) -> float:
        """Return the same where the collector cannot be asked now."""
        if self._route.spool is None or self.delivery.cannot_store:
            # It waits in memory, where the oldest gives way.
            return max(_NOTICE, self.delivery.wait(now))
        is_next = is_full and not self.delivery.has_next
        if is_next or len(self._buffer) >= _MANY:
            return 0.0
        return oldest + STORE_SECONDS - now

    def _close_batch(self, now: float) -> None:
        """Take up to a batch of records and build their events."""
        route = self._route
        if route.problem is not None:
            self._buffer.lose(route.problem)
            return
        if not route.may_send():
            self.stop(route.refusal)
            return
        filling, self._filling = self._filling, None
        room = BATCH_EVENTS - (0 if filling is None else len(filling.events))
        events, store_at = [], now + STORE_SECONDS
        for name, dimensions, at in self._buffer.take(room):
            event = route.build(name, dimensions, at)
            if event is not None:
                events.append(event)
                store_at = min(store_at, at + STORE_SECONDS)
        if not events:
            self._filling = filling
            return
        report = self._losses.take_unreported()
        if filling is not None and self._fill(filling, events, report, now):
            return
        self.delivery.add(
            Batch(
                events,
                os.urandom(16).hex(),
                now,
                report,
                store_at=store_at,
                rate=route.rate,
                version=route.version,
            )
        )

    def _fill(
        self,
        filling: Batch,
        events: "list[dict[str, object]]",
        report: "Report",
        now: float,
    ) -> bool:
        """Add events to a batch that is stored and was never tried; False if it cannot be."""
        place, spool = filling.place, self._route.spool
        if spool is None or place not in spool.own or filling.rate != self._route.rate:
            return False
        filling.events = [*filling.events, *events]
        for loss, times in report.items():
            filling.report[loss] = filling.report.get(loss, 0) + times
        if spool.add(filling, now) is None:
            # What is there stays there; what came now is a batch of its own, in memory.
            filling.events = filling.events[: -len(events)]
            for loss, times in report.items():
                filling.report[loss] -= times
            return False
        if len(filling.events) < BATCH_EVENTS:
            self._filling = filling
        return True

    # the disk

    def _store(self, batches: "Sequence[Batch]", now: float) -> None:
        spool = self._route.spool
        may = spool is not None and self._route.has_consent()
        for batch in batches:
            is_sent = batch is self._in_flight
            place = spool.add(batch, now, is_sent=is_sent) if may and spool is not None else None
            self.delivery.stored(batch, place)
            if place is None:
                self._store_failed_at = now
            if place is not None and not is_sent:
                self._places.append(place)
                if batch.tries == 0 and len(batch.events) < BATCH_EVENTS:
                    self._filling = batch
        if spool is not None and not self._route.has_consent():
            self.stop("opted_out")  # it came while we were writing: what was written goes

    def _take_from_spool(self, now: float) -> None:
        """Have the oldest batch on disk sent."""
        spool = self._route.spool
        places = self._places or self._adopted
        if spool is None or not places:
            return
        place = places.popleft()
        if self._filling is not None and self._filling.place == place:
            self._filling = None
        found = spool.load(place, now)
        if found is not None:
            spool.sent = place
            self.delivery.add(found[0])

    def _look_for_others(self) -> None:
        """Find the batches of processes that are gone, once the collector answers."""
        if self._adopted is None and self._route.spool is not None:
            others = (place for place in self._route.spool.places() if place not in self._own)
            self._adopted = deque(others)

    # the network

    def _send(self, batch: Batch, now: float, here: float | None) -> None:
        self._in_flight = batch
        # Consent is asked again before each send, a retry included.
        if not self._route.may_send():
            self._abandon(self._route.refusal)
            self.stop(self._route.refusal)
            return
        self._sent_at = now
        if self._route.spool is not None:
            self._route.spool.sent = batch.place
        if self._route.is_local:
            self._answered(self._carrier().carry_here(batch, 0.0), now)  # no time bounds printing
        elif here is None:
            self._carrier().carry(batch)
        elif self._route.needs_name:
            self._answered(Answer(None), now)  # nothing could put an end to a look-up here
        else:
            self._answered(self._carrier().carry_here(batch, here), now)

    def _carrier(self) -> "Courier":
        """Return the courier; make it if there is none: a run that only stores never needs it."""
        if self._courier is None:
            self._courier = self._open_courier()
        return self._courier

    def _answered(self, answer: Answer, now: float) -> None:
        batch, self._in_flight = self._in_flight, None
        if batch is None:
            return  # it was given up meanwhile
        before = self.delivery.delivered
        chance = int.from_bytes(os.urandom(4), "big") / 2**32
        for drop in self.delivery.answered(answer, now, chance):
            self._count(drop)
        if batch.place is not None:
            if batch.place not in self._own:
                self._for_others += self.delivery.delivered - before
            self._settle(batch, batch.place, now)
        self._route.note(batch, answer)
        self._observed.answered(
            answer.status, is_final=is_final(answer.status), recommended=answer.recommended
        )
        if answer.status is not None and answer.status < 300:
            self._look_for_others()

    def _settle(self, batch: Batch, place: str, now: float) -> None:
        """See to the file of a batch that was asked about."""
        spool = self._route.spool
        if spool is None:
            return
        if not batch.is_done:
            spool.sent = None
            if place in spool.own:
                self._places.appendleft(place)
            elif self._adopted is not None:
                self._adopted.appendleft(place)
            return
        # The parts of a batch that was split come first: a kill in between sends them twice, under
        # the same keys, and loses nothing.
        if not self._route.has_consent():
            spool.remove(place)  # or it would be counted beside its parts
        keys = {part_key(batch.key, number) for number in (0, 1)}
        parts = [part for part in self.delivery.batches() if part.key in keys]
        if parts:
            self._store(parts, now)
        spool.remove(place)
        spool.sent = None

    def _leave(self, courier: "Courier") -> None:
        """Leave a courier to its request that does not end; no other is made until it does."""
        self._stuck, self._courier = courier, None
        courier.end()

    # the end

    def seal(self, now: float) -> None:
        """Put on disk what is not delivered; what cannot be is lost, counted as `shutdown`."""
        while len(self._buffer) and self.stopped is None:
            self._close_batch(now)
        self._store([batch for batch in self.delivery.batches() if batch.place is None], now)
        if self.stopped is None:
            lost = [batch for batch in self.delivery.batches() if batch.place is None]
            if lost:
                self._abandon("shutdown")

    def stop(self, reason: str) -> None:
        """Take no more, and give up what there is, on disk too."""
        self.stopped = reason
        self.give_up(reason)

    def give_up(self, reason: str) -> bool:
        """Give up all that is left of this run but what is being sent; return whether there was
        anything.
        """
        had = self._abandon(reason, in_flight=False)
        had = self._buffer.lose(reason) > 0 or had
        spool = self._route.spool
        sent = None if self._in_flight is None else self._in_flight.place
        for place in [place for place in self._own if place != sent]:
            if spool is not None and (found := spool.load(place, 0.0)) is not None:
                self._losses.give_back(found[0].report)
                for event in found[0].events:
                    self._losses.count(event["event"], reason)
                spool.remove(place)
            had = True
        self._places.clear()
        self._filling = None
        return had

    def _abandon(self, reason: str, *, in_flight: bool = True) -> bool:
        """Give up what is under way and in memory only; return whether anything was."""
        if in_flight:
            self._in_flight = None
        dropped = self.delivery.abandon(reason, in_flight=in_flight)
        for drop in dropped:
            self._count(drop)
        return bool(dropped)

    def disconnect(self, seconds: float = 0.0) -> None:
        """Close the connection and give back the claims on what is not ours; all can go on."""
        if self._courier is not None:
            self._courier.end(seconds)
            self._courier = None
        if self._adopted is not None:
            self._adopted = None
            if self._route.spool is not None:
                self._route.spool.tidy()
        if self.stopped != "opted_out":
            self._route.note()  # what was lost without any request

    def release(self) -> None:
        """Give back the claim on our own batches, too: a later start may adopt them."""
        if self._route.spool is not None:
            self._route.spool.release()

    def hand_over(self) -> str | None:
        """Say to a sender that this process ends; return the state directory, None if nothing is
        there to be sent.
        """
        spool = self._route.spool
        if spool is None or not spool.own:
            return None
        spool.say_ending()
        return os.path.dirname(spool.path)

    def drop_inherited(self) -> None:
        """Leave to the parent what is the parent's, in a `fork` child."""
        if self._route.spool is not None:
            self._route.spool.drop_inherited()

    def _count(self, drop: "Drop") -> None:
        self._losses.give_back(drop.report)
        for event in drop.events:
            self._losses.count(event["event"], drop.reason)
