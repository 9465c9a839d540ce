"""What the events tell: lines to read, the activation funnel, the latencies, a conclusion. Pure.

An event weighs 1 / the probability with which it was kept, and everything here counts weights:
that is what makes a figure of sampled events an estimate of the whole.
"""

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Event = dict[str, object]

__all__ = ["conclusions", "funnel", "latencies", "line", "total", "weight", "weighted_quantile"]

#: Dimension → what a reader calls it.
LATENCIES = {
    "eou_latency_ms": "end of speech noticed",
    "stt_latency_ms": "speech understood",
    "llm_ttft_ms": "answer begun",
    "tts_first_byte_ms": "speech begun",
    "latency_ms": "from noticed to speaking",
}

# What every line of an event would say alike.
_COMMON = frozenset(
    {"event", "schema_version", "sdk", "sdk_version", "os", "arch", "runtime", "runtime_version"}
    | {"ci", "run_id", "install_id", "call_uid"}
)


def weight(event: "Event") -> float:
    """Return how many events this one stands for: 1 / the probability that it was kept."""
    rate = event.get("sample_rate", 1.0)
    return 1.0 / rate if isinstance(rate, (int, float)) else 1.0


def total(events: "Iterable[Event]") -> float:
    """Return how many events there were before sampling, as well as these can tell."""
    return sum(weight(event) for event in events)


def line(event: "Event") -> str:
    """Return one event as one readable line: its run, its name, and what only it says."""
    said = ", ".join(f"{name}={value}" for name, value in event.items() if name not in _COMMON)
    return f"run {str(event['run_id'])[:6]}  {event['event']:<17}  {said}"


def funnel(events: "Sequence[Event]") -> "list[tuple[str, float]]":
    """Return the steps from an install's first start to a completed call, with weighted counts."""

    def count(name: str, fits: "Callable[[Event], bool]" = lambda _: True) -> float:
        return total(event for event in events if event["event"] == name and fits(event))

    return [
        ("installs that started for the first time", count("first_run")),
        ("starts that found their configuration", count("sdk_initialized")),
        ("starts that lacked configuration", count("config_incomplete")),
        ("calls whose media began", count("call_started")),
        ("calls that ended", count("call_completed")),
        ("  of these completed", count("call_completed", lambda e: e["outcome"] == "completed")),
        ("  of these failed in a stage", count("call_completed", lambda e: "error_code" in e)),
    ]


def weighted_quantile(values: "Iterable[tuple[float, float]]", quantile: float) -> float | None:
    """Return the smallest value with at least `quantile` of the weight at or below it.

    `values` are (value, weight); None for no values.
    """
    ordered = sorted(values)
    threshold = quantile * sum(w for _, w in ordered)
    passed = 0.0
    for value, w in ordered:
        passed += w
        if passed >= threshold:
            return value
    return None


def latencies(events: "Sequence[Event]") -> "list[tuple[str, float, float, int]]":
    """Return per stage: what it is called, weighted median and p95 in ms, calls measured."""
    rows = []
    for dimension, name in LATENCIES.items():
        values = [
            (float(value), weight(event))
            for event in events
            if isinstance(value := event.get(dimension), int)
        ]
        median, p95 = weighted_quantile(values, 0.5), weighted_quantile(values, 0.95)
        if median is not None and p95 is not None:
            rows.append((name, median, p95, len(values)))
    return rows


def conclusions(events: "Sequence[Event]") -> list[str]:
    """Return what a maintainer can conclude, a sentence each, from these events alone."""
    ended = [event for event in events if event["event"] == "call_completed"]
    broken = [event for event in ended if "error_code" in event]
    said = []
    missing = Counter(str(e["missing"]) for e in events if e["event"] == "config_incomplete")
    for category, times in missing.most_common(1):
        said.append(
            f"{times} of {sum(missing.values())} starts that stopped early lacked {category}."
        )
    if broken:
        share = total(broken) / total(ended)
        layers = Counter(str(event["error_layer"]) for event in broken)
        layer, times = layers.most_common(1)[0]
        said.append(
            f"About {share:.0%} of calls break; {times} of {len(broken)} in the layer {layer}: "
            "that is where to look first."
        )
    medians = {name: median for name, median, _, _ in latencies(events)}
    answer = medians.pop(LATENCIES["latency_ms"], None)
    if answer is not None and medians:
        slowest = max(medians, key=lambda name: medians[name])
        said.append(
            f"In the middle call the answer begins {answer:.0f} ms after the end of speech is "
            f"noticed; the slowest step is '{slowest}' ({medians[slowest]:.0f} ms)."
        )
    return said
