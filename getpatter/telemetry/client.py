"""The client: what a program holds, and the wiring behind it.

On, off and debug are different objects behind one interface; the client asks no flag twice.
"""

from getpatter.telemetry import consent, env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Protocol

    from getpatter.telemetry._observer import Observer
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.route import Route

    class _Pipeline(Protocol):
        def record(self, name: str, dimensions: Mapping[str, object]) -> None: ...
        def flush_pending(self) -> None: ...
        def flush(self, timeout: float) -> bool: ...
        def close(self, timeout: float) -> bool: ...
        def stats(self) -> dict[str, object]: ...
        def collects(self) -> tuple[float, frozenset[str]]: ...
        def reduce(
            self, sample_rate: float | None, without: Collection[str], *, off: bool
        ) -> None: ...


__all__ = ["DEFAULT_ENDPOINT", "TelemetryClient"]

_OFF_SAYS = "telemetry is off; `getpatter telemetry status` says which rule decided"
DEFAULT_ENDPOINT = "https://telemetry.getpatter.com/v1/ingest"


class _Off:
    """Telemetry that is off: keeps nothing, starts nothing, touches nothing."""

    def record(self, name: str, dimensions: "Mapping[str, object]") -> None:
        """Forget it."""

    def flush_pending(self) -> None:
        """Nothing is pending."""

    def flush(self, timeout: float) -> bool:  # noqa: ARG002
        return True

    def close(self, timeout: float) -> bool:  # noqa: ARG002
        return True

    def stats(self) -> "dict[str, object]":
        return {"delivered": 0, "waiting": 0, "spooled": 0, "lost": {}}

    def collects(self) -> "tuple[float, frozenset[str]]":
        return 0.0, frozenset()

    def reduce(self, sample_rate: float | None, without: "Collection[str]", *, off: bool) -> None:
        """Nothing is less than nothing."""


class TelemetryClient:
    """Records anonymous events and sends them in the background, with consent.

    `sdk_version` is the host library's; `flag` what the program passed as `telemetry=`; `endpoint`
    wins over `PATTER_TELEMETRY_ENDPOINT`, which wins over `DEFAULT_ENDPOINT`. `environ` replaces
    the environment of the process, for tests. `rate_limit` is how many events of one name may be
    recorded at once, and how many a second from then on (2,000 and 100 unless given). `observer` is
    called with a status and what it says, once set-up went well or not, if the collector fails for
    good, and whenever it recommends something; it must return at once. Constructing never raises on
    account of telemetry.

    A client that nobody refers to any more still delivers what it recorded, and an ending program
    waits for it at most half a second.
    """

    def __init__(
        self,
        *,
        sdk_version: str,
        flag: bool | None = None,
        endpoint: str | None = None,
        environ: "Mapping[str, str] | None" = None,
        rate_limit: "tuple[int, float] | None" = None,
        observer: "Observer | None" = None,
    ) -> None:
        self._pipeline: _Pipeline = _Off()
        self._is_enabled = False
        try:
            chosen = env.process_environment() if environ is None else environ
            asked = consent.Consent(chosen, flag)
            settings = asked.settings()
            if settings is None:
                _tell(observer, "disabled", _OFF_SAYS)
                return
            self._pipeline = _start(
                chosen,
                asked,
                settings,
                sdk_version=sdk_version,
                endpoint=endpoint or settings.endpoint or DEFAULT_ENDPOINT,
                limit=rate_limit or (),
                observer=observer,
            )
            self._is_enabled = True
        except Exception as error:  # the host's start matters more than any event
            _tell(observer, "state_error", f"telemetry cannot start: {type(error).__name__}")

    @property
    def enabled(self) -> bool:
        """Whether this client had consent when it was made."""
        return self._is_enabled

    def record(self, name: str, /, **dimensions: object) -> None:
        """Keep one event for sending. Returns at once and never raises, whatever it is given.

        What is not valid does not leave: an unknown event, or a dimension out of its set, is
        dropped and counted (`stats`), the rest of the event stays.
        """
        try:
            self._pipeline.record(name, dimensions)
        except Exception:  # the public boundary: telemetry is never the host's error
            return

    def flush_pending(self) -> None:
        """Ask for what is buffered to be sent now; does not wait."""
        self._pipeline.flush_pending()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait at most `timeout` seconds until nothing is left to send; return whether so."""
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """`flush`, then record no more. What is left is put on disk for a later start."""
        return self._pipeline.close(timeout)

    async def drain(self, timeout: float = 2.0) -> None:
        """Deliver what is buffered, waiting at most `timeout` seconds; stays usable."""
        if not self._pipeline.flush(0.0):
            await _off_the_loop(self._pipeline.flush, timeout)

    async def aclose(self) -> None:
        """`close` for a coroutine: waits at most two seconds, never blocks the event loop."""
        await self.drain(2.0)
        self._pipeline.close(0.0)

    def stats(self) -> "dict[str, object]":
        """Return `delivered`, `waiting` (in memory) and `spooled` (on disk), in events of this
        client; and `lost`: event → reason → count.
        """
        return self._pipeline.stats()

    def collects(self) -> "tuple[float, frozenset[str]]":
        """Return the sample rate in force, and the events that are recorded; off: 0 and none."""
        return self._pipeline.collects()

    def reduce(
        self,
        *,
        sample_rate: float | None = None,
        without: "Collection[str]" = (),
        off: bool = False,
    ) -> None:
        """Collect less for the rest of the run: at a lower rate, without some events, or nothing.

        Can only reduce: a higher rate changes nothing, and nothing comes back. What is no longer
        recorded is counted as `opted_out`, what is no longer kept as `sampled_out`. For a rate that
        is no number from 0 to 1 it raises ValueError, when the rest is done.
        """
        rate = sample_rate if _is_rate(sample_rate) else None
        self._pipeline.reduce(rate, without, off=off)
        if rate is None and sample_rate is not None:
            message = "sample_rate is no number from 0 to 1"
            raise ValueError(message)


def _start(
    environ: "Mapping[str, str]",
    asked: consent.Consent,
    settings: env.Settings,
    *,
    sdk_version: str,
    endpoint: str,
    limit: "tuple[int, float] | tuple[()]",
    observer: "Observer | None",
) -> "_Pipeline":
    """Start the pipeline of a run with consent. Its modules are loaded here, not by who is off."""
    from getpatter.telemetry.install_id import run_id
    from getpatter.telemetry.worker import Worker

    run_id()  # made with its module, here: the children of a later fork share it
    is_debug = settings.debug

    def open_route(losses: "Losses") -> "Route":
        from getpatter.telemetry.route import Route, Run  # on the worker

        run = Run(
            sdk_version=sdk_version,
            consent=asked,
            settings=settings,
            endpoint=endpoint,
            environ=environ,
            is_debug=is_debug,
        )
        return Route(run, losses)

    return Worker(open_route, environ, *limit, observer=observer)


def _is_rate(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


def _tell(observer: "Observer | None", status: str, said: str) -> None:
    if observer is not None:
        from getpatter.telemetry._observer import Observed

        Observed(observer).tell(status, said)


async def _off_the_loop(flush: "Callable[[float], bool]", timeout: float) -> None:
    """Wait for `flush(timeout)` without blocking the event loop.

    On a thread of its own: the loop's may all be busy with the host's work, or not be there yet.
    """
    import asyncio  # whoever awaits has it
    import threading

    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wait() -> None:
        flush(timeout)
        try:
            loop.call_soon_threadsafe(done.set)
        except RuntimeError:
            return  # nobody waits any more: the loop has ended

    try:
        threading.Thread(target=wait, name="getpatter-telemetry-drain", daemon=True).start()
    except RuntimeError:
        return  # no thread can be had (any more)
    await done.wait()
