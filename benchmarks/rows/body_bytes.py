"""How many bytes of a body an event takes, compressed where the client can."""

from figures import Figure, Row, Value
from runs import Bench

__all__ = ["measure"]

_KINDS = (("call", "with `call_uid`", "≤ 45"), ("other", "without", "≤ 30"))


def _per_event(sizes: list[list[int]]) -> float | None:
    """Return bytes per event from the second body with events on, unless there is only one: the
    first of a client that waits to be told is not compressed.
    """
    bodies = [size for size in sizes if size[1]]
    later = bodies[1:] or bodies
    events = sum(count for _, count in later)
    return sum(size for size, _ in later) / events if events else None


def measure(bench: Bench) -> Row:
    """Measure events that say which call they belong to, and events that do not."""
    figures = []
    for kind, text, bar in _KINDS:
        values: dict[str, Value] = {}
        for environment in bench.having(events=True):
            with bench.port() as port, bench.folder() as folder:
                options = (f"events={bench.scale.body_events}", f"kind={kind}", "rate=200")
                bench.run(
                    "run_delivery", environment, port, folder, *options, "compress=yes", "close=10"
                )
                values[environment.client.name] = Value(_per_event(bench.sink.report(port).sizes))
        figures.append(Figure(text, "bytes/event", bar, values))
    return Row(
        "body",
        f"{bench.scale.body_events} events at 200/s, the sink taking gzip; from the second body "
        "on. mixpanel, amplitude and snowplow cannot compress.",
        figures,
    )
