"""The uploader: sends one batch at a time to the collector, on a thread of its own.

So that a collector that hangs holds up neither the worker, which must get to the disk in time, nor
anybody else. Where no thread can be started the worker asks for the request to be made on the spot.
"""

import threading
from queue import Empty, SimpleQueue

from getpatter.telemetry._clock import monotonic
from getpatter.telemetry.delivery.batch import Response
from getpatter.telemetry.delivery.limits import OVERDUE

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
    seconds. `on_error` is told of every exception that is a bug of ours.
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
        self.thread: threading.Thread | None = None
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._answers: SimpleQueue[Response] = SimpleQueue()
        self._begun_at: float | None = None

    def send(self, batch: "Batch") -> None:
        """Begin to send a batch; `take` has the answer once it is there.

        If no thread can be had, that is as if nobody had answered.
        """
        if self._has_thread():
            self._batches.put(batch)
        else:
            self._answers.put(Response(None))

    def send_here(self, batch: "Batch", seconds: float) -> Response:
        """Send a batch on this thread, within so many seconds, and return the answer."""
        return self._send(batch, seconds)

    def take(self) -> Response | None:
        """Return the answer to what was sent last, once; None while there is none."""
        # Asked before: an answer may come, and the thread end, in between.
        is_killed = self.thread is not None and not self.thread.is_alive()
        try:
            return self._answers.get_nowait()
        except Empty:
            if not is_killed:
                return None
        # A tracer of the host's may raise anything at any line: as if nobody had answered.
        self.thread, self._begun_at, self._batches = None, None, SimpleQueue()
        return Response(None)

    @property
    def is_alive(self) -> bool:
        """Whether its thread is."""
        return self.thread is not None and self.thread.is_alive()

    def is_overdue(self, now: float) -> bool:
        """Return whether a request has taken longer than any may."""
        begun = self._begun_at
        return begun is not None and now - begun > OVERDUE

    def end(self, seconds: float = 0.0) -> None:
        """Close the connection, waiting at most so long; a request under way goes on to its end,
        and nobody waits for it.
        """
        if self.thread is not None:
            self._batches.put(None)
            self.thread.join(0 if self._begun_at is not None else seconds)
        else:
            self._close()

    def _has_thread(self) -> bool:
        if self.is_alive:
            return True
        thread = threading.Thread(target=self._run, name="getpatter-telemetry-http", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False  # no thread can be had (any more)
        self.thread = thread
        return True

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            answer = self._send(batch, OVERDUE)
            self._answers.put(answer)
            self._wake()
        self._close()

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
