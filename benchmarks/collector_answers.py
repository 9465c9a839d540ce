"""How long answers take on a large store, while events go on arriving.

    python benchmarks/collector_answers.py --data DIR            ask the store that is there
    python benchmarks/collector_answers.py --events 1000000      fill one first
    python benchmarks/collector_answers.py --short               shows that it works

The answers are asked in turn over HTTP, many times, while a client sends 1,000 events a second. The
first round after the start is reported apart. The collector gives a long answer again for a while:
what it takes to make one is the first round's.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random  # noqa: TID251 - invented events
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import orjson

from getpatter.collector import clock
from getpatter.collector.batch import ReceivedBatch
from getpatter.collector.keys import Key
from getpatter.collector.limits import DAY, HOUR
from getpatter.collector.store import Store

QUESTIONS = (
    "funnel", "affected", "after_block", "releases", "quality", "latency", "endings", "volume",
    "retention", "package_manager", "turn_detection", "outcome", "duration_seconds",
)  # fmt: skip
DAYS = 60
GROUP = 400  # runs appended at a time
STAGES = {
    "latency_ms": 6.3, "stt_latency_ms": 5.0, "llm_ttft_ms": 5.6, "tts_first_byte_ms": 5.0,
    "eou_latency_ms": 5.5,
}  # fmt: skip


class Population:
    """Installs, and runs of theirs: a seed makes the same ones."""

    def __init__(self, installs: int, seed: int = 1) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - the same ones for a seed
        self.installs = [self._install() for _ in range(installs)]

    def _install(self) -> dict[str, Any]:
        pick = self.chance.choice
        return {
            "install_id": self._id(),
            "sdk_version": pick(["0.7.0", "0.7.1", "0.7.2", "0.8.0"]),
            "os": pick(["linux", "linux", "darwin", "windows"]),
            "carrier": pick(["twilio", "twilio", "telnyx", "plivo"]),
            "engine": pick(["realtime", "pipeline", "convai"]),
            "provider": pick(["openai", "elevenlabs", "google", "anthropic"]),
            "rate": pick([1.0, 1.0, 0.25]),
            "bad": self.chance.betavariate(1, 15),
        }

    def _id(self) -> str:
        return f"{self.chance.getrandbits(128):032x}"

    def run(self) -> tuple[float, list[dict[str, Any]]]:
        """Return the rate and the events of a run."""
        install, run = self.chance.choice(self.installs), self._id()
        rate = install["rate"]
        drawn = rate >= 1 or int(sha256(run.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < rate
        names = ("install_id", "sdk_version", "os")
        common = {"schema_version": 8, "run_id": run, **{name: install[name] for name in names}}
        common |= {"sdk": "python", "arch": "x86_64", "runtime": "cpython", "ci": False}
        common["runtime_version"] = "3.12"
        carrier = {"carrier": install["carrier"]}
        if self.chance.random() < 0.1:
            missing = self.chance.choice(["llm_key", "carrier_credentials"])
            return rate, [{**common, "event": "config_incomplete", "missing": missing}]
        events = [
            {**common, **carrier, "event": "sdk_initialized", "package_manager": "pip"},
            {**common, "event": "agent_configured", "turn_detection": "default"},
        ]
        stack = {**carrier, "engine": install["engine"], "provider": install["provider"]}
        for _ in range(self.chance.randrange(12)):
            events += self._call(common | stack, rate, install["bad"], drawn=drawn)
        return rate, events

    def _call(
        self, common: dict[str, Any], rate: float, bad: float, *, drawn: bool
    ) -> list[dict[str, Any]]:
        stamp = {"sample_rate": rate} if rate < 1 else {}
        call = common | {"direction": "inbound", "call_uid": self._id()}
        made = [{**call, **stamp, "event": "call_started"}] if drawn else []
        end = {**call, "event": "call_completed"}
        if self.chance.random() < bad:
            broken = {"outcome": "error", "error_code": "timeout", "error_layer": "llm"}
            return [*made, {**end, **broken, "disconnect_reason": "timeout"}]
        if not drawn:
            return made
        waits = {name: int(self.chance.lognormvariate(mean, 0.4)) for name, mean in STAGES.items()}
        ending = {"outcome": "completed", "disconnect_reason": "completed"}
        return [*made, {**end, **stamp, **ending, **waits, "duration_seconds": 60}]


def batch(events: list[dict[str, Any]], rate: float, received: int) -> ReceivedBatch:
    """Return a batch of a run, as the collector has it once it was judged."""
    key = Key(
        int.from_bytes(os.urandom(8), "big"),
        int.from_bytes(os.urandom(8), "big"),
        received // HOUR,
        is_legacy=False,
    )
    return ReceivedBatch(
        key=key,
        received=received,
        age=0,
        rate=rate,
        events=list(enumerate(events)),
        size=len(events),
    )


def fill(directory: str, count: int) -> None:
    """Make a store of so many events, of two months."""
    people = Population(max(100, count // 2000))
    store, now = Store(directory), clock.now()
    made = rounds = 0
    try:
        while made < count:
            runs = [people.run() for _ in range(GROUP)]
            days = [people.chance.randrange(DAYS) for _ in runs]
            store.append(
                [
                    batch(events, rate, now - day * DAY)
                    for (rate, events), day in zip(runs, days, strict=True)
                ]
            )
            made += sum(len(events) for _, events in runs)
            rounds += 1
            if rounds % 50 == 0:
                store.fold()
                print(f"{made:,} events", file=sys.stderr, flush=True)
        store.fold()
        store.merge()
    finally:
        store.close()


class Sender:
    """Sends a run after the other, at so many events a second."""

    def __init__(self, endpoint: str, rate: float) -> None:
        self._address = urlsplit(endpoint)
        self._rate = rate
        self._ending = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        people = Population(500, seed=2)
        connection = http.client.HTTPConnection(self._address.netloc, timeout=30)
        begun = time.monotonic()
        while not self._ending.wait(max(0.0, begun + self.sent / self._rate - time.monotonic())):
            rate, events = people.run()
            headers = {
                "Content-Type": "application/json",
                "Idempotency-Key": os.urandom(16).hex(),
                "Patter-Sample-Rate": str(rate),
            }
            connection.request("POST", self._address.path, orjson.dumps(events), headers)
            connection.getresponse().read()
            self.sent += len(events)

    def close(self) -> None:
        """End it."""
        self._ending.set()
        self._thread.join()


def ask(pages: str, name: str) -> float:
    """Return how long an answer took, in milliseconds."""
    connection = http.client.HTTPConnection(urlsplit(pages).netloc, timeout=600)
    begun = time.perf_counter()
    connection.request("GET", f"/answers/{name}.json")
    response = connection.getresponse()
    response.read()
    took = (time.perf_counter() - begun) * 1000
    connection.close()
    if response.status != 200:
        message = f"{name}: {response.status}"
        raise RuntimeError(message)
    return took


def measure(directory: str, rounds: int) -> None:
    """Start a collector on a store and ask it."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "getpatter", "collector", "serve", "--data", directory),
            *("--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0", "--reserve", "1M"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        ingest, pages = (process.stdout.readline().split()[1] for _ in range(2))
        sender = Sender(ingest, 1000.0)
        first = {name: ask(pages, name) for name in QUESTIONS}
        asked = [(name, ask(pages, name)) for _ in range(rounds) for name in QUESTIONS]
        later = {name: [took for one, took in asked if one == name] for name in QUESTIONS}
        sender.close()
    finally:
        process.terminate()
        process.wait()
    print("| answer | first, ms | median, ms | slowest, ms |\n| --- | --- | --- | --- |")
    for name, times in later.items():
        middle = statistics.median(times)
        print(f"| {name} | {first[name]:.0f} | {middle:.0f} | {max(times):.0f} |")
    everything = sorted(time for times in later.values() for time in times)
    p95 = everything[int(len(everything) * 0.95)]
    print(f"\np95 of all: {p95:.0f} ms, {sender.sent:,} events arrived meanwhile")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="a store that is there; otherwise one is made")
    parser.add_argument("--events", type=int, default=10_000_000, help="events to fill one with")
    parser.add_argument("--rounds", type=int, default=40, help="times that each answer is asked")
    parser.add_argument("--short", action="store_true", help="only show that it works")
    options = parser.parse_args()
    directory = options.data or os.path.join(tempfile.mkdtemp(), "data")
    try:
        if not options.data:
            fill(directory, 20_000 if options.short else options.events)
        measure(directory, 2 if options.short else options.rounds)
    finally:
        if not options.data:
            shutil.rmtree(os.path.dirname(directory))


if __name__ == "__main__":
    main()
