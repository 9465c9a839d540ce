"""The uploader: sends one batch at a time to the collector, on a thread of its own.

So that a collector that hangs holds up neither the worker, which must get to the disk in time, nor
anybody else. Where no thread can be started it sends on the thread of the caller.
"""

from collections import deque

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.delivery.batch import Response
from getpatter.telemetry.delivery.limits import OVERDUE
from getpatter.telemetry.delivery.patience import Patience
from getpatter.telemetry.delivery.threads import Bell, OwnThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from getpatter.telemetry.delivery.batch import Batch

    class Transport(Protocol):
        """What sends a batch. Raises only what is a bug of ours."""

        def send(self, batch: Batch, now: float, timeout: float = ...) -> Response: ...
        def close(self) -> None: ...


__all__ = ["Uploader"]


class Uploader:
    """Owns the transport, which `open_transport` makes at the first request.

    `has_consent` is asked last, on the thread that sends: loading what sending needs can take
    seconds. `on_error` gets every exception that is a bug of ours.
    """

    def __init__(
        self,
        open_transport: "Callable[[], Transport]",
        has_consent: "Callable[[], bool]",
        wake: "Callable[[], None]",
        on_error: "Callable[[BaseException], None]",
    ) -> None:
        self._open_transport = open_transport
        self._has_consent = has_consent
        self._wake = wake
        self._on_error = on_error
        self._transport: Transport | None = None
        #: The thread, once there is one.
        self.thread: OwnThread | None = None
        # What its thread is to send, None to end it; and what has come of it. Each access is one
        # step of the interpreter.
        self._batches: deque[Batch | None] = deque()
        self._answers: deque[Response] = deque()
        self._bell = Bell()
        self._begun_at: float | None = None

    def send(self, batch: "Batch") -> None:
        """Begin to send a batch; `take` has the answer once it is there.

        If no thread can be had it is sent at once: the caller is a thread of ours that can wait.
        """
        if self._has_thread():
            self._batches.append(batch)
            self._bell.ring()
        else:
            self._answers.append(self._send(batch, OVERDUE))

    def send_here(self, batch: "Batch", seconds: float) -> Response:
        """Send a batch on this thread, within so many seconds, and return the answer."""
        return self._send(batch, seconds)

    def take(self) -> Response | None:
        """Return the answer to what was sent last, once; None while there is none."""
        # Asked before: an answer may come, and the thread end, in between.
        is_killed = self.thread is not None and not self.thread.is_alive
        try:
            return self._answers.popleft()
        except IndexError:
            if not is_killed:
                return None
        # Whatever the host raises in a thread of ours: as if nobody had answered.
        self.thread, self._begun_at = None, None
        self._batches.clear()
        return Response(None)

    @property
    def is_alive(self) -> bool:
        """Whether its thread is."""
        return self.thread is not None and self.thread.is_alive

    def is_overdue(self, now: float) -> bool:
        """Return whether a request has taken longer than any may."""
        begun = self._begun_at
        return begun is not None and now - begun > OVERDUE

    def end(self, seconds: float = 0.0) -> None:
        """Close the connection, waiting at most so long; a request in flight goes on to its end,
        and nobody waits for it.
        """
        if self.thread is not None:
            self._batches.append(None)
            self._bell.ring()
            self.thread.join(Patience(0 if self._begun_at is not None else seconds))
        else:
            self._close()

    def _has_thread(self) -> bool:
        if self.is_alive:
            return True
        try:
            self.thread = OwnThread(self._work)
        except (RuntimeError, MemoryError):
            return False  # no thread can be had (any more)
        return True

    def _work(self, _thread: OwnThread) -> None:
        while (batch := self._next()) is not None:
            answer = self._send(batch, OVERDUE)
            self._answers.append(answer)
            self._wake()
        self._close()

    def _next(self) -> "Batch | None":
        while not self._batches:
            self._bell.wait()
        return self._batches.popleft()

    def _send(self, batch: "Batch", timeout: float) -> Response:
        """Return the answer; whatever is raised is one, or this thread would end with it."""
        try:
            if self._transport is None:
                self._transport = self._open_transport()
            if not self._has_consent():
                return Response.none("opted_out")
            self._begun_at = now = monotonic()
            return self._transport.send(batch, now, timeout)
        except (OSError, ImportError, MemoryError):  # the machine's, and not for good
            return Response(None)
        except Exception as error:
            self._on_error(error)
            return Response.none("internal_error")
        except BaseException:  # an object of the host's that ends threads: as if nobody answered
            return Response(None)
        finally:
            self._begun_at = None

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
