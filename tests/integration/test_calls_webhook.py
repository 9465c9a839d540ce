"""Webhooks as their users meet them: the example receives, and the end of a program is counted."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from conftest import Run

from getpatter.calls import Event, EventsLost, Hub, WebhookSink
from getpatter.calls.sinks.signature import HEADER, sign, verify

LONG = 60.0
SECRET = "an invented secret"
EXAMPLE = Path(__file__).parents[2] / "examples" / "webhook_receiver.py"


@dataclass
class Example:
    """The example, running."""

    url: str
    out: IO[str]
    lines: "queue.Queue[str]" = field(default_factory=queue.Queue)
    printed: list[dict[str, object]] = field(default_factory=list)

    def read(self) -> None:
        for line in self.out:
            self.lines.put(line)

    def wait_for(self, events: int) -> list[dict[str, object]]:
        while len(self.printed) < events:
            self.printed.append(json.loads(self.lines.get(timeout=LONG)))
        return self.printed


@pytest.fixture
def example() -> Iterator[Example]:
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "0"],
        env={"PATH": os.environ["PATH"], "PATTER_WEBHOOK_SECRET": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        said = process.stderr.readline()
        assert said.startswith("listening on "), said
        running = Example(said.split()[-1], process.stdout)
        reading = threading.Thread(target=running.read, daemon=True)
        reading.start()
        try:
            yield running
        finally:
            process.kill()
            reading.join(LONG)


def event(number: int) -> Event:
    return Event("event", "mine", "node", 1_700_000_000_000_000, number, {"number": number})


def test_the_example_prints_each_event(example: Example) -> None:
    hub = Hub(WebhookSink(example.url, SECRET))
    emitter = hub.emitter("tool", hub.session("mine"))
    for number in range(250):
        emitter.emit(f"tool.{number % 3}", {"number": number})
    assert hub.flush(LONG)
    printed = example.wait_for(250)
    assert [one["sequence"] for one in printed] == list(range(250))
    assert printed[0]["type"] == "tool.0"
    hub.close(LONG)


def test_the_example_takes_nothing_that_is_not_signed(example: Example) -> None:
    with pytest.raises(EventsLost, match="HTTP 401"):
        WebhookSink(example.url, "another secret").write([event(1)])
    assert WebhookSink(example.url, SECRET).write([event(2)]) is None
    assert [one["sequence"] for one in example.wait_for(1)] == [2]


def test_the_example_prints_what_comes_twice_once(example: Example) -> None:
    body = json.dumps({"events": [event(1).as_dict()]}).encode()
    headers = {"Idempotency-Key": "k", HEADER: sign(SECRET.encode(), body, int(time.time()))}
    for _ in range(2):
        request = urllib.request.Request(example.url, body, headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=LONG) as answer:  # noqa: S310
            assert answer.status == 204
    assert WebhookSink(example.url, SECRET).write([event(2)]) is None
    assert [one["sequence"] for one in example.wait_for(2)] == [1, 2]


def test_the_example_reads_no_endless_body(example: Example) -> None:
    headers = {"Content-Length": str(10**12)}
    request = urllib.request.Request(example.url, b"", headers)  # noqa: S310 - loopback
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(request, timeout=LONG)  # noqa: S310


def test_the_time_of_a_signature_is_compared_with_that_of_this_machine() -> None:
    now = int(time.time())
    assert verify(SECRET, sign(SECRET.encode(), b"{}", now), b"{}")
    assert not verify(SECRET, sign(SECRET.encode(), b"{}", now - 3_600), b"{}")
    assert verify(SECRET, sign(SECRET.encode(), b"{}", now - 3_600), b"{}", now - 3_600)


ENDS = """
import atexit, json
def look():  # runs last: it was registered first
    print(json.dumps(hub.stats()["sinks"]))
atexit.register(look)
from getpatter.calls import Hub, JsonLinesSink, WebhookSink
hub = Hub(WebhookSink("http://127.0.0.1:9/", "an invented secret"), JsonLinesSink("calls.jsonl"))
emitter = hub.emitter("tool", hub.session("mine"))
for number in range(130):
    emitter.emit(f"tool.{number % 5}", {"number": number})
"""


def test_what_a_webhook_has_not_delivered_at_the_end_is_counted_and_logged(run: Run) -> None:
    done = run(ENDS, timeout=LONG)
    assert done.returncode == 0, done.stderr
    sinks = json.loads(done.stdout)
    assert sinks["webhook"]["lost"] == {"exit": 130}
    assert sinks["jsonlines"] == {"delivered": 130, "waiting": 0, "lost": {}}
    (said,) = [line for line in done.stderr.splitlines() if "sink" in line]
    assert said == "getpatter: webhook sink: 130 events were not delivered before the program ended"


def test_a_program_that_flushes_and_closes_has_nothing_left_at_its_end(run: Run) -> None:
    done = run(f"{ENDS}\nassert hub.flush(0.01) is False\nhub.close(0.01)\n", timeout=LONG)
    assert done.returncode == 0, done.stderr
    lost = json.loads(done.stdout)["webhook"]["lost"]
    assert sum(lost.values()) == 130
    assert set(lost) <= {"closed", "exit"}
