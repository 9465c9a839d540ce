"""The detached sender: delivers what is in a spool, and ends when nothing is left to deliver.

Runs in a process of its own that a program started when it ended. It works as a run does, with the
same outbox for each endpoint, but has nothing of its own: it begins by adopting, and ends when
nothing is left or its time is over. One at a time works on a state directory; it waits for the
programs that say they are ending. What cannot be delivered stays where it is, for the next start.
"""

import os
import time

from getpatter.telemetry import grace, places
from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.consent import Consent
from getpatter.telemetry.delivery import spool_files
from getpatter.telemetry.delivery.buffer import Buffer
from getpatter.telemetry.delivery.claim import Claim
from getpatter.telemetry.delivery.destination import Destination
from getpatter.telemetry.delivery.errors import Errors
from getpatter.telemetry.delivery.limits import SENDER_SECONDS
from getpatter.telemetry.delivery.observer import Observed
from getpatter.telemetry.delivery.outbox import Outbox
from getpatter.telemetry.delivery.uploader import Uploader
from getpatter.telemetry.install_id import open_state
from getpatter.telemetry.losses import Losses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SECONDS", "send_all"]

#: How long a sender tries, in seconds; a little less than it may live.
SECONDS = SENDER_SECONDS
# How often it looks for the end of a program that says it is ending.
_LOOK_SECONDS = 0.02


def send_all(
    directory: str, environ: "Mapping[str, str]", seconds: float = SECONDS, *, dotenv: str = ""
) -> None:
    """Deliver what is in the spool of the state directory `directory`, for at most so long.

    Consent is asked of `environ`, of the file `dotenv` and of all places, that directory included.
    """
    consent = Consent(environ, dotenv=dotenv, directory=directory)
    path = os.path.join(directory, places.SPOOL)
    until = monotonic() + seconds
    while monotonic() < until:
        held = Claim.take(os.path.join(path, places.SENDER))
        if held is None:
            return  # another one is at work, and will look again before it ends
        sender = _Sender(directory, environ, consent, until)
        try:
            sender.run()
        finally:
            sender.close()
            held.end()
        # Who has come since saw that lock and left it to us.
        if not spool_files.ending(path):
            return


class _Sender:
    """One pass: an outbox for each endpoint."""

    def __init__(
        self, directory: str, environ: "Mapping[str, str]", consent: Consent, until: float
    ) -> None:
        self._environ = environ
        self._directory = directory
        self._path = os.path.join(directory, places.SPOOL)
        self._consent = consent
        self._until = until
        self._errors = Errors(lambda: False)
        self._outboxes: dict[str, Outbox] = {}

    def run(self) -> None:
        """Deliver until nothing is left, or nothing more can be."""
        while (now := monotonic()) < self._until and self._has_consent():
            for endpoint in spool_files.endpoints(self._path) - self._outboxes.keys():
                self._outboxes[endpoint] = self._opened(endpoint)
            pause = self._step(now)
            if pause is not None:
                time.sleep(pause)
            elif not self._has_awaited():
                return

    def _step(self, now: float) -> float | None:
        """Have each outbox do what it can; return how long to wait for more, None if all of it is
        done, or must wait for longer than there is time.
        """
        pauses = []
        for outbox in self._outboxes.values():
            while (now := monotonic()) < self._until:
                try:
                    pause = outbox.step(now, here=self._until - now)
                except Exception as error:  # the others go on
                    self._errors.note(error)
                    break
                if pause:
                    pauses.append(pause)
                if pause != 0:
                    break
        pause = min(pauses, default=self._until)
        return pause if now + pause < self._until else None

    def _has_awaited(self) -> bool:
        """Wait for a program that says it is ending; return whether one has ended."""
        while (owners := spool_files.ending(self._path)) and monotonic() < self._until:
            if sum(spool_files.has_ended(self._path, owner) for owner in owners):
                for outbox in self._outboxes.values():
                    outbox.look_again()
                return True
            time.sleep(_LOOK_SECONDS)
        return False

    def _has_consent(self) -> bool:
        return self._consent.settings() is not None

    def _opened(self, endpoint: str) -> Outbox:
        losses = Losses()
        destination = Destination(
            endpoint, self._directory, losses, self._consent.places, self._has_consent
        )
        settings = self._consent.settings()
        if settings is not None:
            install = open_state(self._environ, writable=False, places=self._consent.places)
            seconds = settings.grace(destination.is_loopback)
            destination.hold_until = monotonic() + grace.left(install, seconds)
        return Outbox(
            destination,
            None,
            Buffer(losses),
            losses,
            open_uploader=lambda: Uploader(
                destination.open_transport, self._has_consent, lambda: None, self._errors.note
            ),
            observed=Observed(None),
            on_error=self._errors.note,
        )

    def close(self) -> None:
        """Close the connections and give back the claims."""
        for outbox in self._outboxes.values():
            outbox.disconnect()
            outbox.backlog.release()
