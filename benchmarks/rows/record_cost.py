"""What one `record` costs its caller."""

from figures import Figure, Row, less, median
from runs import Bench

__all__ = ["measure"]


_PACES = {"yes": "at 1,000/s", "no": "one after the other"}
_BARS = (("median", "median", "≤ 1"), ("p99.9", "p999", "≤ 20"))


def measure(bench: Bench) -> Row:
    """Measure single calls beside a sink that takes everything, with and without a pause."""
    taken: dict[tuple[str, str], dict[str, list[float | None]]] = {}
    for _ in range(bench.scale.paced_rounds):
        for environment in bench.having():
            for pace in _PACES:
                with bench.port() as port, bench.folder() as folder:
                    count = f"events={bench.scale.records}"
                    options = (count, "threads=1", f"pace={pace}")
                    outcome = bench.run("run_record", environment, port, folder, *options)
                for _, key, _ in _BARS:
                    values = taken.setdefault((pace, key), {})
                    values.setdefault(environment.client.name, []).append(outcome.number(key))
    figures = [
        Figure(
            f"{kind}, {text}",
            "µs",
            bar,
            less({name: median(found) for name, found in taken[pace, key].items()}),
            digits=2,
        )
        for pace, text in _PACES.items()
        for kind, key, bar in _BARS
    ]
    return Row(
        "`record`",
        f"{bench.scale.records} events of four kinds, each call timed; median of "
        f"{bench.scale.paced_rounds} runs, less what it takes with no client.",
        figures,
    )
