"""`kill -9` at random moments under load: every acknowledged event is there, once.

The short version takes half a minute. The whole one: `COLLECTOR_KILLS=60 make collector`.
"""

import contextlib
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from collector_process import Collector, Start, event, hex_id, rows

pytest_plugins = ("collector_fixtures",)

KILLS = int(os.environ.get("COLLECTOR_KILLS", "5"))
SENDERS = 4


class Sender:
    """A client that retries under the same key until it is answered."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - which batch is sent again
        self.acknowledged: dict[str, list[dict[str, Any]]] = {}
        self.unanswered: tuple[str, list[dict[str, Any]]] | None = None

    def send(self, collector: Collector) -> None:
        """Send until the collector is gone; a fifth are retries of what was acknowledged."""
        with contextlib.suppress(OSError):
            while True:
                if self.unanswered is None:
                    self.unanswered = hex_id(), [event() for _ in range(20)]
                key, batch = self.unanswered
                answer = collector.post(batch, key)
                if answer.status == 200:
                    assert answer.json["accepted"] == len(batch)
                    self.acknowledged[key] = batch
                    self.unanswered = None
                if self.acknowledged and self.chance.random() < 0.2:
                    key = self.chance.choice(list(self.acknowledged))
                    collector.post(self.acknowledged[key], key)


def test_every_acknowledged_event_is_there_once(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    senders = [Sender(seed) for seed in range(SENDERS)]
    chance = random.Random(7)  # noqa: S311 - when it is killed
    slowest = 0.0
    for _ in range(KILLS):
        begin = time.monotonic()
        collector = start(data)
        slowest = max(slowest, time.monotonic() - begin)
        threads = [threading.Thread(target=s.send, args=(collector,)) for s in senders]
        for thread in threads:
            thread.start()
        killer = threading.Timer(chance.uniform(0.5, 5), collector.process.kill)
        killer.start()
        killer.join()
        for thread in threads:
            thread.join()
    collector = start(data)
    for sender in senders:
        if sender.unanswered is not None:
            key, batch = sender.unanswered
            assert collector.post(batch, key).json["accepted"] == len(batch)
            sender.acknowledged[key] = batch
    assert collector.end()[0] == 0
    print(f"slowest start: {slowest:.1f} s")
    found = Counter(
        row[0] for row in rows(data, "SELECT replace(run_id::VARCHAR, '-', '') FROM events")
    )
    expected = Counter(e["run_id"] for s in senders for b in s.acknowledged.values() for e in b)
    assert found == expected
    assert len(expected) > KILLS * 20
