"""The grace as it passes: 30 seconds, real processes, and a person who says no in one of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from senders import CATCH_UP, gone, senders

from getpatter.telemetry.testing import Receiver

GRACE = 30
# Well after the end of the grace, and of a sender that waits for it.
OVER = GRACE + 15
START = "from getpatter import Patter; Patter(carrier='none')"
HOSTS = {"long": f"import sys; {START}; sys.stdin.read()", "short": START}
# Loaded before, so that it says no at the second that it is asked to.
SAYS_NO = """
import sys
from getpatter import cli
from getpatter.telemetry import opt_out
sys.stdin.read()
cli.main(["telemetry", "disable"])
"""


class Host:
    """A program of a user, with a home and a collector of its own."""

    def __init__(self, place: Path, mode: str) -> None:
        self.receiver = Receiver()
        self.state = place / "state"
        place.mkdir()
        self._place = place
        self._environ = {
            "HOME": str(place),
            "PATH": os.environ["PATH"],
            "PATTER_TELEMETRY_ENDPOINT": self.receiver.endpoint,
            "PATTER_TELEMETRY_EXIT": mode,
            "PATTER_TELEMETRY_GRACE": str(GRACE),
            "PATTER_TELEMETRY_STATE_DIR": str(self.state),
        }
        self._shown_at = 0.0

    def start(self, code: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=self._environ,
            cwd=self._place,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # the null device would show nobody the notice
        )

    def run(self, code: str) -> None:
        with self.start(code) as process:
            process.communicate(timeout=60)
        assert process.returncode == 0

    def wait_for_notice(self) -> None:
        until = time.monotonic() + 60
        while not (self.state / "notice").exists():
            assert time.monotonic() < until, "no notice was shown"
            time.sleep(0.01)
        self._shown_at = time.monotonic()

    def wait_until(self, second: float) -> None:
        """Wait until so many seconds after the notice."""
        threading.Event().wait(max(0.0, self._shown_at + second - time.monotonic()))

    def events(self) -> list[str]:
        return [event["event"] for event in self.receiver.events]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator["Hosts"]:
    with Hosts(tmp_path) as made:
        yield made


class Hosts(ExitStack):
    """Makes hosts, and closes their collectors at the end."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place

    def make(self, name: str, mode: str) -> Host:
        host = Host(self._place / name, mode)
        self.callback(host.receiver.close)
        return host


def says_no(host: Host, kind: str, second: int) -> None:
    """A no within the grace: nothing ever leaves. After it: nothing more does."""
    with host.start(SAYS_NO) as no, host.start(HOSTS[kind]) as program:
        host.wait_for_notice()
        if kind == "short":
            program.communicate(timeout=60)
        host.wait_until(second)
        no.communicate(timeout=60)
        before = len(host.receiver.requests)
        host.wait_until(OVER)
        program.communicate(timeout=60)
    assert gone(host.state)
    assert len(host.receiver.requests) == before
    assert second > GRACE or before == 0
    assert no.returncode == program.returncode == 0
    assert not list(host.state.rglob("spool/*.json"))


def says_nothing(host: Host, kind: str, *, is_sent: bool) -> None:
    """Nothing leaves before its end; then all of it does, at the latest with a later start."""
    with host.start(HOSTS[kind]) as program:
        host.wait_for_notice()
        if kind == "short":
            program.communicate(timeout=60)
        host.wait_until(GRACE - 1)
        assert host.receiver.requests == []
        host.wait_until(OVER)
        program.communicate(timeout=60)
    assert gone(host.state)
    assert host.events() == (["first_run", "sdk_initialized"] if is_sent else [])
    if not is_sent:
        sends_later(host)


def loses_its_sender(host: Host) -> None:
    """What a sender that is killed while it waits was to send is sent by a later start."""
    with host.start(HOSTS["short"]) as program:
        host.wait_for_notice()
        program.communicate(timeout=60)
    host.wait_until(10)
    for sender in senders(host.state):
        os.kill(sender, signal.SIGKILL)
    host.wait_until(OVER)
    assert host.receiver.requests == []
    sends_later(host)


def sends_later(host: Host) -> None:
    host.run(START)
    host.run(CATCH_UP)
    assert gone(host.state)
    assert sorted(host.events()) == ["first_run", "sdk_initialized", "sdk_initialized"]


def test_whoever_says_no_in_time_was_never_reported(hosts: Hosts) -> None:
    with ThreadPoolExecutor(32) as pool:
        running = [
            pool.submit(says_no, hosts.make(f"{kind}-{mode}-{second}", mode), kind, second)
            for mode in ("detach", "wait")
            for kind in HOSTS
            for second in (5, GRACE - 1, GRACE + 1)
        ]
        running += [
            pool.submit(
                says_nothing,
                hosts.make(f"{kind}-{mode}", mode),
                kind,
                is_sent=kind == "long" or mode == "detach",
            )
            for mode in ("detach", "wait")
            for kind in HOSTS
        ]
        running.append(pool.submit(loses_its_sender, hosts.make("killed", "detach")))
    for each in running:
        each.result()
