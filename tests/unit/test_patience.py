"""Patience is used up by time and by waits; it is prolonged as far as there is time to spare."""

import threading

from getpatter.telemetry.delivery.patience import Patience


def test_a_lock_that_is_free_is_taken_without_any() -> None:
    assert Patience(0).acquire(threading.Lock())
    assert Patience(-1).acquire(threading.Lock())


def test_a_wait_in_vain_is_counted_whatever_the_clock_says() -> None:
    lock = threading.Lock()
    lock.acquire()
    patience = Patience(60)
    for _ in range(3):
        assert not patience.acquire(lock, 0.01)
    assert patience.left <= 60 - 0.03
    patience.spend(60)
    assert patience.left == 0
    assert not patience.acquire(lock)


def test_it_is_prolonged_as_far_as_there_is_time_to_spare() -> None:
    patience = Patience(0, spare=0.5)
    assert patience.left == 0
    assert patience.prolong(0.3)
    assert 0 < patience.left <= 0.3
    assert patience.prolong(0.3)
    assert 0 < patience.left <= 0.2 + 1e-6
    assert not patience.prolong(0.3)
    assert not Patience(1).prolong(1)
