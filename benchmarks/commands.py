"""What the commands that a person waits for take, as whole processes in a home of their own.

Prints medians over interleaved runs, so that a machine whose speed drifts does not favour a row.
The bar is 300 ms for `status`, `preview` and `explain`; "nothing" is the interpreter alone.
"""

import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 31
ROWS = {
    "nothing": ["-c", "pass"],
    "getpatter telemetry status": ["-m", "getpatter", "telemetry", "status"],
    "getpatter telemetry preview": ["-m", "getpatter", "telemetry", "preview"],
    "getpatter telemetry explain": ["-m", "getpatter", "telemetry", "explain"],
    "getpatter telemetry log": ["-m", "getpatter", "telemetry", "log"],
    "getpatter telemetry inventory": ["-m", "getpatter", "telemetry", "inventory"],
}


def main() -> None:
    """Measure and print each row."""
    measured: dict[str, list[float]] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as home:
        for run in range(RUNS + 1):
            for name, arguments in ROWS.items():
                begin = time.perf_counter()
                subprocess.run(
                    [sys.executable, *arguments],
                    env={"HOME": home, "PATH": "/usr/bin:/bin"},
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                if run:  # the first round only warms the caches
                    measured[name].append((time.perf_counter() - begin) * 1e3)
    print(f"whole process, ms, median of {RUNS} (Python {sys.version[:6]})")
    for name, values in measured.items():
        print(f"  {statistics.median(values):7.1f}  {name}")


if __name__ == "__main__":
    main()
