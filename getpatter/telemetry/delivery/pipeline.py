"""The pipeline: what a client holds; and what becomes of it when its process ends or forks.

An ending program waits for a bounded time, one for all its clients. A fork waits until no module
is being loaded, and our threads end before it if they can: the interpreter would warn of them.
"""

import sys

from getpatter.telemetry._clock import sleep
from getpatter.telemetry.delivery import process_hooks as _hooks
from getpatter.telemetry.delivery.flusher import Flusher
from getpatter.telemetry.delivery.limits import EXIT_SECONDS, EXIT_SPARE_SECONDS
from getpatter.telemetry.delivery.patience import Patience
from getpatter.telemetry.delivery.phase import ENDING
from getpatter.telemetry.delivery.rate_limit import BURST, PER_SECOND
from getpatter.telemetry.delivery.worker import NOTICE_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.telemetry.delivery.observer import Observer
    from getpatter.telemetry.delivery.threads import OwnThread
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.run import Run

__all__ = ["Pipeline"]

# From then on the interpreter warns of a fork in a process with threads.
_WARNS_OF_THREADS = sys.version_info >= (3, 12)
# How long forks wait for a thread to end, all of them together, and how often they look.
_PART_SECONDS = 0.05
_PART_LOOK = 0.0005


class _ExitTime:
    """What is left of `EXIT_SECONDS`: one for all clients of the process, which ends only once."""

    __slots__ = ("left", "spare")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.left, self.spare = EXIT_SECONDS, EXIT_SPARE_SECONDS

    def patience(self) -> Patience:
        return Patience(self.left, self.spare)

    def spent(self, patience: Patience) -> None:
        self.left, self.spare = patience.left, patience.spare


_EXIT_TIME = _ExitTime()


class Pipeline(Flusher):
    """Takes the events of one client to the collector.

    `open_run` is called on the worker, before the first send. `environ` says how to exit; `burst`
    and `per_second` are the rate limit; `observer` is notified of its status, see `observer`.
    """

    def __init__(
        self,
        open_run: "Callable[[Losses], Run]",
        environ: "Mapping[str, str]",
        burst: int = BURST,
        per_second: float = PER_SECOND,
        *,
        observer: "Observer | None" = None,
    ) -> None:
        super().__init__(open_run, environ, burst, per_second, observer=observer)
        _hooks.install(self)

    def _begin(self) -> None:
        super()._begin()
        # What is left of the time for which forks wait, and the thread for which it is.
        self._parting = _PART_SECONDS
        self._parting_thread: OwnThread | None = None

    # the end of the process

    def end(self) -> None:
        """See to what is left before the interpreter ends, in the way that `exits` chooses.

        From then on no thread is started, and the one there is ends: in the interpreter's last
        moments it could be stopped anywhere, and what it holds would be held for ever. After
        Ctrl-C nothing more is waited for, and what is left is persisted all the same.
        """
        patience = _EXIT_TIME.patience()
        for part in (self._deliver_last, self._persist_last, self._persist_last):
            try:
                part(patience)
            except BaseException as error:
                self._note_error(error)
            else:
                if part == self._persist_last:
                    break
        _EXIT_TIME.spent(patience)

    def _deliver_last(self, patience: Patience) -> None:
        """Choose how to end; persist what is left, and deliver it where that is the way."""
        _hooks.notice_fork()
        self._mode = "none"
        if self._is_done():
            self._adopt_last(Patience(min(NOTICE_SECONDS, patience.left)))
            if self._outbox is None or not self._outbox.backlog.has_stored:
                return
        from getpatter.telemetry.delivery import exits  # who ends with nothing left does without

        self._mode = "spool"  # if anything comes in between
        mode = exits.choose(self._environ).mode
        # Before it is waited for, too: what does not arrive in time is there then.
        is_stored = mode != "none" and self._persist_soon(patience)
        if mode in ("detach", "spool") and not is_stored:
            mode = "wait"  # nothing that is left to others would be there
        self._mode = mode
        if mode == "wait":
            self._let_go(lambda: is_stored)
            # A little of it stays for what is recorded meanwhile.
            rest = Patience(patience.left - NOTICE_SECONDS)
            self._flush(rest)
            self._deliver_adopted(rest)

    def _persist_last(self, patience: Patience) -> None:
        self._enter(ENDING)
        self._persist_soon(patience)
        thread = self._thread
        if thread is not None and thread.is_alive:
            self._bell.ring()
            thread.join(Patience(min(NOTICE_SECONDS, patience.left)))

    def _take_along(self) -> None:
        """Handle a record made during or after shutdown."""
        if self.phase.refuses is not None:
            self.buffer.lose(self.phase.refuses)
            return
        patience = _EXIT_TIME.patience()
        self._deliver_last(patience)
        self._persist_soon(patience)
        if self._io.acquire(blocking=False):
            try:
                if self._outbox is not None and self._mode != "detach":
                    self._outbox.disconnect()  # the next one may never come
            finally:
                self._io.release()
        _EXIT_TIME.spent(patience)

    # fork

    def before_fork(self) -> None:
        """Wait until no module is being loaded, and have our threads end if they can at once.

        Not while something is pending: the interpreter counts threads after the fork, when the
        hooks have run and that has to go on.
        """
        self._loader.before_fork()
        backlog = None if self._outbox is None else self._outbox.backlog
        is_pending = len(self.buffer) or (backlog is not None and backlog.has_own)
        if _WARNS_OF_THREADS and self._has_thread() and not is_pending:
            self._part()

    def _part(self) -> None:
        if self._parting_thread is not self._thread:
            self._parting_thread, self._parting = self._thread, _PART_SECONDS
        uploader = None if self._outbox is None else self._outbox.thread
        ours = [thread for thread in (self._thread, uploader) if thread is not None]
        self._is_parting = True
        self._bell.ring()
        patience = Patience(self._parting)
        while patience.left and any(thread.is_there for thread in ours):
            sleep(_PART_LOOK)
            patience.spend(_PART_LOOK)
        self._parting = patience.left

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        self._loader.after_fork_in_parent()
        if self._is_parting:
            self._is_parting = False
            if not self._is_done():
                self.wake()

    def after_fork_in_child(self) -> None:
        """Begin anew."""
        _EXIT_TIME.begin()
        self._loader.after_fork_in_child()
        if self._outbox is not None:
            self._outbox.backlog.drop_inherited()
        self._begin()
