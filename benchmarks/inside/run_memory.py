"""How much memory many records take while nothing can be delivered.

The baseline is taken two seconds after a first event, when whatever is loaded to send it is there.
"""

import time

from events import make
from measuring import Given, answer, done, resident_bytes

_EARLY = 10_000
_MEGABYTE = 1e6
_BURST = 500


def main() -> None:
    """Measure."""
    given = Given()
    count = given.number("events")
    events = make(2_000)
    client = given.client()
    record = given.recorder(client)
    record(*events[0])
    time.sleep(2.0)
    before = early = resident_bytes()
    for number in range(count):
        record(*events[number % len(events)])
        if number % _BURST == 0:
            time.sleep(0.002)  # the client's threads have their turn, as beside a host's own work
        if number == _EARLY:
            early = resident_bytes()
            answer(early=(early - before) / _MEGABYTE)  # in case the rest takes too long
    end = resident_bytes()
    done(early=(early - before) / _MEGABYTE, end=(end - before) / _MEGABYTE)


if __name__ == "__main__":
    main()
