"""How many delivered events a second of processor time is good for, and where ours goes."""

from clients import Environment
from figures import Figure, Row, Value, median
from runs import Bench

__all__ = ["measure"]


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


def measure(bench: Bench) -> Row:
    """Measure what a process spends, its children included, on events that arrived."""
    taken: dict[str, list[float | None]] = {}
    arrived: dict[str, int] = {}
    for _ in range(bench.scale.rounds):
        for environment in bench.having(nothing=False):
            name = environment.client.name
            with bench.port() as port, bench.folder() as folder:
                options = _options(bench, sample=False)
                outcome = bench.run("run_throughput", environment, port, folder, *options)
                arrived[name] = bench.sink.report(port).events
            cpu = outcome.number("cpu")
            taken.setdefault(name, []).append(arrived[name] / cpu if cpu else None)
    count = bench.scale.throughput_events
    values = {
        name: Value(median(rates), "" if arrived[name] >= count else f"{arrived[name]} arrived")
        for name, rates in taken.items()
    }
    ours = bench.ours()
    return Row(
        "throughput",
        f"{count} events, 500 recorded and flushed at a time; median of {bench.scale.rounds} runs. "
        "glean uploads in a process of its own that it does not wait for, so its figure lacks it.",
        [Figure("delivered events per CPU second", "", "≥ 33,000", values, 0, True)],  # noqa: FBT003
        below="" if ours is None else _where(bench, ours),
    )
