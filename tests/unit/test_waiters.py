"""Who waits for the worker is woken, or looks again in time; nothing is held meanwhile."""

import threading

from getpatter.telemetry.delivery.waiters import Waiters


def test_nobody_waits_for_what_is_over() -> None:
    Waiters().wait(60, lambda: True)


def test_a_wait_ends_by_itself() -> None:
    Waiters().wait(0.01, lambda: False)
    Waiters().wait(-1, lambda: False)


def test_all_who_wait_are_woken() -> None:
    waiters = Waiters()
    ready = threading.Barrier(4)
    asked: list[int] = []

    def wait(number: int) -> None:
        def is_over() -> bool:
            asked.append(number)
            ready.wait(30)
            return False

        waiters.wait(60, is_over)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    waiters.wake()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(asked) == [0, 1, 2]


def test_what_wakes_between_the_question_and_the_wait_is_not_missed() -> None:
    waiters = Waiters()

    def is_over() -> bool:
        waiters.wake()
        return False

    waiters.wait(60, is_over)


def test_waiting_within_a_wait_holds_up_neither() -> None:
    """As a signal handler does."""
    waiters = Waiters()

    def is_over() -> bool:
        waiters.wait(0.01, lambda: False)
        return True

    waiters.wait(60, is_over)
