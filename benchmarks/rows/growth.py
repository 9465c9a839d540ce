"""How cost grows: `record` with threads, processor time and memory with the rate of events."""

from clients import NONE, OURS, Environment
from figures import Figure, Row, Value
from plot import bars
from runs import Bench

__all__ = ["measure"]

_THREADS = (1, 8, 64)
# A plot of all clients shows nothing, and the rates take long: the two most used beside ours.
_PLOTTED = (NONE, OURS, "posthog", "opentelemetry")


def _plotted(bench: Bench) -> list[Environment]:
    return [one for one in bench.having() if one.client.name in _PLOTTED]


def _threads(bench: Bench) -> tuple[list[Figure], list[str]]:
    """Measure `record` from threads that do nothing else."""
    columns: dict[tuple[int, str], dict[str, Value]] = {}
    for environment in _plotted(bench):
        for threads in _THREADS:
            with bench.port() as port, bench.folder() as folder:
                options = (f"events={bench.scale.thread_records}", f"threads={threads}", "pace=no")
                outcome = bench.run("run_record", environment, port, folder, *options)
            for key in ("median", "p999"):
                cell = Value(None, "cut off") if outcome.is_late else Value(outcome.number(key))
                columns.setdefault((threads, key), {})[environment.client.name] = cell
    figures = [
        Figure(f"`record` {text}, {threads} thread{'s' * (threads > 1)}", "µs", "", values, 2)
        for key, text in (("median", "median"), ("p999", "p99.9"))
        for (threads, of), values in columns.items()
        if of == key
    ]
    plots = [
        bars(
            f"record, {text}, by client and threads",
            {
                f"{name} {threads:>2}": columns[threads, key][name].number
                for name in _PLOTTED
                for threads in _THREADS
                if name in columns[threads, key]
            },
            "µs",
        )
        for key, text in (("median", "median"), ("p999", "p99.9"))
    ]
    return figures, plots


def _rates(bench: Bench) -> list[str]:
    """Measure at rates that are each ten times the one before."""
    taken: dict[str, dict[str, float | None]] = {"cpu": {}, "memory": {}}
    for environment in _plotted(bench):
        name = environment.client.name
        for rate in bench.scale.rates:
            with bench.port() as port, bench.folder() as folder:
                options = (f"rate={rate}", f"seconds={bench.scale.rate_seconds}")
                outcome = bench.run("run_rates", environment, port, folder, *options)
            for key, values in taken.items():
                values[f"{name} {rate:>6,}/s"] = outcome.number(key)
    return [
        bars("processor time by client and events a second", taken["cpu"], "ms/s"),
        bars("memory growth by client and events a second", taken["memory"], "MB"),
    ]


def measure(bench: Bench) -> Row:
    """Measure both."""
    figures, plots = _threads(bench)
    return Row(
        "growth",
        f"`record` of {bench.scale.thread_records} events from threads without a pause. "
        f"Then {bench.scale.rate_seconds} s at each rate; ours limits each event name to 100/s "
        "once a burst of 2,000 is spent, others drop when their queue is full.",
        figures,
        plots=[*plots, *_rates(bench)],
    )
