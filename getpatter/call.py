"""A call as the host sees it: stages, turns, the end; and the one anonymous line left of it.

Measures with a monotonic clock, keeps numbers only, never does I/O and never raises into the call.
"""

import concurrent.futures
import math
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

from getpatter.errors import ConfigurationError
from getpatter.telemetry.call_metrics import (
    count_bucket,
    ending,
    nearest_rank_p95,
    whole_ms,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from getpatter.telemetry.call_metrics import Recorder

    Side = Literal["local", "remote"]
    StageName = Literal[
        "coordinator_join", "ws_join", "peer_connection", "carrier", "stt", "llm", "tts", "eou"
    ]

__all__ = ["Call", "Stage"]

# Stage → the dimension that its latency is reported as.
_LATENCIES = {
    "stt": "stt_latency_ms",
    "llm": "llm_ttft_ms",
    "tts": "tts_first_byte_ms",
    "eou": "eou_latency_ms",
}
# A stage that works on media can only run in a call that has any.
_MEDIA_STAGES = frozenset(_LATENCIES)

# Exception → error code, the first that fits. On 3.10 the two others that are called TimeoutError
# are not the builtin one: this of futures, and asyncio's (`_is_asyncio_timeout`).
_CODES: "tuple[tuple[type[BaseException], str], ...]" = (
    (TimeoutError, "timeout"),
    (concurrent.futures.TimeoutError, "timeout"),
    (PermissionError, "auth"),
    (ConnectionError, "connection"),
    (ConfigurationError, "config"),
)
_SIDES = frozenset({"local", "remote"})
# How many links of a chain of causes are followed to the stage that an error came from.
_LINKS = 64


class Stage:
    """One run of a stage: `with call.stage("llm") as stage`. Its latency ends with `first()`."""

    __slots__ = ("_call", "_elapsed", "_name", "_since")

    def __init__(self, call: "Call", name: str) -> None:
        self._call = call
        self._name = name
        self._since = 0.0
        self._elapsed: float | None = None

    def __enter__(self) -> "Self":
        self._since = time.monotonic()
        return self

    def first(self) -> None:
        """The first token or byte is there: that is the latency of a stage that streams."""
        if self._elapsed is None:
            self._elapsed = time.monotonic() - self._since
            self._call.observe(self._name, self._elapsed)  # type: ignore[arg-type]

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        if error is None:
            self.first()
        else:
            # Kept until the call ends or goes on: only then is it known to be the terminal one.
            self._call._failed = (error, self._name)  # noqa: SLF001 - one subject, two classes


class Call:
    """A call under way. `with patter.call(...) as call:`; or `call.end()` where no block fits.

    However it ends, an exception, a cancelled task, a closed generator and being forgotten
    included, it records exactly one `call_completed`. Every method is safe from any thread.
    """

    def __init__(self, telemetry: "Recorder", facts: "Mapping[str, object]") -> None:
        self._failed: tuple[BaseException, str] | None = None
        self._record = _Record(telemetry, dict(facts))
        # Without `end` nobody ever says how this call ended: a defect, told as one.
        finalizer = weakref.finalize(self, self._record.end, error_code="internal")
        finalizer.atexit = False

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        failed, self._failed = self._failed, None
        if error is None:
            self._record.end()
        elif not isinstance(error, Exception):
            # A cancelled task, a closed generator, Ctrl-C, `sys.exit`: this side ends it.
            self._record.end(hung_up="local")
        elif failed is not None and _comes_from(error, failed[0]):
            code = _known_code(error) or _known_code(failed[0]) or "provider_error"
            self._record.end(error_code=code, error_stage=failed[1])
        else:
            # Outside of any stage, which is somebody else's service, it is the program's own.
            self._record.end(error_code=_known_code(error) or "internal")

    def answer(self) -> None:
        """Media begins: records `call_started`, once. A turn or a media stage implies it."""
        self._record.answer()

    def stage(self, name: "StageName") -> Stage:
        """Return a context manager that times one run of a stage.

        An exception that leaves it and ends the call is attributed to it. Several runs of a stage
        in one turn add up to that turn's latency.
        """
        self._failed = None
        self._record.begin(name)
        return Stage(self, name)

    def observe(self, name: "StageName", seconds: float) -> None:
        """Add a latency that was measured elsewhere, in seconds, to the current turn."""
        self._record.begin(name)
        self._record.observe(name, seconds)

    def turn(self) -> None:
        """A turn begins: the other side has finished speaking; the time to answer runs from here,
        to the first byte of `tts`.
        """
        self._failed = None
        self._record.turn()

    def hangup(self, side: "Side") -> None:
        """Say who hung up. Ends nothing by itself; the last one said counts."""
        if isinstance(side, str) and side in _SIDES:
            self._record.hung_up = side

    def busy(self) -> None:
        """The other side was busy; means something only before `answer`."""
        self._record.unanswered = "busy"

    def no_answer(self) -> None:
        """Nobody answered; means something only before `answer`."""
        self._record.unanswered = "no_answer"

    def error(self, code: str, stage: "StageName | None" = None) -> None:
        """Say that an error without an exception ends this call; the first one said counts."""
        self._record.fail(code, stage)

    def cost(self, usd: float) -> None:
        """Set what the call cost, in US dollars."""
        self._record.cost = usd

    def end(self) -> None:
        """End the call as it stands. What comes after the first end does nothing."""
        self._record.end()


class _Record:
    """The numbers of one call. Outlives the `Call`, so that a forgotten one still ends."""

    def __init__(self, telemetry: "Recorder", facts: "dict[str, object]") -> None:
        self.hung_up: str | None = None
        self.unanswered: str | None = None
        self.cost: float | None = None
        self._process = os.getpid()
        self._telemetry = telemetry
        self._facts = facts
        self._error: tuple[str, str | None] | None = None
        self._answered_at: float | None = None
        self._turns = 0
        self._turn_at: float | None = None
        self._in_turn: dict[str, float] = {}
        self._latencies: dict[str, list[float]] = {}
        # Each is taken once, without waiting, by whoever comes first.
        self._start = threading.Lock()
        self._end = threading.Lock()

    def answer(self) -> None:
        if self._answered_at is None and self._start.acquire(blocking=False):
            self._answered_at = time.monotonic()
            self._telemetry.record("call_started", **self._facts)

    def turn(self) -> None:
        self.answer()
        self._close_turn()
        self._turns += 1
        self._turn_at = time.monotonic()

    def begin(self, stage: object) -> None:
        if isinstance(stage, str) and stage in _MEDIA_STAGES:
            self.answer()

    def observe(self, stage: object, seconds: object) -> None:
        # What is no latency of a known stage must not spoil those that are.
        if not isinstance(stage, str) or not isinstance(seconds, (int, float)):
            return
        if not 0 <= seconds < math.inf:
            return
        self._in_turn[stage] = self._in_turn.get(stage, 0.0) + seconds
        if stage == "tts" and self._turn_at is not None:
            self._latencies.setdefault("latency_ms", []).append(time.monotonic() - self._turn_at)
            self._turn_at = None

    def fail(self, code: str, stage: str | None) -> None:
        if self._error is None:
            self._error = (code, stage)

    def _close_turn(self) -> None:
        latencies, self._in_turn = self._in_turn, {}
        for stage, seconds in latencies.items():
            dimension = _LATENCIES.get(stage)
            if dimension is not None:
                self._latencies.setdefault(dimension, []).append(seconds)

    def end(
        self,
        *,
        error_code: str | None = None,
        error_stage: str | None = None,
        hung_up: str | None = None,
    ) -> None:
        # A call belongs to the process that began it: a `fork` child has only a copy.
        if os.getpid() != self._process or not self._end.acquire(blocking=False):
            return
        self._close_turn()
        code, stage = self._error or (error_code, error_stage)
        connected = self._answered_at is not None
        end = ending(
            connected=connected,
            error_code=code,
            error_stage=stage,
            hung_up=self.hung_up or hung_up,
            unanswered=self.unanswered,
        )
        p95 = {name: nearest_rank_p95(values) for name, values in self._latencies.items()}
        self._telemetry.record(
            "call_completed",
            **self._facts,
            **end.dimensions(),
            error_code=code,
            duration_seconds=self._duration(),
            cost_usd=self.cost,
            turn_count_bucket=count_bucket(self._turns),
            **{name: whole_ms(None if p is None else p * 1_000) for name, p in p95.items()},
        )

    def _duration(self) -> int:
        return 0 if self._answered_at is None else round(time.monotonic() - self._answered_at)


def _comes_from(error: BaseException, origin: BaseException) -> bool:
    """Return whether `origin` is `error`, one of its causes, or grouped in one of them."""
    links: list[BaseException] = [error]
    for link in links:
        if link is origin:
            return True
        if len(links) > _LINKS:
            return False
        grouped = getattr(link, "exceptions", ())  # an ExceptionGroup's, from Python 3.11 on
        causes = (link.__cause__, link.__context__, *(grouped if type(grouped) is tuple else ()))
        links += [cause for cause in causes if isinstance(cause, BaseException)]
    return False


def _known_code(error: BaseException) -> str | None:
    if _is_asyncio_timeout(error):
        return "timeout"
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def _is_asyncio_timeout(error: BaseException) -> bool:
    """Whether asyncio raised it; who did has loaded asyncio, which is too slow to load for this."""
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(error, asyncio.TimeoutError)
