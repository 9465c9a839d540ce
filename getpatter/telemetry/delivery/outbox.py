"""The outbox: takes what was recorded to the collector, one step at a time.

`step` settles an answer, closes what is due, or sends a batch, and says when the next step is. The
backlog knows where a batch is, the schedule when the collector may be asked; the uploader sends.
Has no lock and no thread: the caller holds the lock of the worker.
"""

import os

from getpatter.telemetry.delivery import limits
from getpatter.telemetry.delivery.backlog import Backlog
from getpatter.telemetry.delivery.batch import Batch, Response
from getpatter.telemetry.delivery.batcher import Batcher
from getpatter.telemetry.delivery.schedule import Schedule, is_final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from getpatter.telemetry.delivery.batcher import BuildsEvents
    from getpatter.telemetry.delivery.buffer import Buffer
    from getpatter.telemetry.delivery.observer import Observed
    from getpatter.telemetry.delivery.spool import Spool
    from getpatter.telemetry.delivery.threads import OwnThread
    from getpatter.telemetry.delivery.uploader import Uploader
    from getpatter.telemetry.losses import Losses

    class SendsBatches(Protocol):
        """Where batches go."""

        problem: str | None
        spool: Spool | None
        is_local: bool
        hold_until: float

        @property
        def needs_name(self) -> bool: ...
        def has_consent(self) -> bool: ...
        def note(self, batch: Batch | None = None, answer: Response | None = None) -> None: ...


__all__ = ["Outbox"]


class Outbox:
    """Owns the backlog, the schedule and the uploader of one destination."""

    def __init__(
        self,
        destination: "SendsBatches",
        run: "BuildsEvents | None",
        buffer: "Buffer",
        losses: "Losses",
        *,
        open_uploader: "Callable[[], Uploader]",
        observed: "Observed",
        on_error: "Callable[[BaseException], None]",
    ) -> None:
        self.backlog = Backlog(destination.spool, losses, on_error)
        self._schedule = Schedule()
        self._destination = destination
        self.run = run
        self._buffer = buffer
        self._open_uploader = open_uploader
        self._observed = observed
        self._on_error = on_error
        self._batcher = Batcher(
            run, buffer, losses, self.backlog, destination=destination, on_error=on_error
        )
        self.stopped: str | None = None  #: Why this run may send no more; None while it may.
        self._uploader: Uploader | None = None
        self._stuck: Uploader | None = None
        self._batch: Batch | None = None
        self._sent_at = float("-inf")
        # When to look for orphans next. A run does once the collector has answered; the detached
        # sender, which has nothing of its own, at once.
        self._look_at = float("inf") if run is not None else float("-inf")

    @property
    def thread(self) -> "OwnThread | None":
        """The thread that sends, if there is one."""
        return None if self._uploader is None else self._uploader.thread

    def say_standing(self) -> None:
        """Notify the observer of the result of the set-up."""
        if self._observed.is_asked and self.run is not None:
            self._observed.notify(*self.run.standing)

    def step(
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
                self.discard(self.stopped)  # it came back, and nobody will step again
            return 0.0
        if self.stopped is not None:
            self.discard(self.stopped)
            # What was sent before is still answered, or not: then the uploader is left to it.
            return limits.NOTICE if self.backlog.is_in_flight else None
        # What is closed already comes first: there is never more of it than has to be.
        if self._has_sent(now, here):
            return 0.0
        keep = self.backlog.persist(now)
        due = self._due(now, urgent=urgent, flushing=flushing)
        if due is not None and due <= 0:
            self._close_batch(now)
            return 0.0
        pauses = [due, keep, self._pause(now)]
        return min((pause for pause in pauses if pause is not None), default=None)

    def _has_settled(self, now: float) -> bool:
        """Take the answer that has come, or that will not come; return whether there was one."""
        uploader = self._uploader
        if uploader is None:
            return False
        answer = uploader.take()
        if answer is None and self._batch is not None and uploader.is_overdue(now):
            # It is left to its request; no other is made until that has ended.
            self._stuck, self._uploader = uploader, None
            uploader.end()
            answer = Response(None)
        if answer is None:
            return False
        self._answered(answer, now)
        return True

    def _pause(self, now: float) -> float | None:
        """Return in how many seconds to look at what waits to be sent, or is being sent."""
        if self._batch is not None:
            return limits.NOTICE if self._uploader is not None else None
        if not self.backlog.has_next and now < self._look_at:
            return None
        if not self._is_free():
            return limits.NOTICE
        pause = max(self.wait(now), self.backlog.pause(now))
        # No thread waits for longer: the next record asks again.
        return pause if pause <= limits.PAUSE_LONGEST else None

    def wait(self, now: float) -> float:
        """Return for how many seconds the collector must not be asked; 0 if it may be."""
        return max(self._schedule.wait(now), self.held(now))

    def held(self, now: float) -> float:
        """Return how much is left of the grace after the notice; 0 if nothing is."""
        return max(0.0, self._destination.hold_until - now)

    def let_go(self, now: float) -> None:
        """Hold nothing back any more: what is in memory only would be lost with this process."""
        self._destination.hold_until = now

    def _is_free(self) -> bool:
        """Return whether no request is stuck, beside which none is made."""
        if self._stuck is not None and not self._stuck.is_alive:
            self._stuck = None
        return self._stuck is None

    def _may_ask(self, now: float) -> bool:
        return self._is_free() and self._batch is None and self.wait(now) == 0

    def _due(self, now: float, *, urgent: bool, flushing: bool) -> float | None:
        """Return in how many seconds a batch must be closed; None if nothing is due."""
        return self._batcher.due(
            now,
            self._schedule.limit,
            may_ask=self._may_ask(now),
            wait=self.wait(now),
            sent_at=self._sent_at,
            urgent=urgent,
            flushing=flushing,
        )

    def _close_batch(self, now: float) -> None:
        reason = self._batcher.close(now, self._schedule.limit)
        if reason is not None:
            self.stop(reason)

    # sending

    def _has_sent(self, now: float, here: float | None) -> bool:
        """Have the next batch sent, if the collector may be asked; return whether one is."""
        if not self._may_ask(now) or self._destination.problem is not None:
            return False
        batch = self.backlog.take(now, self._schedule.limit)
        if batch is None and now >= self._look_at:
            self._look_at = now + (0.0 if self.backlog.adopt() else limits.LOOK_FOR_ORPHANS)
            batch = self.backlog.take(now, self._schedule.limit)
        if batch is None:
            return False
        self._batch = batch
        self._sent_at = now
        try:
            uploader = self._opened()
        except Exception as error:  # the batch is ours, not in flight: its module may load again
            self._on_error(error)
            self._answered(Response.none("internal_error"), now)
            return True
        if self._destination.is_local:
            self._answered(uploader.send_here(batch, 0.0), now)  # no time bounds printing
        elif here is None:
            uploader.send(batch)
        elif self._destination.needs_name and self.run is not None:
            self._answered(Response(None), now)  # nothing could put an end to a look-up here
        else:
            self._answered(uploader.send_here(batch, here), now)
        return True

    def is_looking(self, now: float) -> bool:
        """Return whether orphans are to be looked for now."""
        return now >= self._look_at

    def look_again(self) -> None:
        """Look for orphans at the next step: there may be new ones."""
        self._look_at = float("-inf")

    def _opened(self) -> "Uploader":
        """Return the uploader; make it if there is none: a run that only persists has none."""
        if self._uploader is None:
            self._uploader = self._open_uploader()
        return self._uploader

    def _answered(self, answer: Response, now: float) -> None:
        batch, self._batch = self._batch, None
        if batch is None:
            return
        if answer.reason == "opted_out":
            self.backlog.unsend()
            self.stop(answer.reason)
            return
        chance = int.from_bytes(os.urandom(4), "big") / 2**32
        verdict = self._schedule.answered(batch, answer, now, chance)
        self.backlog.settle(verdict, now)
        self._note(batch, answer)
        self._observed.answered(
            answer.status, is_final=is_final(answer.status), recommended=answer.recommended
        )
        if answer.status is not None and answer.status < 300:
            self._look_at = now if self._look_at == float("inf") else self._look_at

    def _note(self, batch: Batch | None = None, answer: Response | None = None) -> None:
        try:
            self._destination.note(batch, answer)
        except Exception as error:  # no event is lost with it
            self._on_error(error)

    # the end

    def persist(self, now: float) -> bool:
        """Put on disk what is not delivered; return whether all of it is there."""
        while len(self._buffer) and self.stopped is None and self.run is not None:
            self._close_batch(now)
        if self.stopped is None:
            self.backlog.persist(now, is_last=True)
        return self.backlog.waiting == 0

    def stop(self, reason: str) -> None:
        """Send no more, and give up what there is of this run, on disk too."""
        self.stopped = reason
        self.discard(reason)

    def discard(self, reason: str) -> None:
        """Give up all that is left of this run but what is in flight."""
        self._buffer.lose(reason)
        self.backlog.discard(reason)

    def lose_unkept(self, reason: str) -> None:
        """Give up what is in memory only."""
        self._buffer.lose(reason)
        self.backlog.discard_unkept(reason)
        if not self.backlog.is_in_flight:
            self._batch = None

    def disconnect(self, seconds: float = 0.0) -> None:
        """Close the connection and give back what was adopted; all can go on."""
        if self._uploader is not None:
            self._uploader.end(seconds)
            self._uploader = None
        self.backlog.disconnect()
        if self.run is not None:
            self._look_at = float("inf")
        if self.stopped != "opted_out":
            self._note()  # what was lost without any request

    def hand_over(self) -> str | None:
        """Say to a sender that this process ends; return the state directory, None if nothing is
        there to be sent, or nothing may be any more.
        """
        if self.stopped is None and not self._destination.has_consent():
            self.stop("opted_out")
        path = self.backlog.hand_over()
        return None if path is None else os.path.dirname(path)
