"""Whether the event of a parent and that of its child both arrive, once each."""

from concurrent.futures import ThreadPoolExecutor

from clients import Environment
from figures import Figure, Row, Value
from runs import Bench

__all__ = ["measure"]

_WAYS = {
    "os.fork": "`os.fork`",
    "fork": "multiprocessing, fork",
    "spawn": "spawn",
    "forkserver": "forkserver",
}
_SECONDS = 20.0
_AT_ONCE = 3


def _once(bench: Bench, environment: Environment, way: str) -> Value:
    """Return how many of the two events arrived."""
    with bench.port() as port, bench.folder() as folder:
        outcome = bench.run("run_fork", environment, port, folder, f"way={way}", seconds=_SECONDS)
        report = bench.sink.report(port)
        remarks = []
        if outcome.is_late:
            remarks.append(f"hangs for {_SECONDS:.0f} s")
        if report.distinct < 2 and not outcome.is_late:
            bench.run("run_exit", environment, port, folder, "event=no", seconds=_SECONDS)
            late = bench.sink.report(port)
            if late.distinct > report.distinct:
                remarks.append(f"{report.distinct} before the next start")
                report = late
        if report.wire_twice:
            remarks.append(f"{report.wire_twice} twice")
    return Value(report.distinct, ", ".join(remarks))


def measure(bench: Bench) -> Row:
    """Try each way with each client; what counts is not time, so a few at once."""
    environments = bench.having(events=True)
    figures = []
    for way, text in _WAYS.items():
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda one, way=way: _once(bench, one, way), environments))
        values = {one.client.name: value for one, value in zip(environments, found, strict=True)}
        figures.append(Figure(text, "of 2", "2", values, 0, True))  # noqa: FBT003
    return Row(
        "fork: the parent's and the child's event",
        "The child uses the client that it inherits; one that is spawned makes its own.",
        figures,
    )
