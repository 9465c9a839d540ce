"""The sender: delivers what is in a spool, and ends when there is nothing left to deliver.

Runs in a process of its own that a program started when it ended. One at a time works on a state
directory; it waits for the programs that say they are ending, and asks for consent before each
request. What cannot be delivered stays where it is, for the next start.
"""

import os
import time

from getpatter.telemetry import state
from getpatter.telemetry._claim import Claim
from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.consent import Consent
from getpatter.telemetry.delivery import Delivery, Drop, Send, Store
from getpatter.telemetry.events import encode
from getpatter.telemetry.ledger import Ledger
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.spool import Spool
from getpatter.telemetry.transport import HttpTransport, shown, usable_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.delivery import Answer, Batch

__all__ = ["SECONDS", "send_all"]

#: How long a sender tries, in seconds; a little less than it may live.
SECONDS = 9.0


def send_all(
    directory: str, environ: "Mapping[str, str]", seconds: float = SECONDS, *, dotenv: str = ""
) -> None:
    """Deliver what is in the spool of the state directory `directory`, for at most so long.

    Consent is asked of `environ`, of the file `dotenv` and of all places, that directory included.
    """
    consent = Consent(environ, dotenv=dotenv, directory=directory)
    until = monotonic() + seconds
    while monotonic() < until:
        held = Claim.take(os.path.join(directory, state.SPOOL, state.SENDER))
        if held is None:
            return  # another one is at work, and will look again before it ends
        sender = _Sender(directory, consent, until)
        try:
            sender.run()
        finally:
            sender.close()
            held.end()
        # Who has come since saw that lock and left it to us.
        if not sender.is_wanted():
            return


class _Sender:
    """One pass: an endpoint's delivery and connection each, and one spool."""

    def __init__(self, directory: str, consent: Consent, until: float) -> None:
        self._consent = consent
        self._directory = directory
        self._until = until
        self._losses = Losses()
        self._spool = Spool(directory, None, self._losses)
        self._lines: dict[str, _Line] = {}

    def run(self) -> None:
        """Deliver until nothing is left, or nothing more can be."""
        while True:
            for place in self._spool.places():
                if not self._send(place):
                    return
            if not self._spool.adopt_ending():
                return

    def _send(self, place: str) -> bool:
        """Deliver one batch; return whether to go on with the next."""
        if self._consent.settings() is None:
            return False
        found = self._spool.load(place, monotonic())
        if found is None:
            return True
        batch, endpoint = found
        line = self._lines.get(endpoint)
        if line is None:
            line = self._lines[endpoint] = _Line(
                self._directory, endpoint, self._consent, self._losses
            )
        if not line.deliver(batch, self._until):
            return monotonic() < self._until
        # Parts of a batch that is too large as a whole go first, so that a kill loses none.
        self._spool.remove(place)
        return True

    def is_wanted(self) -> bool:
        """Return whether a program says that it is ending."""
        return self._spool.is_anybody_ending()

    def close(self) -> None:
        """Close the connections and give back the claims."""
        for line in self._lines.values():
            line.close()
        self._spool.release()


class _Line:
    """The way to one collector."""

    def __init__(self, directory: str, endpoint: str, consent: Consent, losses: Losses) -> None:
        url = usable_endpoint(endpoint)
        self._consent = consent
        self._losses = losses
        self._delivery = Delivery()
        self._transport = None if url is None else HttpTransport(url)
        self._ledger = Ledger(directory, url and shown(url), losses, consent.places)

    def deliver(self, batch: "Batch", until: float) -> bool:
        """Try until the batch is settled; False: it is not, and stays in the spool."""
        if self._transport is None:
            self._count(Drop(batch.events, "endpoint_invalid", batch.report))
            return True
        self._delivery.add(batch)
        while (now := monotonic()) < until:
            action = self._delivery.next(now)
            if isinstance(action, Store):
                for part in action.batches:  # in memory for the moment that it takes
                    self._delivery.stored(part, None)
            elif isinstance(action, Send):
                if self._consent.settings() is None:
                    return False
                self._answered(action.batch, self._transport.send(action.batch, now, until - now))
                if not action.batch.is_done:
                    self._delivery.add(action.batch)
            elif action.seconds is None:
                return True
            elif now + action.seconds >= until:
                self._delivery.abandon("")
                return False
            else:
                time.sleep(action.seconds)
        return False

    def _answered(self, batch: "Batch", answer: "Answer") -> None:
        chance = int.from_bytes(os.urandom(4), "big") / 2**32
        for drop in self._delivery.answered(answer, monotonic(), chance):
            self._count(drop)
        body = batch.body or encode(batch.events)
        self._ledger.note(body.decode("ascii"), batch.key, answer.status)

    def _count(self, drop: Drop) -> None:
        for event in drop.events:
            self._losses.count(event["event"], drop.reason)

    def close(self) -> None:
        """Close the connection; note what was lost without a request."""
        if self._transport is not None:
            self._transport.close()
        self._ledger.note()
