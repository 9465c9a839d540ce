"""Requests of every odd kind: no 5xx but 503, memory that does not grow, and it goes on.

The short version sends 3,000; `make collector-fuzz` a million, and holds the memory's slope to less
than a megabyte a minute after the fifth one.
"""

import gzip
import http.client
import json
import os
import random
import socket
import time
from pathlib import Path
from statistics import linear_regression
from typing import Any
from urllib.parse import urlsplit

import pytest
from collector_process import Collector, Start, event, hex_id, rows

from getpatter.collector.judge import EventJudge
from getpatter.collector.store.columns import FIELDS

pytest_plugins = ("collector_fixtures",)

REQUESTS = int(os.environ.get("COLLECTOR_REQUESTS", "3000"))
WARM = 300.0  # seconds until the memory must have settled
SLOPE = 1.0  # MB a minute after that
STATUSES = {200, 400, 404, 405, 408, 411, 413, 415, 429, 503}
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "\x00", "\ud800", "é" * 40, "0" * 32),
    *([], {}, [[]], {"a": {"b": []}}, "f" * 32, "python", 8, "call_completed", "a" * 5000),
]


class Fuzzer:
    """Makes requests out of valid ones."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - invented requests

    def event(self) -> Any:
        chance = self.chance
        made: Any = event()
        for _ in range(chance.randrange(4)):
            field = chance.choice([*FIELDS, "made_up", "\x00"])
            made[field] = chance.choice(ODD)
        return made if chance.random() < 0.9 else chance.choice(ODD)

    def body(self) -> bytes:
        chance = self.chance
        batch: Any = [self.event() for _ in range(chance.choice([1, 1, 1, 3, 64, 520]))]
        body = json.dumps(batch if chance.random() < 0.9 else chance.choice(ODD)).encode()
        if chance.random() < 0.2:
            at = chance.randrange(len(body) + 1)
            body = body[:at] + os.urandom(chance.randrange(8)) + body[at + chance.randrange(9) :]
        return body

    def headers(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        chance = self.chance
        named = {"Content-Type": "application/json"}
        odd = ["", "x", "-1", "0", "1e999", "0.5", "604801", "a:b=1", "9" * 400, hex_id(), "nan"]
        for name in (
            *("Idempotency-Key", "Patter-Batch-Age", "Patter-Sample-Rate"),
            *("Patter-Client-Report", "Content-Type", "Content-Encoding", "X-Any"),
        ):
            if chance.random() < 0.15:
                named[name] = chance.choice(odd)
        if chance.random() < 0.3:
            named["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
            if chance.random() < 0.2:
                body = body[: chance.randrange(len(body))]
        return body, named


def _send(fuzzer: Fuzzer, connection: http.client.HTTPConnection) -> int:
    chance = fuzzer.chance
    method = chance.choice(["POST"] * 12 + ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
    path = chance.choice(
        ["/v1/ingest"] * 12
        + [f"/v1/installs/{hex_id()}", "/v1/installs/", "/%00", "/v1/receipts/x", "//", "/a?b=%ff"]
    )
    body, headers = fuzzer.headers(fuzzer.body())
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.read()
    return response.status


def _send_bytes(collector: Collector, chance: random.Random) -> None:
    address = urlsplit(collector.endpoint)
    text = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[1,2]"
    at = chance.randrange(len(text))
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(text[:at] + os.urandom(chance.randrange(1, 6)) + text[at:])
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65_536)


def _memory(collector: Collector) -> int:
    status = Path(f"/proc/{collector.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_odd_requests_are_answered_and_leave_nothing(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    fuzzer = Fuzzer(int(os.environ.get("COLLECTOR_SEED", "1")))
    statuses: dict[int, int] = {}
    address = urlsplit(collector.endpoint).netloc
    connection = http.client.HTTPConnection(address, timeout=60)
    memory: list[tuple[float, int]] = []
    begin = time.monotonic()
    for number in range(REQUESTS):
        if number % 500 == 0:
            memory.append((time.monotonic() - begin, _memory(collector)))
        if number % 20 == 0:
            _send_bytes(collector, fuzzer.chance)
        try:
            status = _send(fuzzer, connection)
        except (OSError, http.client.HTTPException):
            connection.close()  # it may close after an answer to what is no HTTP
            continue
        statuses[status] = statuses.get(status, 0) + 1
    connection.close()
    memory.append((time.monotonic() - begin, _memory(collector)))
    assert set(statuses) <= STATUSES
    assert {200, 400} <= set(statuses)
    print(dict(sorted(statuses.items())), f"in {memory[-1][0]:,.0f} s", end="; ")
    settled = [(at, size) for at, size in memory if at >= WARM]
    if len(settled) > 10:
        slope = linear_regression(*zip(*settled, strict=True)).slope * 60 / 1_000
        print(f"memory {memory[-1][1] / 1000:,.0f} MB, {slope:+.2f} MB a minute")
        assert slope < SLOPE
    else:
        grown = memory[-1][1] - memory[len(memory) // 2][1]
        print(f"{grown:,} KB more in the second half")
        assert grown < 60_000
    metrics = collector.request("GET", "/metrics", pages=True).body.decode()
    assert "patter_collector_internal_errors_total{" not in metrics
    assert collector.post([event()], hex_id()).status == 200
    assert collector.end() == (0, "")
    _judge_again(tmp_path / "data")


def _judge_again(data: Path) -> None:
    """No event is kept that its schema refuses."""
    names = list(FIELDS)
    judge = EventJudge()
    found = rows(data, f"SELECT legacy, {', '.join(names)} FROM events")
    assert found
    for legacy, *values in found:
        kept = {
            name: str(value).replace("-", "") if FIELDS[name] == "UUID" else value
            for name, value in zip(names, values, strict=True)
            if value is not None
        }
        violation = judge.violation(kept, is_legacy=legacy)
        if violation is not None:
            pytest.fail(f"{violation}: {kept}")
