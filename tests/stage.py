"""A machine to run programs on: what they told, what of it arrived, and how often.

A program tells events in three phases: before it forks, while it runs, as it ends. `settle` says
for each what arrived, after a further start had the chance to bring what was left behind, and
fails if anything arrived twice.
"""

import os
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from getpatter.telemetry.testing import Receiver

PHASES = ("before", "running", "ending")
PROGRAMS = Path(__file__).parent / "programs"
# For what takes a second on an idle machine.
PATIENCE = 90.0
# What is left to be waited for when the last program has ended: nothing, or a sender of 10 s.
AFTERWARDS = 30.0


NEXT = "import sys\nfrom tell import tell\ntell('next')\nsys.stdin.read()\n"

# Stands for the uid in a line of the journal that tells no event.
NO_EVENT = "-"


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the journal."""

    phase: str
    pid: int
    uid: str


class Stage:
    """Programs of one user, on one state directory, reporting to one receiver."""

    def __init__(self, python: Path, directory: Path, receiver: Receiver) -> None:
        self.python = python
        self.directory = directory
        self.receiver = receiver
        self.told: list[Told] = []
        self.environ = {
            "HOME": str(directory),
            "JOURNAL": str(directory / "journal"),
            "PATH": os.environ["PATH"],
            "PATTER_TELEMETRY_ENDPOINT": receiver.endpoint,
            "PATTER_TELEMETRY_STATE_DIR": str(directory / "state"),
            "PYTHONPATH": f"{PROGRAMS}{os.pathsep}{directory}",
            "PYTHONUNBUFFERED": "1",
        }
        os.mkfifo(directory / "journal")
        # For reading and writing: so it has no end when a writer closes it.
        self._journal = os.open(directory / "journal", os.O_RDWR)
        self._unread = b""
        self._running: list[subprocess.Popen[bytes]] = []

    # programs

    def write(self, name: str, text: str) -> Path:
        """Write a file that a program needs; modules are found there."""
        path = self.directory / name
        path.write_text(text, "utf-8")
        return path

    def start(self, *command: object, **more: Any) -> subprocess.Popen[bytes]:
        """Start Python with these arguments, in a process group of its own."""
        printed, told = self.directory / "stdout", self.directory / "stderr"
        with printed.open("ab") as stdout, told.open("ab") as stderr:
            program = subprocess.Popen(
                [self.python, *map(str, command)],
                cwd=self.directory,
                env=self.environ | more.pop("variables", {}),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                **more,
            )
        self._running.append(program)
        return program

    def script(self, text: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a program of this text, from a file: as most programs are."""
        return self.start(self.write("program.py", text), variables=variables)

    def finish(self, program: subprocess.Popen[bytes], how: signal.Signals | None = None) -> int:
        """Close the program's input, or send it a signal; wait for its end."""
        if how is not None:
            program.send_signal(how)
        if program.stdin is not None:
            program.stdin.close()
        return program.wait(PATIENCE)

    def looks(self) -> Iterator[None]:
        """Look again and again, for as long as there is patience: for what says nothing itself."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            yield
            os.sched_yield()
        message = f"it did not come to pass\n{self.output}"
        raise AssertionError(message)

    @property
    def output(self) -> str:
        """What all programs printed."""
        names = ("stdout", "stderr")
        return "".join((self.directory / name).read_text("utf-8", "replace") for name in names)

    def close(self) -> None:
        """End what a failed test left running: each program has a process group of its own."""
        for program in self._running:
            if program.stdin is not None:
                program.stdin.close()
            try:
                os.killpg(program.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            program.wait(PATIENCE)
        os.close(self._journal)

    # what they told

    def count(self, phase: str) -> int:
        """Return how much was told in a phase, as far as it was read."""
        return sum(line.phase == phase for line in self.told)

    def until(self, **phases: int) -> None:
        """Read along until so much was told: `until(running=2)`."""
        end = time.monotonic() + PATIENCE
        while any(self.count(phase) < number for phase, number in phases.items()):
            ready, _, _ = select.select([self._journal], [], [], 1.0)
            if ready:
                self._read()
                continue
            is_over = all(program.poll() is not None for program in self._running)
            assert not is_over, f"{phases} expected, told: {self.told}\n{self.output}"
            assert time.monotonic() < end, f"{phases} expected, told: {self.told}\n{self.output}"

    def _read(self) -> None:
        *lines, self._unread = (self._unread + os.read(self._journal, 65_536)).split(b"\n")
        for line in lines:
            phase, pid, uid = line.decode().split()
            self.told.append(Told(phase, int(pid), uid))

    def catch_up(self) -> None:
        """Read what was told so far."""
        while select.select([self._journal], [], [], 0)[0]:
            self._read()

    # what arrived

    def uids(self, phase: str | None = None) -> set[str]:
        """Return the events that were told, as far as the journal was read."""
        lines = [line for line in self.told if phase in (None, line.phase)]
        return {line.uid for line in lines if line.uid != NO_EVENT}

    def arrived(self) -> Counter[str]:
        """Return how often each event arrived, as a collector counts that honours keys."""
        return Counter(
            event["call_uid"] for event in self.receiver.events if event["event"] == "call_started"
        )

    def arrive(self, wanted: set[str] | None = None, *, patience: float = PATIENCE) -> bool:
        """Wait until these, or everything that was told, arrived; return whether it did."""
        self.catch_up()
        wanted = self.uids() if wanted is None else wanted
        end = time.monotonic() + patience
        while True:
            seen = len(self.receiver.events)
            if self.arrived().keys() >= wanted:
                return True
            try:
                self.receiver.wait_for(seen + 1, max(0.0, end - time.monotonic()))
            except AssertionError:
                return False

    def runs(self) -> int:
        """Return how many starts the events that arrived speak of."""
        return len({event["run_id"] for event in self.receiver.events})

    def starts(self) -> int:
        """Return how often `Patter` was constructed, as its events say."""
        return sum(event["event"] == "sdk_initialized" for event in self.receiver.events)

    def settle(self) -> tuple[str, ...]:
        """Say of each phase what arrived: `-` (nothing was told), `all`, `k of n`. Everything
        must have arrived once.

        What an ending program leaves behind on a busy machine, the next start delivers.
        """
        self.start_next(patience=AFTERWARDS)
        self.check()
        return tuple(self._cell(phase) for phase in PHASES)

    def start_next(self, wanted: set[str] | None = None, **more: Any) -> bool:
        """Start a program that has nothing to do but to deliver what was left behind, and lives
        until that has arrived; return whether it has. `more` as in `arrive`, and `variables`.
        """
        variables = more.pop("variables", {})
        program = self.start(self.write("next.py", NEXT), variables=variables)
        self.until(next=self.count("next") + 1)
        own = {self.told[-1].uid} if self.told[-1].phase == "next" else set()
        has_arrived = self.arrive(None if wanted is None else wanted | own, **more)
        assert self.finish(program) == 0, self.output
        return has_arrived

    def check(self) -> None:
        """Nothing arrived twice, nothing was refused, and a key stands for one batch: what is sent
        again under it is the same.
        """
        assert {uid: times for uid, times in self.arrived().items() if times > 1} == {}
        assert self.receiver.refused == []
        bodies: dict[str | None, set[tuple[str, ...]]] = {}
        for request in self.receiver.requests:
            batch = tuple(map(repr, request.events))
            bodies.setdefault(request.idempotency_key, set()).add(batch)
        assert {key: batches for key, batches in bodies.items() if len(batches) > 1} == {}

    def _cell(self, phase: str) -> str:
        told = self.uids(phase)
        arrived = told & self.arrived().keys()
        if not told:
            return "-"
        return "all" if arrived == told else f"{len(arrived)} of {len(told)}"
