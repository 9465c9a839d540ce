"""`kill -9` at random moments under load: every acknowledged event is there, once.

The short version takes half a minute; `make collector-kills` is the whole one: 60 kills in half an
hour at 2,000 events a second.
"""

import contextlib
import os
import random
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from collector_process import Collector, Start, event, hex_id, rows

pytest_plugins = ("collector_fixtures",)

KILLS = int(os.environ.get("COLLECTOR_KILLS", "5"))
SECONDS = float(os.environ.get("COLLECTOR_KILL_SECONDS", "3"))  # between two kills, on average
SENDERS = 4
EVENTS = 20  # a request
RATE = 2_000.0  # events a second, retries included
RETRIES = 0.2
READY = 2.0  # seconds, from the start to the two lines: the bar


def batch(key: str) -> list[dict[str, Any]]:
    """The batch of a key: the same on every try."""
    return [event(run_id=key, install_id=key) for _ in range(EVENTS)]


class Sender:
    """A client that retries under the same key until it is answered."""

    def __init__(self, seed: int, log: Path) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - which batch is sent again
        self.log = log  # the keys of what was acknowledged
        self.acknowledged = 0
        self.recent: deque[str] = deque(maxlen=5_000)
        self.unanswered: str | None = None
        self.requests = 0

    def send(self, collector: Collector) -> None:
        """Send until the collector is gone; a fifth are retries of what was acknowledged."""
        begin, sent = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while True:
                due = begin + sent * SENDERS * EVENTS / RATE
                time.sleep(max(0.0, due - time.monotonic()))
                sent += 1
                self.requests += 1
                if self.recent and self.unanswered is None and self.chance.random() < RETRIES:
                    key = self.chance.choice(self.recent)
                    answer = collector.post(batch(key), key)
                    assert answer.status == 503 or answer.json["accepted"] == EVENTS
                    continue
                self.unanswered = self.unanswered or hex_id()
                answer = collector.post(batch(self.unanswered), self.unanswered)
                if answer.status == 200:
                    self.note(answer.json["accepted"])

    def note(self, accepted: int) -> None:
        """Take note of an acknowledged batch."""
        assert accepted == EVENTS
        assert self.unanswered is not None
        self.acknowledged += 1
        self.recent.append(self.unanswered)
        with self.log.open("a") as file:
            file.write(f"{self.unanswered}\n")
        self.unanswered = None


def test_every_acknowledged_event_is_there_once(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    senders = [Sender(seed, tmp_path / f"acknowledged-{seed}") for seed in range(SENDERS)]
    chance = random.Random(7)  # noqa: S311 - when it is killed
    starts: list[float] = []
    began = time.monotonic()
    for _ in range(KILLS):
        begin = time.monotonic()
        collector = start(data)
        starts.append(time.monotonic() - begin)
        threads = [threading.Thread(target=s.send, args=(collector,)) for s in senders]
        for thread in threads:
            thread.start()
        killer = threading.Timer(chance.uniform(0.2, 1.8) * SECONDS, collector.process.kill)
        killer.start()
        killer.join()
        for thread in threads:
            thread.join()
    took = time.monotonic() - began
    collector = start(data)
    for sender in senders:
        if sender.unanswered is not None:
            answer = collector.post(batch(sender.unanswered), sender.unanswered)
            sender.note(answer.json["accepted"])
    assert collector.end()[0] == 0
    expected = sum(sender.acknowledged for sender in senders)
    requests = sum(sender.requests for sender in senders)
    print(
        f"{KILLS} kills in {took:,.0f} s, {requests * EVENTS / took:,.0f} events/s, "
        f"{expected * EVENTS:,} events acknowledged; to ready: at most {max(starts):.2f} s"
    )
    found = rows(
        data,
        "SELECT count(*), count(DISTINCT run_id), min(n), max(n) "
        "FROM (SELECT run_id, count(*) AS n FROM events GROUP BY run_id) AS runs",
    )
    assert found == [(expected, expected, EVENTS, EVENTS)]
    kept = {
        row[0]
        for row in rows(data, "SELECT DISTINCT replace(run_id::VARCHAR, '-', '') FROM events")
    }
    logged = [line for sender in senders for line in sender.log.read_text().split()]
    assert len(logged) == expected
    assert kept == set(logged)
    assert expected > KILLS * 5
    if "COLLECTOR_KILLS" in os.environ:  # a bar of the whole version, on a machine of its own
        assert max(starts) <= READY
