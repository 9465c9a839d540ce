"""The client: what a program holds, and the wiring behind it.

On, off and debug are different objects behind one interface; the client asks no flag twice.
"""

from getpatter.telemetry import consent, env
from getpatter.telemetry._clock import seconds
from getpatter.telemetry._interrupt import is_ctrl_c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Protocol

    from getpatter.telemetry.delivery.drain import Drains
    from getpatter.telemetry.delivery.observer import Observer
    from getpatter.telemetry.losses import Losses
    from getpatter.telemetry.run import Run

    class _Pipeline(Protocol):
        def record(self, name: str, dimensions: Mapping[str, object]) -> None: ...
        def flush_pending(self) -> None: ...
        def flush(self, timeout: float) -> bool: ...
        def close(self, timeout: float) -> bool: ...
        def stats(self) -> dict[str, object]: ...
        def collects(self) -> tuple[float, frozenset[str]]: ...
        def reduce(self, rate: float | None, without: Collection[str], *, off: bool) -> None: ...


__all__ = ["DEFAULT_ENDPOINT", "TelemetryClient"]

# As many as there are events, and some that are none.
_MOST_NAMES = 64
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


class _Unclear(_Off):
    """Telemetry that is off since nobody could say otherwise: what might say off could not be
    read. What is recorded is lost, and counted.
    """

    def __init__(self) -> None:
        self._names: dict[str, int] = {}

    def record(self, name: str, dimensions: "Mapping[str, object]") -> None:  # noqa: ARG002
        if type(name) is str and (name in self._names or len(self._names) < _MOST_NAMES):
            self._names[name] = self._names.get(name, 0) + 1

    def stats(self) -> "dict[str, object]":
        counts = self._names.copy()
        try:
            from getpatter.telemetry._tables import EVENT_NAMES  # not loaded by who is off
        except Exception:  # what is loaded late cannot be loaded without a descriptor
            EVENT_NAMES = ()  # noqa: N806 - as it is called there
        lost: dict[str, dict[str, int]] = {}
        for name, times in counts.items():
            count = lost.setdefault(name if name in EVENT_NAMES else "unknown", {"opted_out": 0})
            count["opted_out"] += times
        return {**super().stats(), "lost": lost}


class TelemetryClient:
    """Records anonymous events and sends them in the background, with consent.

    `sdk_version` is the host library's; `flag` what the program passed as `telemetry=`; `endpoint`
    wins over `PATTER_TELEMETRY_ENDPOINT`, which wins over `DEFAULT_ENDPOINT`. `environ` replaces
    the environment of the process, for tests. `rate_limit` is how many events of one name may be
    recorded at once, and how many a second from then on (2,000 and 100 unless given). `observer` is
    called with a status and what it says, once set-up went well or not, if the collector fails for
    good, and whenever it recommends something; it must return at once. Constructing never raises on
    account of telemetry.

    A client that nobody refers to any more still delivers what it recorded. An ending program waits
    for all of them at most half a second, and beside a slow disk 4.5 seconds.
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
        self._drains: Drains | None = None
        self._is_enabled = False
        chosen = env.process_environment() if environ is None else environ
        asked = consent.Consent(chosen, flag)
        try:
            settings = asked.settings()
            if settings is None:
                self._pipeline = _Unclear() if asked.is_unclear else self._pipeline
                _notify(observer, "disabled", _OFF_SAYS)
                _say_misspelt(asked.refusals)
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
            self._pipeline = _Unclear()
            _notify(observer, "state_error", f"telemetry cannot start: {type(error).__name__}")

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
        except BaseException as error:  # the public boundary: telemetry is never the host's error
            if is_ctrl_c(error):
                raise

    def flush_pending(self) -> None:
        """Ask for what is buffered to be sent now; does not wait."""
        self._pipeline.flush_pending()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait at most `timeout` seconds until nothing is left to send; return whether so."""
        return self._pipeline.flush(seconds(timeout))

    def close(self, timeout: float = 2.0) -> bool:
        """`flush`, then record no more. What is left is put on disk for a later start."""
        return self._pipeline.close(seconds(timeout))

    async def drain(self, timeout: float = 2.0) -> None:
        """Deliver what is buffered, waiting at most `timeout` seconds; stays usable."""
        if not self._pipeline.flush(0.0):
            await self._drained(seconds(timeout))

    async def aclose(self) -> None:
        """`close` for a coroutine: waits at most two seconds, never blocks the event loop."""
        await self._drained(2.0, closes=True)

    async def _drained(self, timeout: float, *, closes: bool = False) -> None:
        if not self._is_enabled:
            return
        if self._drains is None:
            from getpatter.telemetry.delivery.drain import Drains

            self._drains = Drains(self._pipeline.flush, self._pipeline.close)
        await self._drains.wait(timeout, closes=closes)

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

        `without` are names of events, or one name. Can only reduce: a higher rate changes nothing,
        and nothing comes back. What is no longer recorded is counted as `opted_out`, what is no
        longer kept as `sampled_out`. Raises ValueError for a rate that is not a number between 0
        and 1 and for a name that is not an event's, when the rest is done.
        """
        rate = sample_rate if _is_rate(sample_rate) else None
        names, unknown = _event_names(without)
        self._pipeline.reduce(rate, names, off=off)
        if rate is None and sample_rate is not None:
            message = "sample_rate must be a number between 0 and 1"
            raise ValueError(message)
        if unknown:
            message = f"without must name events; unknown: {', '.join(map(repr, unknown))}"
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
    """Start the pipeline of a run with consent. Nothing of it is loaded when off."""
    from getpatter.telemetry.delivery.pipeline import Pipeline
    from getpatter.telemetry.install_id import run_id

    run_id()  # made with its module, here: the children of a later fork share it

    def open_run(losses: "Losses") -> "Run":
        from getpatter.telemetry.run import Run, Start  # on the worker

        start = Start(
            sdk_version=sdk_version,
            consent=asked,
            settings=settings,
            endpoint=endpoint,
            environ=environ,
        )
        return Run(start, losses)

    return Pipeline(open_run, environ, *limit, observer=observer)


def _is_rate(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


def _event_names(without: object) -> "tuple[list[str], list[object]]":
    """Return the names of events that these are, as plain text, and those that are none."""
    from getpatter.telemetry._tables import EVENT_NAMES  # not loaded by who is off

    if isinstance(without, str):
        without = (without,)
    try:
        found: list[object] = list(without)  # type: ignore[call-overload] # or TypeError
    except TypeError:
        found = [without]
    names, unknown = [], []
    for name in found:
        # A name of a type of its own (StrEnum) counts by its characters.
        text = str.__str__(name) if isinstance(name, str) else None
        if text in EVENT_NAMES:
            names.append(text)
        else:
            unknown.append(name)
    return names, unknown


def _say_misspelt(refusals: "list[consent.Rule]") -> None:
    """Say of an opt-out under a name that there is not that it counts, if it alone decides."""
    if len(refusals) == 1 and refusals[0].misspelt is not None:
        from getpatter.telemetry import _stderr

        _stderr.write_once(
            f"getpatter: {refusals[0].misspelt} is not a known variable; it reads as an opt-out, "
            f"so telemetry is off. Did you mean {refusals[0].name}?\n"
        )


def _notify(observer: "Observer | None", status: str, said: str) -> None:
    if observer is None:
        return
    try:
        from getpatter.telemetry.delivery.observer import Observed

        Observed(observer).notify(status, said)
    except Exception:  # as above: what is loaded late cannot be loaded without a descriptor
        return
