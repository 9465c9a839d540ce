"""How much the collector takes: one process, the load generator on the same machine.

    python benchmarks/collector_ingest.py               35 million keys, 30 s each
    python benchmarks/collector_ingest.py --short       shows that it works

Requests are gzip, with distinct keys, at a fixed rate over connections that stay open; a request
that finds none free waits for one, and its time begins when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from getpatter.collector import clock
from getpatter.collector.store import Store

HOURS = 192  # eight days


def event(install: str, run: str) -> dict[str, Any]:
    """A finished call, as clients send it."""
    return {
        "event": "call_completed",
        "schema_version": 8,
        "run_id": run,
        "install_id": install,
        "sdk": "python",
        "sdk_version": "0.7.2",
        "os": "linux",
        "arch": "x86_64",
        "runtime": "cpython",
        "runtime_version": "3.12",
        "ci": False,
        "engine": "pipeline",
        "provider": "openai",
        "carrier": "twilio",
        "direction": "inbound",
        "call_uid": os.urandom(16).hex(),
        "outcome": "completed",
        "error_layer": "none",
        "disconnect_reason": "completed",
        "latency_ms": int.from_bytes(os.urandom(1), "big") * 8,
        "duration_seconds": 93,
        "cost_usd": 0.0125,
        "turn_count_bucket": "4_6",
        "llm_ttft_ms": 310,
    }


def bodies(count: int, events: int) -> list[bytes]:
    """Return compressed batches, each of an install and a run or, if large, of several."""
    made = []
    for _ in range(count):
        batch: list[dict[str, Any]] = []
        while len(batch) < events:
            install, run = os.urandom(16).hex(), os.urandom(16).hex()
            batch += [event(install, run) for _ in range(min(20, events - len(batch)))]
        made.append(gzip.compress(json.dumps(batch).encode(), 6))
    return made


def fill(directory: Path, keys: int) -> None:
    """Make a store that holds so many keys, in all hours of eight days."""
    store = Store(str(directory))
    now = clock.now() // 3600
    for hour in range(now - HOURS + 1, now + 1):
        with store.transaction() as connection:
            connection.execute(
                f"CREATE TABLE keys.h{hour} AS SELECT hash(i + {hour * 7919}) AS high,"  # noqa: S608 - numbers
                f" hash(i * 3 + {hour}) AS low, {hour * 3600}::BIGINT AS received, 0 AS age,"
                " 1.0::DOUBLE AS rate, false AS legacy, 20::USMALLINT AS accepted,"
                f" NULL::VARCHAR AS refused FROM range({keys // HOURS}) AS numbers(i)"
            ).fetchall()
        print(f"\rkeys: hour {hour - now + HOURS} of {HOURS}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    store.close()


@dataclass
class Result:
    """What came of one load."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


async def load(endpoint: str, batches: list[bytes], rate: float, seconds: float) -> Result:
    """Send `rate` requests a second for `seconds`."""
    address = urlsplit(endpoint)
    result = Result()
    due: asyncio.Queue[tuple[float, int] | None] = asyncio.Queue()
    connections = 64

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while item := await due.get():
            moment, number = item
            body = batches[number % len(batches)]
            writer.write(
                b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Encoding: gzip\r\nPatter-Sample-Rate: 1\r\nPatter-Batch-Age: 1\r\n"
                b"Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (os.urandom(16).hex().encode(), len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            status = int(head[9:12])
            result.statuses[status] = result.statuses.get(status, 0) + 1
            result.latencies.append(time.perf_counter() - moment)
        writer.close()

    running = [asyncio.create_task(connection()) for _ in range(connections)]
    begin = time.perf_counter()
    for number in range(int(rate * seconds)):
        moment = begin + number / rate
        if (pause := moment - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        due.put_nowait((moment, number))
    for _ in running:
        due.put_nowait(None)
    await asyncio.gather(*running)
    result.seconds = time.perf_counter() - begin
    return result


def memory(pid: int) -> float:
    """Return the highest resident size of a process so far, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return 0.0


def processor(pid: int) -> float:
    """Return how many seconds of processor a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    collector: subprocess.Popen[str], endpoint: str, events: int, rate: float, seconds: float
) -> None:
    """Print a row."""
    batches = bodies(200 if events < 100 else 40, events)
    asyncio.run(load(endpoint, batches, rate / events / 4, 2))  # warm
    before, own = processor(collector.pid), resource.getrusage(resource.RUSAGE_SELF)
    result = asyncio.run(load(endpoint, batches, rate / events, seconds))
    used, after = processor(collector.pid) - before, resource.getrusage(resource.RUSAGE_SELF)
    mine = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    taken = result.statuses.get(200, 0) * events
    print(
        f"{events:>4} events/request: {taken / result.seconds:>7,.0f} events/s of {rate:,.0f}, "
        f"p50 {result.quantile(0.5):.0f} ms, p99 {result.quantile(0.99):.0f} ms, "
        f"RSS {memory(collector.pid):,.0f} MB, processor {used / result.seconds:.2f} "
        f"(generator {mine / result.seconds:.2f}), statuses {result.statuses}",
        flush=True,
    )


def main() -> int:
    """Fill a store, start a collector, load it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="only show that it works")
    parser.add_argument("--keys", type=int, default=35_000_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rates", default="15000,40000", help="events/s at 20 and 512 a request")
    parser.add_argument("--data", help="a store that was filled before, or is to be filled")
    options = parser.parse_args()
    if options.short:
        options.keys, options.seconds, options.rates = 200_000, 2, "500,2000"
    directory = Path(options.data or tempfile.mkdtemp(prefix="collector-"))
    try:
        if not (directory / "hot.duckdb").exists():
            fill(directory, options.keys)
        command = [
            sys.executable,
            "-m",
            "getpatter",
            "collector",
            "serve",
            "--data",
            str(directory),
        ]
        begin = time.perf_counter()
        with subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0", "--reserve", "1M"],
            stdout=subprocess.PIPE,
            text=True,
        ) as collector:
            if collector.stdout is None:
                raise RuntimeError
            endpoint = collector.stdout.readline().split()[1]
            print(f"ready after {time.perf_counter() - begin:.1f} s, {options.keys:,} keys")
            rates = [float(rate) for rate in options.rates.split(",")]
            for events, rate in zip((20, 512), rates, strict=True):
                measure(collector, endpoint, events, rate, options.seconds)
            collector.terminate()
        return collector.returncode
    finally:
        if not options.data:
            shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
