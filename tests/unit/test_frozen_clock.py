"""Our clocks go on, whatever a test of the host does to the time."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from unittest import mock

import freezegun
import pytest
import time_machine

from getpatter.telemetry import _clock

YEAR_2000 = 946_684_800
Freeze = Callable[[], AbstractContextManager[object]]
WAYS: dict[str, Freeze] = {
    "freezegun": lambda: freezegun.freeze_time("2000-01-01"),
    "freezegun, ticking": lambda: freezegun.freeze_time("2000-01-01", auto_tick_seconds=3600),
    "freezegun, the loop's own clock": lambda: freezegun.freeze_time(
        "2000-01-01", real_asyncio=True
    ),
    "time-machine": lambda: time_machine.travel(YEAR_2000, tick=False),
    "a mock": lambda: mock.patch("time.monotonic", return_value=1.0),
}


@pytest.fixture(params=WAYS)
def frozen(request: pytest.FixtureRequest) -> Iterator[None]:
    with WAYS[request.param]():
        yield


def wait(seconds: float) -> None:
    """A wait of the system: no clock of Python's is asked."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=seconds)


@pytest.mark.usefixtures("frozen")
def test_a_deadline_comes() -> None:
    until = _clock.monotonic() + 0.05
    wait(0.06)
    assert until <= _clock.monotonic() < until + 60


@pytest.mark.parametrize("name", [name for name in WAYS if name != "time-machine"])
def test_what_is_stored_has_the_time_of_the_machine(name: str) -> None:
    begun = time.time()
    with WAYS[name]():
        assert begun <= _clock.wall() < begun + 60


PROGRAM = """
import threading
{freeze}
from getpatter.telemetry import _clock
bell = threading.Lock()
bell.acquire()
until = _clock.monotonic() + 0.05
bell.acquire(timeout=0.06)
print(_clock.monotonic() >= until)
"""


@pytest.mark.parametrize(
    "freeze",
    [
        "import freezegun; freezegun.freeze_time('2000-01-01').start()",
        "import time_machine; time_machine.travel(0, tick=False).start()",
        "import time; time.monotonic = lambda: 1.0",
        "import time; time.monotonic = time.time = time.sleep = None",
    ],
)
def test_a_clock_that_is_frozen_before_we_are_loaded(freeze: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(freeze=freeze)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "True\n"


def test_the_common_module_stays_what_it_is() -> None:
    code = (
        "import time\nbefore = dict(vars(time))\nimport getpatter.telemetry._clock, sys\n"
        "assert sys.modules['time'] is time and vars(time) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
