"""Losses are counted from anywhere, and each is reported once."""

import signal
import threading
from types import FrameType

import pytest

from getpatter.telemetry.losses import REASONS, UNKNOWN_EVENT, Losses, header

EVENT = "call_started"


class Hostile(str):
    """A name whose every question fails."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError


def test_reasons_are_the_contract_s() -> None:
    assert set(REASONS) == {
        "queue_full",
        "rate_limit",
        "sampled_out",
        "bad_dimension",
        "unknown_event",
        "opted_out",
        "endpoint_invalid",
        "network_error",
        "rejected",
        "too_large",
        "spool_full",
        "expired",
        "shutdown",
        "internal_error",
    }
    assert len(REASONS) == len(set(REASONS))


def test_counts_by_event_and_reason() -> None:
    losses = Losses()
    assert losses.totals() == {}
    losses.count(EVENT, "queue_full")
    losses.count(EVENT, "queue_full", 2)
    losses.count("call_completed", "rejected")
    for _ in range(3):  # reading changes nothing
        assert losses.totals() == {
            (EVENT, "queue_full"): 3,
            ("call_completed", "rejected"): 1,
        }


def test_zero_losses_are_no_loss() -> None:
    losses = Losses()
    losses.count(EVENT, "bad_dimension", 0)
    assert losses.take_unreported() == {}


@pytest.mark.parametrize("name", ["+4915112345678", "", None, 5, [], {}, Hostile(EVENT), b"x"])
def test_name_that_is_not_ours_is_not_kept(name: object) -> None:
    losses = Losses()
    losses.count(name, "unknown_event")
    assert losses.totals() == {(UNKNOWN_EVENT, "unknown_event"): 1}


def test_each_loss_is_reported_once() -> None:
    losses = Losses()
    losses.count(EVENT, "queue_full", 2)
    assert losses.take_unreported() == {(EVENT, "queue_full"): 2}
    assert losses.take_unreported() == {}
    losses.count(EVENT, "queue_full")
    losses.count(EVENT, "rejected")
    assert losses.take_unreported() == {(EVENT, "queue_full"): 1, (EVENT, "rejected"): 1}
    assert losses.totals() == {(EVENT, "queue_full"): 3, (EVENT, "rejected"): 1}


def test_report_that_reached_nobody_is_said_again() -> None:
    losses = Losses()
    losses.count(EVENT, "queue_full", 2)
    report = losses.take_unreported()
    losses.count(EVENT, "queue_full")
    losses.give_back(report)
    losses.give_back({})
    assert losses.take_unreported() == {(EVENT, "queue_full"): 3}
    assert losses.take_unreported() == {}


def test_header_says_a_report_as_the_contract_writes_it() -> None:
    report = {("call_started", "queue_full"): 3, ("call_completed", "rate_limit"): 1}
    assert header(report) == "call_started:queue_full=3, call_completed:rate_limit=1"
    assert header({}) == ""


def test_threads_that_count_at_once_lose_nothing() -> None:
    losses = Losses()
    start = threading.Barrier(9)
    reported: dict[tuple[str, str], int] = {}

    def count() -> None:
        start.wait()
        for _ in range(2_000):
            losses.count(EVENT, "queue_full")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        take_into(reported, losses)
    for thread in threads:
        thread.join()
    take_into(reported, losses)
    assert losses.totals() == reported == {(EVENT, "queue_full"): 16_000}


def take_into(reported: dict[tuple[str, str], int], losses: Losses) -> None:
    for key, times in losses.take_unreported().items():
        assert times > 0
        reported[key] = reported.get(key, 0) + times


def test_counting_may_interrupt_reading() -> None:
    """A signal handler that counts while the same thread reads neither waits nor is lost."""
    losses = Losses()
    counted = 0

    def handler(_signal: int, _frame: FrameType | None) -> None:
        nonlocal counted
        counted += 1
        losses.count(EVENT, "queue_full")

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while counted < 200:
            losses.totals()
            losses.take_unreported()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert losses.totals() == {(EVENT, "queue_full"): counted}
