"""Processor time and memory at a rate of events, to see how they grow with it."""

import time

from events import make
from measuring import Given, done, paced, processor_seconds, resident_bytes


def main() -> None:
    """Measure."""
    given = Given()
    rate, seconds = given.number("rate"), given.number("seconds")
    few = make(2_000)
    events = [few[number % len(few)] for number in range(rate * seconds)]
    client = given.client()
    record = given.recorder(client)
    record(*few[0])
    time.sleep(2.0)
    memory, cpu = resident_bytes(), processor_seconds()
    paced(record, events, rate)
    done(cpu=(processor_seconds() - cpu) * 1e3 / seconds, memory=(resident_bytes() - memory) / 1e6)


if __name__ == "__main__":
    main()
