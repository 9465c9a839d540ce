"""The destination of batches: one collector's endpoint, what sends to it, and what is kept of that.

Used by the run of a program and by the detached sender alike. Making one reads nothing.
"""

from getpatter.telemetry.delivery.ledger import Ledger, NoLedger
from getpatter.telemetry.delivery.spool import Spool
from getpatter.telemetry.delivery.transport import (
    HttpTransport,
    StderrTransport,
    is_loopback,
    shown,
    usable_endpoint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.telemetry.delivery.batch import Batch, Response
    from getpatter.telemetry.delivery.uploader import Transport
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.places import Places

__all__ = ["Destination"]


class Destination:
    """Where batches go. `has_consent` is whether they may, asked anew each time.

    `endpoint` None: they are printed (debug). `directory` is the state directory, None where
    nothing can be kept. `problem` is the loss reason where nothing can be sent, else None.
    """

    def __init__(
        self,
        endpoint: str | None,
        directory: str | None,
        losses: "Losses",
        places: "Places",
        has_consent: "Callable[[], bool]",
    ) -> None:
        self.has_consent = has_consent
        #: Until when nothing may leave, in seconds of the monotonic clock: see `grace`.
        self.hold_until = float("-inf")
        url = usable_endpoint(endpoint)
        self._url = url
        #: Whether sending stays in this process, and so needs no thread of its own.
        self.is_local = endpoint is None
        self.problem = "endpoint_invalid" if url is None and not self.is_local else None
        self.spool: Spool | None = None
        self._ledger: Ledger | NoLedger = NoLedger()
        if directory is not None and not self.is_local:
            self._ledger = Ledger(directory, None if url is None else shown(url), losses, places)
            if url is not None:
                self.spool = Spool(directory, url)

    @property
    def is_loopback(self) -> bool:
        """Whether the collector is on this machine."""
        return self._url is not None and is_loopback(self._url)

    @property
    def needs_name(self) -> bool:
        """Whether the collector is named, so that asking it begins with a look-up: the one step
        that nothing can put an end to.
        """
        return self._url is not None and not self.is_loopback

    def open_transport(self) -> "Transport":
        """Return what sends batches; loads what that needs."""
        if self._url is None:
            return StderrTransport()
        return HttpTransport(self._url, self.has_consent)

    def note(self, batch: "Batch | None" = None, answer: "Response | None" = None) -> None:
        """Note in the ledger what was sent and answered, and what was lost since the last note."""
        if batch is None or answer is None:
            self._ledger.note()
        else:
            body = batch.encoded().decode("ascii")
            self._ledger.note(body, batch.key, answer.status, batch.headers)
