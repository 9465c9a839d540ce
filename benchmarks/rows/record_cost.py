"""What one `record` costs its caller."""

from figures import Figure, Row, less, median
from runs import Bench

__all__ = ["measure"]


def measure(bench: Bench) -> Row:
    """Measure single calls beside a sink that takes everything."""
    taken: dict[str, dict[str, list[float | None]]] = {"median": {}, "p999": {}}
    for _ in range(bench.scale.paced_rounds):
        for environment in bench.having():
            with bench.port() as port, bench.folder() as folder:
                count = f"events={bench.scale.records}"
                options = (count, "threads=1", "pace=yes")
                outcome = bench.run("run_record", environment, port, folder, *options)
            for kind, values in taken.items():
                values.setdefault(environment.client.name, []).append(outcome.number(kind))
    figures = [
        Figure(kind, "µs", bar, less({n: median(v) for n, v in taken[key].items()}), digits=2)
        for kind, key, bar in (("median", "median", "≤ 1"), ("p99.9", "p999", "≤ 20"))
    ]
    return Row(
        "`record`",
        f"{bench.scale.records} events of four kinds at 1,000/s, each call timed; median of "
        f"{bench.scale.paced_rounds} runs, less what it takes with no client.",
        figures,
    )
