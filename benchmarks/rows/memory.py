"""How much memory a client takes while nothing can be delivered."""

from concurrent.futures import ThreadPoolExecutor

from clients import Environment
from figures import Figure, Row, Value
from runs import Bench, Outcome

__all__ = ["measure"]

# Memory is no matter of time.
_AT_ONCE = 3
# snowplow and mixpanel try to send on the caller's thread: they need longer than anyone waits.
_SECONDS = 60.0


def _value(outcome: Outcome, name: str) -> Value:
    number = outcome.number(name)
    if number is None and outcome.is_late:
        return Value(None, f"not done after {_SECONDS:.0f} s")
    return Value(number)


def measure(bench: Bench) -> Row:
    """Measure the growth of resident memory, early and at the end."""
    early: dict[str, Value] = {}
    end: dict[str, Value] = {}
    count = bench.scale.memory_records

    def once(environment: Environment) -> Outcome:
        with bench.port("closed") as port, bench.folder() as folder:
            options = (f"events={count}",)
            return bench.run("run_memory", environment, port, folder, *options, seconds=_SECONDS)

    environments = bench.having()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for environment, outcome in zip(environments, pool.map(once, environments), strict=True):
            early[environment.client.name] = _value(outcome, "early")
            end[environment.client.name] = _value(outcome, "end")
    return Row(
        f"memory after {count:,} records, port closed",
        "Growth of resident memory since two seconds after the first event, when what is loaded "
        "to send is there.",
        [
            Figure("after 10,000", "MB", "", early, digits=2),
            Figure("at the end", "MB", "≤ 1.5", end, digits=2),
        ],
    )
