"""How many delivered events a second of processor time is good for, and where ours goes."""

from clients import Environment
from figures import Figure, Row, Value, median
from runs import Bench

__all__ = ["measure"]

# glean uploads in a process that it does not wait for, and at most 15 pings a minute: neither what
# it spends nor when it is done can be told.
_ELSEWHERE = frozenset({"glean"})


def _options(bench: Bench, *, sample: bool) -> tuple[str, str]:
    return f"events={bench.scale.throughput_events}", f"sample={'yes' if sample else 'no'}"


def _where(bench: Bench, environment: Environment) -> str:
    """Return in words in which modules our processor time goes."""
    with bench.port() as port, bench.folder() as folder:
        options = _options(bench, sample=True)
        outcome = bench.run("run_throughput", environment, port, folder, *options)
    where = outcome.said.get("where")
    if not isinstance(where, dict):
        return ""
    shares = ", ".join(f"`{name}` {share:.0%}" for name, share in where.items())
    return f"Where ours goes, by the module that runs, sampled in a run of its own: {shares}."


# What is told to the clients of each figure, by the mode of the sink: a collector like ours offers
# larger batches than those that every collector takes.
_FIGURES = {
    "fine": "delivered events per CPU second",
    "roomy": "the same, where 512 events a request are offered",
}


def measure(bench: Bench) -> Row:
    """Measure what a process spends, its children included, on events that arrived."""
    count = bench.scale.throughput_events
    taken: dict[tuple[str, str], list[float | None]] = {}
    arrived: dict[tuple[str, str], int] = {}
    for _ in range(bench.scale.rounds):
        for environment in bench.having(nothing=False):
            name = environment.client.name
            if name in _ELSEWHERE:
                continue
            for mode in _FIGURES:
                with bench.port(mode) as port, bench.folder() as folder:
                    options = _options(bench, sample=False)
                    outcome = bench.run("run_throughput", environment, port, folder, *options)
                    arrived[mode, name] = bench.sink.report(port).events
                cpu = outcome.number("cpu")
                rate = arrived[mode, name] / cpu if cpu else None
                taken.setdefault((mode, name), []).append(rate)
    figures = []
    for mode, measure_ in _FIGURES.items():
        values = {
            name: Value(median(rates), "" if got >= count else f"{got} arrived")
            for (its, name), rates in taken.items()
            if its == mode
            for got in [arrived[mode, name]]
        }
        for environment in bench.environments:
            if environment.client.name in _ELSEWHERE:
                values[environment.client.name] = Value(None, "sends in another process")
        figures.append(Figure(measure_, "", "≥ 33,000", values, digits=0, is_higher_better=True))
    ours = bench.ours()
    return Row(
        "throughput",
        f"{count} events, 500 recorded and flushed at a time; median of {bench.scale.rounds} runs.",
        figures,
        below="" if ours is None else _where(bench, ours),
    )
