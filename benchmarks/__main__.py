"""The benchmark: telemetry clients side by side, each in an environment of its own.

`python benchmarks` measures everything and writes `RESULTS.md` beside this file; `--short` only
shows that it all works. `--rows` and `--clients` select, by the names that `--help` lists; what is
selected is printed, and written only where `--output` says. Nothing else should run meanwhile.
"""

import argparse
import datetime as dt
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from clients import CLIENTS, NONE, OURS, Environment, prepare
from collector import Sink
from figures import Row, summary, table
from rows import (
    body_bytes,
    exits,
    faults,
    forks,
    frames,
    growth,
    loop_lag,
    memory,
    own,
    record_cost,
    start_cost,
    throughput,
)
from runs import Bench, Scale

ROWS: dict[str, Callable[[Bench], Row]] = {
    "start": start_cost.measure,
    "record": record_cost.measure,
    "loop": loop_lag.measure,
    "frames": frames.measure,
    "exit": exits.measure,
    "faults": faults.measure,
    "memory": memory.measure,
    "fork": forks.measure,
    "bytes": body_bytes.measure,
    "throughput": throughput.measure,
    "growth": growth.measure,
    "own": own.measure,
}
# Three records of 3,000 lie beyond p99.9; 7,500 and 8,000 events of four kinds stay within our
# limit of 2,000 a kind. All of it takes about twenty minutes, most of them at a pace that is part
# of the question.
LONG = Scale(
    starts=9,
    rounds=3,
    paced_rounds=2,
    frame_rounds=1,
    records=3_000,
    thread_records=8_000,
    loop_seconds=10,
    frame_seconds=6,
    exits=3,
    exit_seconds=12.0,
    close_seconds=15.0,
    fault_events=1_000,
    memory_records=200_000,
    body_events=800,
    throughput_events=7_500,
    rates=(200, 2_000, 20_000),
    rate_seconds=3,
)
SHORT = Scale(
    starts=2,
    rounds=1,
    paced_rounds=1,
    frame_rounds=1,
    records=1_000,
    thread_records=1_000,
    loop_seconds=3,
    frame_seconds=2,
    exits=1,
    exit_seconds=5.0,
    close_seconds=8.0,
    fault_events=200,
    memory_records=20_000,
    body_events=300,
    throughput_events=2_000,
    rates=(200, 2_000),
    rate_seconds=1,
)
# One that sends on a thread as ours does, and the floor.
SHORT_CLIENTS = (NONE, OURS, "posthog", "statsd")
# It takes half a minute and compares with nobody.
SHORT_ROWS = tuple(name for name in ROWS if name != "own")
_READING = (
    "`ratio` is ours by the best peer's; statsd sends datagrams and promises nothing: it is the "
    "floor, no rival."
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def _selection(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute or two, for CI")
    names = ",".join(client.name for client in CLIENTS)
    parser.add_argument("--rows", type=_selection, help=f"some of {','.join(ROWS)}")
    parser.add_argument("--clients", type=_selection, help=f"some of {names}")
    parser.add_argument("--output", type=Path, help="where to write the Markdown")
    given = parser.parse_args()
    for chosen, known in ((given.rows, ROWS), (given.clients, names.split(","))):
        for name in chosen or ():
            if name not in known:
                parser.error(f"{name!r} is none of {', '.join(known)}")
    return given


def _machine() -> str:
    """Return the date, the Python and the size of this machine."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        model = names[0] if names else model
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (OSError, ValueError):
        memory = 0.0
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    return (
        f"{today}, {platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores ({model}), "
        f"{memory:.0f} GiB."
    )


def _versions(environments: list[Environment]) -> str:
    """Return each client's version, or why it could not be installed."""
    return "\n".join(
        f"- {one.client.name} {one.version}"
        if not one.problem
        else f"- {one.client.name}: **not installed on this Python**: {one.problem}"
        for one in environments
        if one.client.name != NONE
    )


def main() -> int:
    """Measure what is asked for; 1 if a program of ours failed, so that CI sees it."""
    given = _arguments()
    rows = given.rows or (SHORT_ROWS if given.short else tuple(ROWS))
    clients = given.clients or (SHORT_CLIENTS if given.short else ())
    # No client is always measured: it is what the others are compared with.
    chosen = [one for one in CLIENTS if not clients or one.name in (*clients, NONE)]
    environments = [prepare(client) for client in chosen]
    names = [one.client.name for one in environments]
    missing = [one.client.name for one in environments if one.problem]
    usable = tuple(one for one in environments if not one.problem)
    measured: list[Row] = []
    with Sink() as sink:
        bench = Bench(usable, sink, SHORT if given.short else LONG)
        for name in rows:
            print(f"==> {name}", flush=True)
            begun = time.monotonic()
            row = ROWS[name](bench)
            measured.append(row)
            print(f"\n{table(row, names, missing)}")
            print(f"({time.monotonic() - begun:.0f} s)\n", flush=True)
    problems = "\n".join(
        f"- {name}: `{text}`"
        for name, texts in sorted(bench.problems.items())
        for text in sorted(texts)
    )
    parts = [
        "# Benchmarks",
        "Made by `make bench`: medians, runs interleaved, one sink on this machine that takes gzip."
        + (" **Short version: the figures mean nothing.**" if given.short else ""),
        _machine(),
        _versions(environments),
        summary(measured),
        _READING,
        *(table(row, names, missing) for row in measured),
        *([f"Programs that failed:\n\n{problems}"] if problems else []),
    ]
    text = "\n\n".join(part.rstrip() for part in parts) + "\n"
    print(text)
    is_whole = not (given.rows or given.clients or given.short)
    output = given.output or (RESULTS if is_whole else None)
    if output is not None:
        output.write_text(text, encoding="utf-8")
        print(f"written to {output}")
    return 1 if OURS in bench.problems else 0


if __name__ == "__main__":
    sys.exit(main())
