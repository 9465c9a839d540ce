"""The recorder: what runs on the threads of the host, and nothing else.

Memory only: no disk, no environment, no network, no import and no waiting. May run anywhere, also
within itself (a signal handler, a finaliser).
"""

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry._tables import EVENT_NAMES
from getpatter.telemetry.delivery import process_hooks as _hooks
from getpatter.telemetry.delivery.buffer import Buffer
from getpatter.telemetry.delivery.limits import BATCH_EVENTS
from getpatter.telemetry.delivery.phase import CLOSED, RUNNING
from getpatter.telemetry.delivery.rate_limit import BURST, PER_SECOND, RateLimit
from getpatter.telemetry.losses import Losses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from mmap import mmap

__all__ = ["Recorder"]

# A script that fails for want of configuration ends soon: what it says leaves first.
_URGENT = frozenset({"first_run", "config_incomplete"})


class Recorder:
    """Owns the buffer, the losses and the phase of one client; the worker does the rest."""

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._limits = (burst, per_second)
        # What was asked for not to be collected any more, also by the children of a fork.
        self._without: frozenset[str] = frozenset()
        self._lower_rate: float | None = None
        self.phase = RUNNING

    def _begin(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child."""
        self.phase = self.phase.in_child()
        self.losses = Losses()
        self.buffer = Buffer(self.losses)
        self._limit = RateLimit(EVENT_NAMES, *self._limits)
        # Its first byte is 1 while the thread is going to look by itself, and 0 if a record must
        # wake it. The thread sets 0 before it looks at the buffer for the last time, and `record`
        # reads it after it has put: whichever comes second sees the other. Once the thread runs it
        # is memory that a `fork` child finds wiped: then a record looks where it is.
        self._awake: bytearray | mmap = bytearray(1)
        self._is_urgent = False

    def _enter(self, number: int, reason: str | None = None) -> None:
        """Enter a phase. `reason`: records are lost from now on, and counted as that."""
        self.phase = self.phase.then(number, reason)

    def record(self, name: str, dimensions: "Mapping[str, object]") -> None:
        """Keep what was recorded and see to it that the thread will have a look."""
        if self.phase is not RUNNING and self.phase.refuses is not None:
            self.losses.count(name, self.phase.refuses)
            return
        if self._without and self._is_left_out(name):
            return
        if not self._awake[0]:
            _hooks.notice_fork()
        now = monotonic()
        if not self._limit.take(name, now):
            self.losses.count(name, "rate_limit")
            return
        waiting = self.buffer.put((name, dimensions, now))
        if type(name) is str and name in _URGENT:
            self._is_urgent = True
            self.wake()
        elif not self._awake[0] or waiting % BATCH_EVENTS == 0:
            self.wake()
        if self.phase is not RUNNING:
            self._take_along()

    def _is_left_out(self, name: object) -> bool:
        """Return whether `reduce` left the event out, and count it then."""
        if not issubclass(type(name), str):
            return False
        plain = str.__str__(name)  # of a StrEnum, too
        if plain not in self._without:
            return False
        self.losses.count(plain, "opted_out")
        return True

    def reduce(self, sample_rate: float | None, without: "Collection[str]", *, off: bool) -> None:
        """Collect less from now on, never more."""
        self._without |= frozenset(without)
        if sample_rate is not None:
            rates = (sample_rate, self._lower_rate)
            self._lower_rate = min(rate for rate in rates if rate is not None)
        if off and self.phase.refuses is None:
            self._enter(CLOSED, "opted_out")
            self.wake()  # the worker discards what is pending

    def collects(self) -> "tuple[float, frozenset[str]]":
        """Return the rate in force, and the events that are recorded."""
        rate = self._run_rate()
        if self._lower_rate is not None:
            rate = min(rate, self._lower_rate)
        return rate, frozenset() if self.phase.refuses else frozenset(EVENT_NAMES) - self._without

    # what the worker does about it

    def _take_along(self) -> None:
        """Handle a record made during or after shutdown."""
        raise NotImplementedError

    def wake(self) -> None:
        """Have the thread look, whatever it waits for."""
        raise NotImplementedError

    def _run_rate(self) -> float:
        """Return the rate of the run, as far as it is known."""
        raise NotImplementedError
