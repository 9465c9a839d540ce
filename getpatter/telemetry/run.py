"""A run: identity, sampling, notice and destination of one process start, wired up on the worker.

Making one reads the disk and may write the install ID, so nobody but the worker does it.
"""

from getpatter.telemetry import events, grace, notice
from getpatter.telemetry._clock import monotonic
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.delivery.destination import Destination
from getpatter.telemetry.gate import Gate
from getpatter.telemetry.install_id import is_of_this_run, new_id, open_state, run_id
from getpatter.telemetry.startup import startup_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.consent import Consent
    from getpatter.telemetry.env import Settings
    from getpatter.telemetry.losses import Losses

__all__ = ["Run", "Start"]


class Start:
    """What a client was constructed with; the rest is found out on the worker."""

    __slots__ = ("consent", "endpoint", "environ", "sdk_version", "settings")

    def __init__(
        self,
        *,
        sdk_version: str,
        consent: "Consent",
        settings: "Settings",
        endpoint: str,
        environ: "Mapping[str, str]",
    ) -> None:
        self.sdk_version = sdk_version
        self.consent = consent
        self.settings = settings
        self.endpoint = endpoint
        self.environ = environ


class Run:
    """How events of one run are built, whether they may leave, and where to."""

    def __init__(self, start: Start, losses: "Losses") -> None:
        self._start = start
        # Consent that was withdrawn once does not come back to this run.
        self._is_withdrawn = False
        # An opt-out since the client was made has erased the identity: no new one is made then.
        self._kept_id: str | None = None
        self._state = open_state(
            start.environ,
            writable=self.has_consent() and not start.settings.debug,
            places=start.consent.places,
        )
        # The schema version whose notice was shown; None: none yet. Debug shows none, and all.
        self._shown = SCHEMA_VERSION if start.settings.debug else self._state.notice.version()
        # Asked before this version leaves its own traces.
        self._is_upgrade = self._shown is None and self._state.has_earlier_version()
        self.rate = start.settings.sample_rate
        install = self._state.install_id(new_id())
        self._kept_id = install if self._state.is_stored(install) else None
        if self._kept_id is not None and not is_of_this_run(self._state.directory, install):
            self._is_withdrawn = True
        self._age = self._state.age_seconds()
        common = events.common_fields(start.sdk_version, install, start.environ)
        self.version = str(common["sdk_version"])
        self._builder = events.Builder(
            common,
            Gate(run_id(), self.rate),
            losses,
            age=self._age,
            asked=monotonic(),
        )
        #: The `.env` that is asked for consent, also by a sender that goes on for this run.
        self.dotenv = start.consent.dotenv
        #: The loss reason for what may not be sent, as it was when that was asked last.
        self.refusal = "opted_out"
        can_keep = self._state.files.writable and not start.settings.debug
        self.destination = Destination(
            None if start.settings.debug else start.endpoint,
            self._state.directory if can_keep else None,
            losses,
            start.consent.places,
            self.has_consent,
        )
        self._builder.shown = self._shown or 0
        # For how long a notice does not count; 0 once that is over.
        self._grace = start.settings.grace(self.destination.is_loopback)
        if start.settings.debug:
            self._grace = 0.0

    @property
    def standing(self) -> "tuple[str, str]":
        """How the set-up went, as an observer gets it: a status, and why."""
        if self._is_withdrawn:
            return "disabled", "opted out before anything was sent"
        if self._start.settings.debug:
            return "success", "debug: what would be sent is printed, and nothing is sent"
        if self.destination.problem is not None:
            return "http_error", "the endpoint cannot be used, so nothing is sent"
        if self.destination.spool is None:
            return "state_error", f"no state can be kept: {self._state.problem or 'it cannot be'}"
        return "success", "consent, identity and state are there"

    def build(
        self, name: object, dimensions: "Mapping[str, object]", at: float
    ) -> "list[dict[str, object]]":
        """Return the events that leave for what was recorded at `at`: one, but for a start, which
        may be the first, and for what is dropped.
        """
        start = startup_records(name, dimensions, self._state, self._start.sdk_version, self._age)
        if start is None:
            event = self._builder.build(name, dimensions, at)
            return [] if event is None else [event]
        built = [self._builder.build(each, known, at) for each, known in start]
        return [event for event in built if event is not None]

    def lower_rate(self, rate: float) -> None:
        """Keep fewer of the sampleable events from now on; never more."""
        if rate < self.rate:
            self.rate = rate
            self._builder.gate = Gate(run_id(), rate)

    def _asks(self) -> bool:
        """Ask for consent: the one place where this run does."""
        return self._start.consent.settings() is not None

    def has_consent(self) -> bool:
        """Return whether consent still stands.

        An opt-out ends the telemetry of this run for good, also one that was taken back before
        anybody asked: then the id of this run is stored no longer, and must not be sent again.
        """
        if not self._is_withdrawn:
            is_erased = self._kept_id is not None and self._state.has_erased(self._kept_id)
            self._is_withdrawn = is_erased or not self._asks()
        return not self._is_withdrawn

    def may_send(self) -> bool:
        """Return whether events may leave now: consent still stands and a notice was shown.

        If that is the notice of an earlier version, they leave without what came later.
        """
        if not self.has_consent():
            self.refusal = "opted_out"
            return False
        if self._shown is None or self._shown < SCHEMA_VERSION:
            self._shown = self._state.notice.show_once(self._show)
            self._builder.shown = self._shown or 0
        if self._shown is None:
            self.refusal = "notice_not_shown"
            self._state.release_first_run()
        else:
            self._respect_grace(self._shown)
        return self._shown is not None

    def _respect_grace(self, shown: int) -> None:
        """Hold back what a notice names that was shown too short a time ago: everything, or
        after an update what is new.
        """
        if not self._grace:
            return
        destination, now = self.destination, monotonic()
        told = self._state.notice.told_version(self._grace)
        if destination.hold_until > float("-inf"):
            if now >= destination.hold_until:
                self._grace = 0.0
        elif told is None:
            destination.hold_until = now + grace.left(self._state, self._grace)
        else:
            # Asked again with each batch: the new fields leave once the grace is over.
            self._builder.shown = told
            self._grace = self._grace if told < shown else 0.0

    def _show(self, last: int | None) -> bool:
        return notice.show(notice.compose(last, is_upgrade=self._is_upgrade))
