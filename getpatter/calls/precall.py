"""The pre-call test: whether the endpoints of a call can be reached, and how fast.

Real probes: each resolves the name, connects, does the TLS handshake and waits for the first byte
of an answer, as far as the endpoint has those steps. No proxy is used and no redirect followed; the
answer is not read. Nothing is probed that the host did not name.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic
from getpatter.calls.endpoint import Endpoint, read
from getpatter.calls.result import OK, Result
from getpatter.telemetry.network.wire import Tls, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from getpatter.calls.callbacks.subscriptions import Callbacks
    from getpatter.telemetry.network.wire import Wire

__all__ = ["precall_test", "probe_all", "start"]

# More would be a load test of somebody else's machine.
_MOST_PROBES = 100
_MOST_ENDPOINTS = 32
#: Five give a median and a spread; a test has so many seconds altogether.
PROBES = 5
TIMEOUT = 10.0
# Why a step failed, the first that fits; anything else is an `error`.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "timeout"),
    (socket.gaierror, "unknown_host"),
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "tls_error"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (UnicodeError, "unknown_host"),
    (OSError, "unreachable"),
)


class _Failed(Exception):  # noqa: N818 - an outcome
    """A step failed: its name, why, and in the system's words."""

    def __init__(self, step: str, reason: str, message: str) -> None:
        super().__init__(step, reason, message)
        self.step = step
        self.reason = reason
        self.message = message


def precall_test(
    endpoints: Sequence[str | tuple[str, int]],
    *,
    probes: int = PROBES,
    timeout: float = TIMEOUT,
    context: ssl.SSLContext | None = None,
) -> list[dict[str, object]]:
    """Probe endpoints, all at once, and return what was measured of each, in their order.

    Takes `timeout` seconds at most, however slow they are. Of each: `endpoint`, `probes` that were
    made, how many `succeeded`, and per step (`dns`, `connect`, `tls`, `first_byte`) the `median_ms`
    and the `spread_ms` (longest less shortest) of those that got so far; if any failed, of the last
    one the `failed_step`, the `reason` and a `message`. Raises ValueError for what is no endpoint
    or no number of probes.
    """
    named = _read_all(endpoints, probes, timeout)
    return probe_all(named, probes=probes, timeout=timeout, context=context)


def start(
    callbacks: Callbacks,
    endpoints: Sequence[str | tuple[str, int]],
    *,
    probes: int = PROBES,
    timeout: float = TIMEOUT,
    context: ssl.SSLContext | None = None,
) -> Result:
    """Begin a pre-call test and return at once; `precall_test` callbacks get the outcome.

    Answers `refused_endpoint` for what is no endpoint or no number of probes, and `no_thread` if
    the program is ending.
    """
    try:
        named = _read_all(endpoints, probes, timeout)
    except (TypeError, ValueError) as error:
        return Result("refused_endpoint", f"pre-call test: {error}")

    def run() -> None:
        found = probe_all(named, probes=probes, timeout=timeout, context=context)
        callbacks.dispatch("precall_test", {"endpoints": found})

    try:
        threading.Thread(target=run, name="getpatter-precall", daemon=True).start()
    except RuntimeError:
        return Result("no_thread", "pre-call test: no thread can be started")
    return OK


def _read_all(
    endpoints: Sequence[str | tuple[str, int]], probes: int, timeout: float
) -> list[Endpoint]:
    if isinstance(endpoints, str):
        message = "endpoints are a list"
        raise ValueError(message)  # noqa: TRY004 - one kind of error for one kind of mistake
    if not 1 <= len(endpoints) <= _MOST_ENDPOINTS:
        message = f"1 to {_MOST_ENDPOINTS} endpoints"
        raise ValueError(message)
    if type(probes) is not int or not 1 <= probes <= _MOST_PROBES:
        message = f"1 to {_MOST_PROBES} probes"
        raise ValueError(message)
    if not 0 < timeout <= threading.TIMEOUT_MAX:
        message = "a timeout is a number of seconds above 0"
        raise ValueError(message)
    return [read(named) for named in endpoints]


def probe_all(
    endpoints: Sequence[Endpoint], *, probes: int, timeout: float, context: ssl.SSLContext | None
) -> list[dict[str, object]]:
    """Probe endpoints, each on a thread of its own, until they are done or time is up."""
    until = monotonic() + timeout
    series = [_Series(endpoint) for endpoint in endpoints]
    threads = [
        threading.Thread(
            target=one.run, args=(probes, until, context), name="getpatter-probe", daemon=True
        )
        for one in series
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Resolving a name cannot be interrupted: a thread that is stuck there is left behind.
        thread.join(max(0.0, until - monotonic()))
    return [one.summary() for one in series]


class _Series:
    """The probes of one endpoint. Written by its thread; read when that is done, or time is up."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # Held while the fields that follow are read or written.
        self._lock = threading.Lock()
        self._times: dict[str, list[float]] = {}
        self._made = 0
        self._succeeded = 0
        self._failure: _Failed | None = None
        self._step = endpoint.steps[0]
        self._is_over = False

    def run(self, probes: int, until: float, context: ssl.SSLContext | None) -> None:
        """Probe, one after the other, until time is up."""
        if "tls" in self._endpoint.steps and context is None:
            context = ssl.create_default_context()
        for _ in range(probes):
            failure = None
            try:
                self._probe(until, context)
            except _Failed as failed:
                failure = failed
            with self._lock:
                if self._is_over:
                    return
                self._made += 1
                self._succeeded += failure is None
                self._failure = failure or self._failure
            if monotonic() >= until:
                break
        with self._lock:
            self._is_over = True

    def _probe(self, until: float, context: ssl.SSLContext | None) -> None:
        endpoint = self._endpoint
        with self._timed("dns"):
            found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        with self._timed("connect"):
            wire: Wire = connect(found, until)
        try:
            if context is not None and "tls" in endpoint.steps:
                with self._timed("tls"):
                    wire = Tls(wire, context, endpoint.host, until)
            if "first_byte" in endpoint.steps:
                with self._timed("first_byte"):
                    wire.send(endpoint.request(), until)
                    if not wire.receive(until):
                        message = "closed without an answer"
                        raise _Failed(step="first_byte", reason="closed", message=message)
        finally:
            wire.close()

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        """Time a step; an error of the system's becomes its failure."""
        with self._lock:
            self._step = step
        begin = time.perf_counter()
        try:
            yield
        except (OSError, UnicodeError) as error:
            reason = next((word for kind, word in _REASONS if isinstance(error, kind)), "error")
            raise _Failed(step, reason, str(error)) from error
        taken = time.perf_counter() - begin
        with self._lock:
            if not self._is_over:
                self._times.setdefault(step, []).append(1_000 * taken)

    def summary(self) -> dict[str, object]:
        """Return what is known now; a probe that has not ended has run out of time."""
        with self._lock:
            if not self._is_over:
                self._is_over = True
                self._made += 1
                self._failure = _Failed(self._step, "timeout", "time was up")
            found: dict[str, object] = {
                "endpoint": self._endpoint.name,
                "probes": self._made,
                "succeeded": self._succeeded,
            }
            for step, times in self._times.items():
                found[step] = {"median_ms": median(times), "spread_ms": max(times) - min(times)}
            if self._failure is not None:
                found["failed_step"] = self._failure.step
                found["reason"] = self._failure.reason
                found["message"] = self._failure.message
            return found
