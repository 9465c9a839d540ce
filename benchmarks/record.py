"""What one `record` costs the caller, with the worker delivering to a receiver meanwhile.

Prints the median, p99 and p99.9 of single calls, in microseconds, less the cost of the clock.
"""

import statistics
import sys
import tempfile
import time

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.testing import Receiver

CALLS = 200_000
PER_SECOND_BURST = 500


def main() -> None:
    """Measure and print."""
    with Receiver() as receiver, tempfile.TemporaryDirectory() as state:
        own = len(sys._current_frames())  # noqa: SLF001 - no other way to see all threads
        client = TelemetryClient(
            sdk_version="1.0",
            endpoint=receiver.endpoint,
            environ={"PATTER_TELEMETRY_STATE_DIR": state},
        )
        clock = time.perf_counter_ns
        empty = statistics.median(-(clock() - clock()) for _ in range(10_000))
        taken = []
        for number in range(CALLS):
            begin = clock()
            client.record(
                "call_completed",
                outcome="completed",
                carrier="twilio",
                direction="inbound",
                duration_seconds=number % 600,
                latency_ms=500,
            )
            taken.append(clock() - begin - empty)
            if number % PER_SECOND_BURST == 0:
                time.sleep(0.001)  # let the worker have its turn, as a host's own work would
        client.close(0)
        deadline = time.monotonic() + 10.0
        while len(sys._current_frames()) > own and time.monotonic() < deadline:  # noqa: SLF001 - as above
            time.sleep(0.01)  # the client's own ends with a last note in the state directory
    taken.sort()
    print(f"record, us, {CALLS} calls (Python {sys.version[:6]})")
    for name, share in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        print(f"  {taken[int(share * (CALLS - 1))] / 1e3:8.2f}  {name}")


if __name__ == "__main__":
    main()
