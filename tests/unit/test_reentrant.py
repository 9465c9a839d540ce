"""Whatever a signal handler or a finaliser calls, and whatever it interrupts, nothing waits for
itself, and the figures are right.
"""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import client
from interrupted import everywhere

from getpatter.calls.events.losses import EventLosses
from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.testing import Receiver

KEY = ("call_started", "queue_full")


def test_losses_are_read_while_they_are_read() -> None:
    losses = Losses()
    losses.count(*KEY, 5)
    seen = []
    assert everywhere(losses.totals, lambda: seen.append(losses.totals()))
    assert losses.totals() == {KEY: 5}
    assert seen == [{KEY: 5}] * len(seen)


def test_losses_are_read_while_they_are_reported() -> None:
    losses = Losses()
    losses.count(*KEY, 5)
    reports = []
    everywhere(lambda: reports.append(losses.take_unreported()), losses.totals)
    assert reports == [{KEY: 5}]
    everywhere(lambda: losses.give_back(reports[0]), losses.totals)
    assert losses.take_unreported() == {KEY: 5}


def test_losses_of_calls_are_read_while_they_are_read() -> None:
    losses = EventLosses()
    losses.count("", "queue_full", 5)
    seen = []
    everywhere(losses.totals, lambda: seen.append(losses.totals()))
    assert seen == [{"": {"queue_full": 5}}] * len(seen)
    assert losses.totals() == {"": {"queue_full": 5}}


DOINGS: dict[str, Callable[[TelemetryClient], object]] = {
    "stats": TelemetryClient.stats,
    "flush": lambda client: client.flush(0.0),
    "flush_pending": TelemetryClient.flush_pending,
    "close": lambda client: client.close(0.0),
    "collects": TelemetryClient.collects,
    "record": lambda client: client.record("agent_configured"),
    "reduce": lambda client: client.reduce(sample_rate=0.5),
}


@pytest.mark.parametrize(("interrupted", "handler"), list(itertools.product(DOINGS, DOINGS)))
def test_anything_may_interrupt_anything(
    tmp_path: Path, receiver: Receiver, interrupted: str, handler: str
) -> None:
    made = client(tmp_path, receiver.endpoint)
    made.record("agent_configured")
    everywhere(lambda: DOINGS[interrupted](made), lambda: DOINGS[handler](made))
    made.stats()
    made.close(5.0)


def test_the_start_of_a_thread_may_be_interrupted(tmp_path: Path, receiver: Receiver) -> None:
    """A first record starts ours, within that of the host's."""

    def start() -> None:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    def record() -> None:
        client(tmp_path, receiver.endpoint).record("agent_configured")

    assert everywhere(start, record)
