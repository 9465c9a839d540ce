"""A disk in trouble: the host's work is undisturbed, and what is delivered is delivered once."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import Host, Run
from relay import Relay
from stage import Stage

pytest_plugins = ("faults_fixtures",)

WAITS = "sys.stdin.read()"
# Where nothing can be mounted: no file may grow beyond what the journal and the host's own output
# need. A write fails as on a full disk, with another number.
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"


class Disk:
    """A file system of its own for the state directory, where this user may mount one."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(mode=0o700)
        self.is_mounted = os.geteuid() == 0 and self._mount(
            "-t", "tmpfs", "-o", "size=32k,mode=700", "none", place
        )

    def _mount(self, *arguments: object) -> bool:
        return self._command("mount", *arguments)

    @staticmethod
    def _command(*command: object) -> bool:
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True)
        return done.returncode == 0

    def fill(self) -> str:
        """Leave no room; return the code that a program needs where that could not be done."""
        if not self.is_mounted:
            return LIMITED
        with (self.place / "filler").open("wb", buffering=0) as filler:
            for size in (4096, 512, 1):
                while self._grows(filler.fileno(), size):
                    pass
        return ""

    @staticmethod
    def _grows(descriptor: int, size: int) -> bool:
        try:
            return os.write(descriptor, b"0" * size) > 0
        except OSError:
            return False

    def clear(self) -> None:
        """Have room again."""
        (self.place / "filler").unlink(missing_ok=True)

    def set_read_only(self) -> str:
        """Let nothing be written any more; as `fill`."""
        if self.is_mounted:
            assert self._mount("-o", "remount,ro", self.place)
        else:
            for directory in (self.place, *self.place.rglob("*/")):
                directory.chmod(0o500)
        return LIMITED if os.geteuid() == 0 and not self.is_mounted else ""

    def set_writable(self) -> None:
        """Let things be written again."""
        if self.is_mounted:
            assert self._mount("-o", "remount,rw", self.place)
        else:
            for directory in (self.place, *self.place.rglob("*/")):
                directory.chmod(0o700)

    def end(self) -> None:
        """Take the file system away."""
        if self.is_mounted:
            self._command("umount", "--lazy", self.place)
        else:
            self.set_writable()


@pytest.fixture
def disk(stage: Stage) -> Iterator[Disk]:
    made = Disk(stage.directory / "state")
    yield made
    made.end()


def remove(stage: Stage, what: str) -> set[str]:
    """Take a directory away at once, with all that is in it, as soon as it is there; return what
    was told until then: that may be gone.
    """
    for _ in stage.looks():
        if (stage.directory / what).is_dir():
            break
    (stage.directory / what).rename(stage.directory / "removed")
    shutil.rmtree(stage.directory / "removed")
    stage.catch_up()
    return stage.uids()


def let_end(run: Run) -> None:
    assert run.program.stdin is not None
    run.program.stdin.close()
    run.end()


@pytest.mark.parametrize("mode", ["wait", "detach", "spool"])
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_in_trouble_and_a_collector_that_is_there(
    host: Host, stage: Stage, disk: Disk, trouble: str, mode: str
) -> None:
    """Nothing can be kept, so it is delivered while the host runs."""
    before = disk.fill() if trouble == "full" else disk.set_read_only()
    run = host.start(before=before, after=WAITS, PATTER_TELEMETRY_EXIT=mode)
    stage.until(running=20)
    assert stage.arrive(), stage.output
    let_end(run)
    stage.check()


@pytest.mark.parametrize("mode", ["wait", "detach", "spool"])
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_in_trouble_and_a_collector_that_is_away(
    host: Host, relay: Relay, disk: Disk, trouble: str, mode: str
) -> None:
    relay.go()
    before = disk.fill() if trouble == "full" else disk.set_read_only()
    host.run(before=before, PATTER_TELEMETRY_EXIT=mode)
    disk.clear() if trouble == "full" else disk.set_writable()
    relay.come()
    assert host.stage.start_next(set())
    host.stage.check()


def test_a_disk_that_is_full_for_a_while(
    host: Host, stage: Stage, relay: Relay, disk: Disk
) -> None:
    """What cannot be kept waits in memory: it is delivered once the collector is there. (A file
    system becomes read-only under a program that has files open only by an error of its device.)
    """
    run = host.start(steps=60, after=WAITS)
    stage.until(running=10)
    relay.go()
    stage.until(running=20)
    disk.fill()
    stage.until(running=40)
    disk.clear()
    stage.until(running=60)
    relay.come()
    assert stage.arrive(), stage.output
    let_end(run)
    stage.check()


@pytest.mark.parametrize("mode", ["wait", "detach", "spool"])
@pytest.mark.parametrize("what", ["state/spool", "state"])
def test_a_directory_that_is_removed_while_the_host_runs(
    host: Host, relay: Relay, what: str, mode: str
) -> None:
    """What was kept there is gone; what comes after is delivered once the collector is there."""
    stage = host.stage
    run = host.start(steps=100, after=WAITS, PATTER_TELEMETRY_EXIT=mode)
    stage.until(running=10)
    assert stage.arrive(), stage.output
    relay.go()
    stage.until(running=20)
    gone = remove(stage, what)
    stage.until(running=100)
    relay.come()
    assert stage.arrive(stage.uids() - gone), stage.output
    let_end(run)
    if what == "state":
        gone |= stage.uids("ending")  # there is no place to keep it
    assert stage.start_next(stage.uids() - gone), stage.output
    stage.check()


@pytest.mark.parametrize("mode", ["wait", "detach", "spool"])
def test_a_spool_that_is_removed_is_begun_anew(host: Host, relay: Relay, mode: str) -> None:
    stage = host.stage
    relay.go()
    run = host.start(steps=100, PATTER_TELEMETRY_EXIT=mode)
    stage.until(running=40)
    gone = remove(stage, "state/spool")
    run.end()
    relay.come()
    assert stage.start_next(stage.uids() - gone), stage.output
    stage.check()


# Each look at the state directory takes a tenth of a second; whoever looks from the main thread
# while the host works is told on.
SLOW = """
import builtins, os, sys, threading, time
is_over = False
def is_working():
    return not is_over and hasattr(sys.modules.get("tell"), "tell")
def slow(function):
    def wrapped(*arguments, **named):
        if arguments and "/state" in str(arguments[0]):
            if is_working() and threading.current_thread() is threading.main_thread():
                os.write(2, f"the host waited for {arguments[0]}\\n".encode())
            time.sleep(0.1)
        return function(*arguments, **named)
    return wrapped
for name in ("open", "stat", "lstat", "replace", "rename", "unlink", "listdir", "mkdir", "link"):
    setattr(os, name, slow(getattr(os, name)))
builtins.open = slow(builtins.open)
for name in ("write", "fsync"):
    def wait(*arguments, function=getattr(os, name)):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.1)
        return function(*arguments)
    setattr(os, name, wait)
"""


@pytest.mark.parametrize("is_away", [True, False])
def test_a_slow_disk(host: Host, stage: Stage, relay: Relay, *, is_away: bool) -> None:
    """A hundred times slower than any: nothing waits for it but our own thread, and an ending
    program while that gets on.
    """
    if is_away:
        relay.go()
    run = host.start(steps=60, before=SLOW, after=f"is_over = True; {WAITS}")
    stage.until(running=60)
    if is_away:
        relay.come()
    let_end(run)
    assert stage.start_next(), stage.output
    stage.check()
