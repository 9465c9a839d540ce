"""How a client holds up an event loop."""

from figures import Figure, Row, less, median
from runs import Bench

__all__ = ["measure"]


def measure(bench: Bench) -> Row:
    """Measure the worst lateness of a loop that records 200 events a second."""
    taken: dict[str, dict[str, list[float | None]]] = {"first": {}, "rest": {}}
    seconds = bench.scale.loop_seconds
    for _ in range(bench.scale.paced_rounds):
        for environment in bench.having():
            with bench.port() as port, bench.folder() as folder:
                outcome = bench.run("run_loop", environment, port, folder, f"seconds={seconds}")
            for kind, values in taken.items():
                values.setdefault(environment.client.name, []).append(outcome.number(kind))
    figures = [
        Figure(text, "ms", "≤ 2", less({n: median(v) for n, v in taken[key].items()}))
        for text, key in (("first 2 s", "first"), ("after them", "rest"))
    ]
    return Row(
        "asyncio, 200 events/s: worst loop lag",
        f"{seconds} s, a tick and an event every 5 ms, the client made before the first; the "
        f"worst tick of a run, median of {bench.scale.paced_rounds}, less that with no client.",
        figures,
    )
