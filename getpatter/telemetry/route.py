"""The route of a run: identity, sampling, notice, spool and transport, wired up on the worker.

Making a route reads the disk and may write the install id, so nobody but the worker does it.
"""

from getpatter.telemetry import events, notice
from getpatter.telemetry._clock import monotonic
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.gate import Gate
from getpatter.telemetry.install_id import new_id, open_state, run_id
from getpatter.telemetry.ledger import Ledger, NoLedger
from getpatter.telemetry.spool import Spool
from getpatter.telemetry.transport import (
    HttpTransport,
    StderrTransport,
    is_loopback,
    shown,
    usable_endpoint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.consent import Consent
    from getpatter.telemetry.courier import Transport
    from getpatter.telemetry.delivery import Answer, Batch
    from getpatter.telemetry.env import Settings
    from getpatter.telemetry.losses import Losses

__all__ = ["Route", "Run"]


class Run:
    """What a client was constructed with; the rest is found out on the worker."""

    __slots__ = ("consent", "endpoint", "environ", "is_debug", "sdk_version", "settings")

    def __init__(
        self,
        *,
        sdk_version: str,
        consent: "Consent",
        settings: "Settings",
        endpoint: str,
        environ: "Mapping[str, str]",
        is_debug: bool,
    ) -> None:
        self.sdk_version = sdk_version
        self.consent = consent
        self.settings = settings
        self.endpoint = endpoint
        self.environ = environ
        self.is_debug = is_debug


class Route:
    """How events of one run are built, whether they may leave, and what carries them away.

    `problem` is the loss reason where nothing can be sent, else None. `spool` is None where
    nothing can be stored.
    """

    def __init__(self, run: Run, losses: "Losses") -> None:
        self._run = run
        # An opt-out since the client was made has erased the identity: no new one is made then.
        self._state = open_state(
            run.environ,
            writable=self.has_consent() and not run.is_debug,
            places=run.consent.places,
        )
        # Asked before this version leaves its own traces.
        self._is_upgrade = self._state.has_earlier_version()
        self.rate = run.settings.sample_rate
        common = events.common_fields(
            run.sdk_version, self._state.install_id(new_id()), run.environ
        )
        self.version = str(common["sdk_version"])
        self._builder = events.Builder(
            common,
            Gate(run_id(), self.rate),
            losses,
            age=self._state.age_seconds(),
            asked=monotonic(),
        )
        self.build = self._builder.build
        self._url = None if run.is_debug else usable_endpoint(run.endpoint)
        #: The loss reason for what may not be sent, as it was when that was asked last.
        self.refusal = "opted_out"
        self.problem = None if run.is_debug or self._url is not None else "endpoint_invalid"
        self._ledger: Ledger | NoLedger = NoLedger()
        self.spool: Spool | None = None
        directory = self._state.directory if self._state.writable else None
        if directory is not None and not run.is_debug:
            where = None if self._url is None else shown(self._url)
            self._ledger = Ledger(directory, where, losses, run.consent.places)
            if self._url is not None:
                self.spool = Spool(directory, self._url, losses)
        # The schema version whose notice was shown; None: none yet. Debug shows none, and all.
        self._shown = SCHEMA_VERSION if run.is_debug else self._state.notice_version()
        self._builder.shown = self._shown or 0

    @property
    def is_local(self) -> bool:
        """Whether sending stays on this machine, and so needs no thread of its own."""
        return self._run.is_debug

    @property
    def needs_name(self) -> bool:
        """Whether the collector is named, so that asking it begins with a look-up: the one step
        that nothing can put an end to.
        """
        return self._url is not None and not is_loopback(self._url)

    @property
    def standing(self) -> "tuple[str, str]":
        """How the set-up went, as an observer is told: a status, and why."""
        if not self.has_consent():
            return "disabled", "an opt-out came before anything was sent"
        if self._run.is_debug:
            return "success", "debug: what would be sent is printed, and nothing is sent"
        if self.problem is not None:
            return "http_error", "the endpoint cannot be used, so nothing is sent"
        if self.spool is None:
            return "state_error", f"no state can be kept: {self._state.problem or 'it cannot be'}"
        return "success", "consent, identity and state are there"

    def lower_rate(self, rate: float) -> None:
        """Keep fewer of the sampleable events from now on; never more."""
        if rate < self.rate:
            self.rate = rate
            self._builder.gate = Gate(run_id(), rate)

    def open_transport(self) -> "Transport":
        """Return what carries batches away; loads what that needs."""
        return StderrTransport() if self._url is None else HttpTransport(self._url)

    def note(self, batch: "Batch | None" = None, answer: "Answer | None" = None) -> None:
        """Note in the ledger what was sent and answered, and what was lost since the last note."""
        if batch is None or answer is None:
            self._ledger.note()
        else:
            body = batch.body or events.encode(batch.events)
            self._ledger.note(body.decode("ascii"), batch.key, answer.status)

    def has_consent(self) -> bool:
        """Return whether consent still stands."""
        return self._run.consent.settings() is not None

    def may_send(self) -> bool:
        """Return whether events may leave now: consent still stands and a notice was shown.

        If that is the notice of an earlier version, they leave without what came later.
        """
        if not self.has_consent():
            self.refusal = "opted_out"
            return False
        if self._shown is None or self._shown < SCHEMA_VERSION:
            self._shown = self._state.show_notice_once(self._show)
            self._builder.shown = self._shown or 0
        if self._shown is None:
            self.refusal = "notice_not_shown"
            self._state.release_first_run()
        return self._shown is not None

    def _show(self, last: int | None) -> bool:
        return notice.show(notice.compose(last, is_upgrade=self._is_upgrade))
