"""What the programs in the clients' environments share: their arguments, and how they answer."""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

Recorder = Callable[[str, Mapping[str, object]], None]


class Given:
    """What the command line gave: a client, a port, a folder, and `name=value` options."""

    def __init__(self) -> None:
        self.adapter = importlib.import_module(f"adapters.{sys.argv[1]}")
        self.port = int(sys.argv[2])
        self.folder = sys.argv[3]
        self._options = dict(option.split("=", 1) for option in sys.argv[4:])

    def number(self, name: str) -> int:
        """Return an option that is a whole number."""
        return int(self._options[name])

    def text(self, name: str) -> str:
        """Return an option as it was given."""
        return self._options[name]

    def client(self, *, compress: bool = False) -> object:
        """Make the client."""
        client: object = self.adapter.make(self.port, self.folder, compress=compress)
        return client

    def recorder(self, client: object) -> Recorder:
        """Return what records one event with this client."""
        recorder: Recorder = self.adapter.recorder(client)
        return recorder


def answer(**values: object) -> None:
    """Hand back what was measured: the last line of standard output, there at once."""
    print(json.dumps(values), flush=True)


def done(**values: object) -> NoReturn:
    """Hand back what was measured and end at once: how a client ends is a row of its own."""
    answer(**values)
    os._exit(0)


def percentiles(values: list[int]) -> dict[str, float]:
    """Return the median and the 99.9th percentile of nanoseconds, in microseconds."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "median": ordered[round(0.5 * last)] / 1e3,
        "p999": ordered[round(0.999 * last)] / 1e3,
    }


def processor_seconds() -> float:
    """Return the processor time of this process and of the children that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def resident_bytes() -> int:
    """Return how much memory this process has now; only where there is a `/proc`."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def paced(record: Recorder, events: list[tuple[str, dict[str, object]]], rate: int) -> None:
    """Record the events at `rate` a second, in bursts of what is due every 10 ms."""
    begun = time.monotonic()
    done = 0
    while done < len(events):
        due = min(len(events), int((time.monotonic() - begun) * rate) + 1)
        for name, dimensions in events[done:due]:
            record(name, dimensions)
        done = due
        time.sleep(0.01)
