"""The truth: counts of what happened, before anything was sampled or lost.

It sees every event as the client would state it at rate 1. So each figure is what an answer would
say if nothing had been lost and nothing sampled.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from getpatter.collector.limits import DAY

if TYPE_CHECKING:
    from getpatter.collector.simulate.population import Install

__all__ = ["RUN_CELL", "RunSeen", "Truth"]

#: By what runs, calls and errors are distinguished.
RUN_CELL = ("sdk_version", "package_manager", "invoked_by_agent", "container", "os")
CALL_CELL = (
    *("sdk_version", "os", "carrier", "engine", "provider", "direction"),
    *("outcome", "error_layer", "error_code", "disconnect_reason"),
)
AFFECTED_CELL = ("error_layer", "error_code", "carrier", "provider", "sdk_version")
LATENCY_CELL = ("sdk_version", "engine", "provider")
#: Dimension → the stage by which answers name it.
STAGES = {
    "latency_ms": "answer",
    "stt_latency_ms": "stt",
    "llm_ttft_ms": "llm",
    "tts_first_byte_ms": "tts",
    "eou_latency_ms": "eou",
}
# Alike in all events of a run: counted once, with the run.
_OF_THE_RUN = (
    "schema_version",
    "sdk",
    "sdk_version",
    "os",
    "arch",
    "runtime",
    "runtime_version",
    "ci",
)
_NOT_COUNTED = frozenset({"event", "run_id", "install_id", "call_uid", *_OF_THE_RUN})
_ADOPTION = frozenset({"feature_used", "agent_configured"})


class RunSeen:
    """One run, while it is seen."""

    __slots__ = ("call_ends", "call_starts", "cell", "day", "install", "outcomes", "rate", "steps")

    def __init__(self, install: Install, rate: float) -> None:
        self.install = install
        self.rate = rate
        self.cell: tuple[Any, ...] = ()
        self.day = 0
        self.steps: set[str] = set()
        self.outcomes: set[str] = set()
        self.call_starts = self.call_ends = 0


class _Past:
    """What an install did that later events are compared with."""

    __slots__ = ("blocks", "first_call", "first_day", "last_run", "started", "weeks")

    def __init__(self, day: int) -> None:
        self.first_day = day
        self.weeks: set[int] = set()
        self.blocks: dict[str, float] = {}  # category → the first time
        self.started: dict[str, float] = {}  # category → the first start after that
        self.last_run = 0.0
        self.first_call: str | None = None


class Truth:
    """Counts; `figures` makes the truth file of them."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.silent: Counter[str] = Counter()  # of runs at rate 0
        self.runs: defaultdict[str, Counter[Any]] = defaultdict(Counter)
        self.shares: dict[str, defaultdict[str, Counter[Any]]] = {}
        self.numbers: dict[str, defaultdict[str, Counter[float]]] = {}
        self.funnel: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        self.days: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.calls: Counter[tuple[Any, ...]] = Counter()
        self.latencies: defaultdict[tuple[Any, ...], Counter[int]] = defaultdict(Counter)
        self.affected: defaultdict[tuple[Any, ...], set[int]] = defaultdict(set)
        self.missing: defaultdict[tuple[Any, ...], set[int]] = defaultdict(set)
        self.adoption: defaultdict[tuple[str, str, Any], set[int]] = defaultdict(set)
        self.by_release: defaultdict[str, set[int]] = defaultdict(set)
        self.pasts: dict[int, _Past] = {}

    def begin(self, install: Install, rate: float) -> RunSeen:
        """Begin a run."""
        return RunSeen(install, rate)

    def see(self, run: RunSeen, event: dict[str, Any], at: float) -> None:
        """Count one event, which happened at `at`."""
        name = event["event"]
        index = run.install.index
        day = int(at // DAY)
        if not run.steps:
            run.day = day
            self.by_release[event["sdk_version"]].add(index)
            for field in _OF_THE_RUN:
                self.runs[field][event[field]] += 1
        past = self.pasts.get(index)
        if past is None:
            past = self.pasts[index] = _Past(day)
        past.weeks.add((day - past.first_day) // 7)
        past.last_run = at
        self.events[name] += 1
        self.silent[name] += run.rate == 0
        self._count_fields(name, event, index)
        run.steps.add(name)
        if name == "call_completed":
            self._see_end(run, event, index, day)
        elif name == "call_started":
            run.call_starts += 1
        elif name == "config_incomplete":
            missing = event["missing"]
            run.steps.add(f"blocked_{missing}")
            run.cell = event["sdk_version"], None, None, None, event["os"]
            self.missing[missing, event["sdk_version"]].add(index)
            past.blocks.setdefault(missing, at)
        elif name == "sdk_initialized":
            run.cell = tuple(event.get(field) for field in RUN_CELL)
            for missing in past.blocks:
                past.started.setdefault(missing, at)
        if past.first_call is None and "time_to_first_call_bucket" in event:
            past.first_call = event["time_to_first_call_bucket"]

    def _count_fields(self, name: str, event: dict[str, Any], index: int) -> None:
        shares, numbers = self.shares.get(name), self.numbers.get(name)
        if shares is None or numbers is None:
            shares = self.shares[name] = defaultdict(Counter)
            numbers = self.numbers[name] = defaultdict(Counter)
        for field, value in event.items():
            if field in _NOT_COUNTED:
                continue
            kind = type(value)
            if kind is str or kind is bool:
                shares[field][value] += 1
                if name in _ADOPTION:
                    self.adoption[name, field, value].add(index)
            else:
                numbers[field][value] += 1

    def _see_end(self, run: RunSeen, event: dict[str, Any], index: int, on: int) -> None:
        get = event.get
        run.call_ends += 1
        run.outcomes.add(event["outcome"])
        cell = tuple(map(get, CALL_CELL))
        self.calls[cell] += 1
        day = self.days[on]
        day["call_ends"] += 1
        if event["outcome"] in {"error", "failed"} or "error_code" in event:
            self.affected[tuple(map(get, AFFECTED_CELL))].add(index)
            day["errors"] += 1
        for dimension, stage in STAGES.items():
            if dimension in event:
                self.latencies[(stage, *map(get, LATENCY_CELL))][event[dimension]] += 1

    def end(self, run: RunSeen) -> None:
        """End a run: it counts in the funnel, unless it was a command of the CLI."""
        steps = run.steps
        if not steps or steps == {"cli_command"}:
            return
        row = self.funnel[run.cell]
        day = self.days[run.day]
        said = {step for step in steps if step.startswith("blocked_")}
        if "config_incomplete" in steps:
            said.add("blocked")
        if "sdk_initialized" in steps:
            said.add("started")
        if run.call_starts or run.call_ends:
            said.add("call_began_or_ended")
        if run.call_starts:
            said.add("call_began")
        if run.call_ends:
            said.add("call_ended")
        if run.call_starts and not run.call_ends:
            said.add("began_and_none_ended")
        said |= {f"ended_{outcome}" for outcome in run.outcomes}
        row["runs"] += 1
        day["runs"] += 1
        for step in said:
            row[step] += 1
            day[step] += 1
        row["call_starts"] += run.call_starts
        row["call_ends"] += run.call_ends
