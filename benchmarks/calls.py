"""What one `emit` costs the caller: with sinks, without any, and with diagnostics off.

Prints the median, p99 and p99.9 of single calls, in microseconds, less the cost of the clock. The
bars are 3 us at the median, and 0.1 us where it is off. For "off" single calls are too short for
the clock: it is the mean of a loop, less that of an empty one.
"""

import statistics
import sys
import tempfile
import time

from getpatter.calls import Event, Hub, JsonLinesSink, NullHub

CALLS = 200_000
# So many at once, then the other thread has its turn, as a host's own work would give it.
BURST = 200
DATA = {"model": "a model", "tokens": 512, "cached": True}


def measure(name: str, hub: Hub | NullHub) -> None:
    """Measure `emit` on a hub and print a row."""
    emitter = hub.emitter("llm", hub.session())
    if isinstance(hub, Hub):
        emitter = hub.emitter("llm", hub.session(), per_second=sys.maxsize)
    clock = time.perf_counter_ns
    empty = statistics.median(-(clock() - clock()) for _ in range(10_000))
    taken = []
    for number in range(CALLS):
        begin = clock()
        emitter.emit("llm.answered", DATA, turn_id="3")
        taken.append(clock() - begin - empty)
        if number % BURST == 0:
            time.sleep(0.002)
    hub.close(30)
    taken.sort()
    figures = [f"{taken[int(share * (CALLS - 1))] / 1e3:8.2f}" for share in (0.5, 0.99, 0.999)]
    print(f"  {' '.join(figures)}  {name}  {hub.stats()}")


def loop(calls: int) -> tuple[float, float]:
    """Return the seconds that `calls` calls of an emitter that is off take, and an empty loop."""
    emit = NullHub().emitter("llm", NullHub().session())
    begin = time.perf_counter()
    for _ in range(calls):
        emit.emit("llm.answered", DATA)
    middle = time.perf_counter()
    for _ in range(calls):
        pass
    return middle - begin, time.perf_counter() - middle


def ignore(_: Event) -> None:
    """Be a callback that does nothing."""


def main() -> None:
    """Measure and print each row."""
    print(f"emit, us, {CALLS} calls (Python {sys.version[:6]}): median, p99, p99.9")
    with tempfile.TemporaryDirectory() as directory:
        measure("no sink: the ring only", Hub())
        measure("a callback", Hub(ignore))
        measure("a file", Hub(JsonLinesSink(f"{directory}/calls.jsonl")))
    both = [loop(1_000_000) for _ in range(5)]
    off = statistics.median(busy - empty for busy, empty in both)
    print(f"  {off:8.3f}  off: the mean of a million, median of {len(both)}")


if __name__ == "__main__":
    main()
