"""What starting costs a host: import, construct and the first record, in fresh interpreters.

Prints medians over interleaved runs, so that a machine whose speed drifts does not favour a row.
The collector is a closed port: nothing is delivered meanwhile.
"""

import statistics
import subprocess
import sys
import tempfile

RUNS = 31
HOST = "import asyncio, dataclasses, json, logging, pathlib\n"
TIMED = """\
import time
begin = time.perf_counter()
{code}
print((time.perf_counter() - begin) * 1e3)
"""
CLIENT = """\
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1.0")
client.record("sdk_initialized", carrier="twilio", tunnel="none", container=False)
"""
ROWS = {
    "nothing": ("", "pass"),
    "client, bare interpreter": ("", CLIENT),
    "client, host with asyncio, dataclasses, json, logging, pathlib": (HOST, CLIENT),
    "  of it platformdirs, bare interpreter": ("", "import platformdirs"),
    "  of it platformdirs, that host": (HOST, "import platformdirs"),
    "client that is off by environment, bare interpreter": (
        "import os; os.environ['DO_NOT_TRACK'] = '1'\n",
        CLIENT,
    ),
}


def main() -> None:
    """Measure and print each row."""
    with tempfile.TemporaryDirectory() as home:
        environ = {
            "HOME": home,
            "PATH": "/usr/bin:/bin",
            "PATTER_TELEMETRY_ENDPOINT": "http://127.0.0.1:9/v1/ingest",
        }
        measured: dict[str, list[float]] = {name: [] for name in ROWS}
        for run in range(RUNS + 1):
            for name, (before, code) in ROWS.items():
                result = subprocess.run(
                    [sys.executable, "-c", before + TIMED.format(code=code)],
                    env=environ,
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
                if run:  # the first round only warms the caches
                    measured[name].append(float(result.stdout))
    print(f"import + construct + first record, ms, median of {RUNS} (Python {sys.version[:6]})")
    for name, values in measured.items():
        print(f"  {statistics.median(values):7.1f}  {name}")


if __name__ == "__main__":
    main()
