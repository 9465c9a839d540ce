"""The route of a run: identity, sampling, notice and transport, wired up on the worker.

Making a route reads the disk and may write the install id, so nobody but the worker does it.
"""

import time

from getpatter.telemetry import consent, events, notice
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.env import Settings
from getpatter.telemetry.gate import Gate
from getpatter.telemetry.install_id import new_id, open_state, run_id
from getpatter.telemetry.ledger import Ledger, NoLedger
from getpatter.telemetry.transport import HttpTransport, StderrTransport, shown, usable_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.delivery import Answer, Batch
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.worker import Transport

__all__ = ["Route", "Run"]


class Run:
    """What a client was constructed with; the rest is found out on the worker."""

    __slots__ = ("endpoint", "environ", "flag", "is_debug", "sdk_version")

    def __init__(
        self,
        *,
        sdk_version: str,
        flag: bool | None,
        endpoint: str,
        environ: "Mapping[str, str]",
        is_debug: bool,
    ) -> None:
        self.sdk_version = sdk_version
        self.flag = flag
        self.endpoint = endpoint
        self.environ = environ
        self.is_debug = is_debug


class Route:
    """How events of one run are built, whether they may leave, and what carries them away.

    `transport` is None where nothing can be sent; `problem` is then the loss reason.
    """

    def __init__(self, run: Run, losses: "Losses") -> None:
        self._run = run
        # An opt-out since the client was made has erased the identity: no new one is made then.
        has_consent = consent.resolve(run.environ, run.flag) is not None
        self._state = open_state(run.environ, writable=has_consent and not run.is_debug)
        # Asked before this version leaves its own traces.
        self._is_upgrade = self._state.has_earlier_version()
        rate = Settings.load(run.environ).sample_rate
        common = events.common_fields(
            run.sdk_version, self._state.install_id(new_id()), run.environ
        )
        self._builder = events.Builder(
            common,
            Gate(run_id(), rate),
            losses,
            age=self._state.age_seconds(),
            asked=time.monotonic(),
        )
        self.build = self._builder.build
        self.problem = "endpoint_invalid"
        self.transport: Transport | None = None
        self._ledger: Ledger | NoLedger = NoLedger()
        if run.is_debug:
            self.transport = StderrTransport()
        else:
            url = usable_endpoint(run.endpoint)
            if self._state.directory is not None and self._state.writable:
                self._ledger = Ledger(
                    self._state.directory, url and shown(url), losses, run.environ
                )
            if url is not None:
                self.transport = HttpTransport(url, str(common["sdk_version"]), rate)
        # The schema version whose notice was shown; None: none yet. Debug shows none, and all.
        self._shown = SCHEMA_VERSION if run.is_debug else self._state.notice_version()
        self._builder.shown = self._shown or 0

    def note(self, batch: "Batch | None" = None, answer: "Answer | None" = None) -> None:
        """Note in the ledger what was sent and answered, and what was lost since the last note."""
        if batch is None or answer is None:
            self._ledger.note()
        else:
            body = events.encode(batch.events).decode("ascii")
            self._ledger.note(body, batch.key, answer.status)

    def may_send(self) -> bool:
        """Return whether events may leave now: consent still stands and a notice was shown.

        If that is the notice of an earlier version, they leave without what came later.
        """
        if consent.resolve(self._run.environ, self._run.flag) is None:
            return False
        if self._shown is None or self._shown < SCHEMA_VERSION:
            text = notice.compose(self._shown, is_upgrade=self._is_upgrade)
            if notice.show(text):
                self._shown = self._builder.shown = SCHEMA_VERSION
                self._state.set_notice_shown()
        return self._shown is not None
