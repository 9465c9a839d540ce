"""What one `emit` in a call costs the caller: with sinks, without any, and with diagnostics off.

Prints the median, p99 and p99.9 of single calls, in microseconds, less the cost of the clock. The
bars are 3 us at the median, and 0.1 us where it is off. For "off" single calls are too short for
the clock: it is a call in a loop, beside one of an empty method.
"""

import statistics
import sys
import tempfile
import time

from getpatter import Patter
from getpatter.calls import Emitter, Event, Hub, JsonLinesSink

CALLS = 200_000
# So many at once, then the other thread has its turn, as a host's own work would give it.
BURST = 200
DATA = {"model": "a model", "tokens": 512, "cached": True}


def measure(name: str, hub: Hub) -> None:
    """Measure `emit` in a call of a host object with this hub, and print a row."""
    call = Patter(carrier="none", telemetry=False, diagnostics=hub).call(direction="inbound")
    emitter = call.emitter("llm")
    clock = time.perf_counter_ns
    empty = statistics.median(-(clock() - clock()) for _ in range(10_000))
    taken = []
    for number in range(CALLS):
        begin = clock()
        emitter.emit("llm.answered", DATA, turn_id="3")
        taken.append(clock() - begin - empty)
        if number % BURST == 0:
            time.sleep(0.002)
    call.end()
    hub.close(30)
    taken.sort()
    figures = [f"{taken[int(share * (CALLS - 1))] / 1e3:8.2f}" for share in (0.5, 0.99, 0.999)]
    print(f"  {' '.join(figures)}  {name}  {hub.stats()}")


class Empty:
    """What any method costs: the machine's own measure."""

    def emit(self, event_type: str, data: object) -> bool:  # noqa: ARG002 - as an emitter
        """Do nothing."""
        return False


def loop(emitter: Empty | Emitter, calls: int) -> float:
    """Return the microseconds of one call of an emitter, in a loop of many."""
    begin = time.perf_counter()
    for _ in range(calls):
        emitter.emit("llm.answered", DATA)
    return (time.perf_counter() - begin) / calls * 1e6


def ignore(_: Event) -> None:
    """Be a callback that does nothing."""


def main() -> None:
    """Measure and print each row."""
    print(f"emit, us, {CALLS} calls (Python {sys.version[:6]}): median, p99, p99.9")
    with tempfile.TemporaryDirectory() as directory:
        measure("no sink: the ring only", Hub(per_second=sys.maxsize))
        measure("a callback", Hub(ignore, per_second=sys.maxsize))
        file = JsonLinesSink(f"{directory}/calls.jsonl")
        measure("a file", Hub(file, per_second=sys.maxsize))
    patter = Patter(carrier="none", telemetry=False, diagnostics=False)
    off = patter.call(direction="inbound").emitter("llm")
    both = [(loop(off, 500_000), loop(Empty(), 500_000)) for _ in range(9)]
    names = ("off", "an empty method, to compare")
    for name, values in zip(names, zip(*both, strict=True), strict=True):
        print(f"  {statistics.median(values):8.3f}  {name}: a call in a loop, median of 9 loops")


if __name__ == "__main__":
    main()
