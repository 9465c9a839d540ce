"""The loader: makes what only sending needs, when it is needed first, and loads its modules then.

On the worker, so that the host's threads load none of it. No fork happens meanwhile: the child,
which lacks the thread that loads a module, would wait for that module for ever, and so would the
host's own import of it.
"""

import threading

from getpatter.telemetry.delivery.limits import FORK_SECONDS
from getpatter.telemetry.delivery.patience import Patience
from getpatter.telemetry.delivery.threads import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from getpatter.telemetry.delivery.buffer import Buffer
    from getpatter.telemetry.delivery.observer import Observer
    from getpatter.telemetry.delivery.outbox import Outbox
    from getpatter.telemetry.delivery.uploader import Transport, Uploader
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.run import Run

__all__ = ["Loader"]


class Loader:
    """Makes the outbox of one client, and with it the run that `open_run` returns."""

    __slots__ = ("_forking", "_has_loaded", "_loading", "_observer", "_open_run")

    def __init__(
        self, open_run: "Callable[[Losses], Run]", observer: "Observer | None" = None
    ) -> None:
        self._open_run = open_run
        self._observer = observer
        self._begin()

    def _begin(self) -> None:
        # Held while modules are loaded.
        self._loading = allocate_lock()
        # Whether all of them are.
        self._has_loaded = False
        # The thread that forks now.
        self._forking: int | None = None

    def memory(self) -> "mmap | None":
        """Return memory that a `fork` child finds wiped; None where there is none."""
        with self._loading:
            from getpatter.telemetry.delivery.forked import wiped_in_child

            return wiped_in_child()

    def outbox(
        self,
        buffer: "Buffer",
        losses: "Losses",
        wake: "Callable[[], None]",
        on_error: "Callable[[BaseException], None]",
    ) -> "Outbox":
        """Return an outbox for what is in `buffer`. `wake` is called when an answer has come."""
        with self._loading:
            from getpatter.telemetry._turns import short_turns

            with short_turns():
                from getpatter.telemetry.delivery.observer import Observed
                from getpatter.telemetry.delivery.outbox import Outbox

                run = self._open_run(losses)
                made = Outbox(
                    run.destination,
                    run,
                    buffer,
                    losses,
                    open_uploader=lambda: self._uploader(run, wake, on_error),
                    observed=Observed(self._observer),
                    on_error=on_error,
                )
        made.say_standing()
        return made

    def _uploader(
        self,
        run: "Run",
        wake: "Callable[[], None]",
        on_error: "Callable[[BaseException], None]",
    ) -> "Uploader":
        with self._loading:
            from getpatter.telemetry.delivery.uploader import Uploader
        return Uploader(lambda: self._transport(run), run.has_consent, wake, on_error)

    def _transport(self, run: "Run") -> "Transport":
        with self._loading:
            transport = run.destination.open_transport()
            self._has_loaded = True
        return transport

    def lower_rate(self, outbox: "Outbox", rate: float) -> None:
        """Keep fewer of the sampleable events: the first rate below 1 loads a hash."""
        run = outbox.run
        if run is not None and rate < run.rate:
            with self._loading:
                run.lower_rate(rate)

    # fork

    def before_fork(self) -> None:
        """Wait until nothing is being loaded, and let nothing be."""
        if not self._has_loaded and Patience(FORK_SECONDS).acquire(self._loading):
            self._forking = threading.get_ident()

    def after_fork_in_parent(self) -> None:
        """Let it go on."""
        if self._forking == threading.get_ident():
            self._forking = None
            self._loading.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: the lock may be held by a thread that is the parent's."""
        self._begin()
