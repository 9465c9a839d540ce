"""How late an event loop runs that records 200 events a second: one every 5 ms."""

import asyncio
import time

from events import make
from measuring import Given, done

_TICK = 0.005
_BEGINNING = 2.0


async def late(given: Given, seconds: int) -> tuple[float, float]:
    """Return the worst lateness of a tick in the first two seconds, and after them."""
    ticks = int(seconds / _TICK)
    events = make(ticks)
    client = given.client()
    record = given.recorder(client)
    first = rest = 0.0
    begun = time.perf_counter()
    for tick, (name, dimensions) in enumerate(events):
        due = begun + tick * _TICK
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        behind = time.perf_counter() - due
        if tick * _TICK < _BEGINNING:
            first = max(first, behind)
        else:
            rest = max(rest, behind)
        record(name, dimensions)
    return first, rest


def main() -> None:
    """Measure."""
    given = Given()
    first, rest = asyncio.run(late(given, given.number("seconds")))
    done(first=first * 1e3, rest=rest * 1e3)


if __name__ == "__main__":
    main()
