"""What starting costs a host: import, construct and the first record."""

from figures import Figure, Row, less, median
from runs import Bench

__all__ = ["measure"]

_BARS = {"bare": "≤ 30", "host": "≤ 8"}
_HOSTS = {
    "bare": "bare interpreter",
    "host": "host with asyncio, dataclasses, json, logging, pathlib",
}


def measure(bench: Bench) -> Row:
    """Measure in fresh interpreters, each client after the other, round after round."""
    taken: dict[str, dict[str, list[float | None]]] = {kind: {} for kind in _HOSTS}
    with bench.port("closed") as port, bench.folder() as folder:
        for turn in range(bench.scale.starts + 1):
            for environment in bench.having():
                for kind in _HOSTS:
                    outcome = bench.run("run_start", environment, port, folder, kind)
                    if turn:  # the first round only warms the caches
                        of_kind = taken[kind].setdefault(environment.client.name, [])
                        of_kind.append(outcome.number("ms"))
    return Row(
        "import + construct + first record",
        f"Median of {bench.scale.starts} fresh interpreters, nothing listening at the port; less "
        "what it takes with no client.",
        [
            Figure(
                _HOSTS[kind],
                "ms",
                _BARS[kind],
                less({name: median(values) for name, values in taken[kind].items()}),
            )
            for kind in _HOSTS
        ],
    )
