"""How many bytes of a body an event takes, compressed where the client can."""

from concurrent.futures import ThreadPoolExecutor

from clients import Environment
from figures import Figure, Row, Value
from runs import Bench

__all__ = ["measure"]

# Sizes are no matter of time.
_AT_ONCE = 4
_KINDS = (("call", "with `call_uid`", "≤ 45"), ("other", "without", "≤ 30"))


def _per_event(sizes: list[list[int]]) -> float | None:
    """Return bytes per event from the second body with events on, unless there is only one: the
    first of a client that waits to be told is not compressed.
    """
    bodies = [size for size in sizes if size[1]]
    later = bodies[1:] or bodies
    events = sum(count for _, count in later)
    return sum(size for size, _ in later) / events if events else None


def _once(bench: Bench, environment: Environment, kind: str) -> Value:
    with bench.port() as port, bench.folder() as folder:
        options = (f"events={bench.scale.body_events}", f"kind={kind}", "rate=200", "compress=yes")
        bench.run("run_delivery", environment, port, folder, *options, "close=10")
        return Value(_per_event(bench.sink.report(port).sizes))


def measure(bench: Bench) -> Row:
    """Measure events that say which call they belong to, and events that do not."""
    environments = bench.having(events=True)
    figures = []
    for kind, text, bar in _KINDS:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda one, kind=kind: _once(bench, one, kind), environments))
        values = {one.client.name: value for one, value in zip(environments, found, strict=True)}
        figures.append(Figure(text, "bytes/event", bar, values))
    return Row(
        "body",
        f"{bench.scale.body_events} events at 200/s, the sink taking gzip; from the second body "
        "on. mixpanel, amplitude and snowplow cannot compress.",
        figures,
    )
