"""Running a program in a client's environment, and what a row needs to do so."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from clients import NONE, OURS, Environment
from collector import Sink

__all__ = ["Bench", "Outcome", "Scale"]

_INSIDE = Path(__file__).parent / "inside"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: enough for the statistics, or only enough to see that it works."""

    starts: int
    rounds: int
    paced_rounds: int
    frame_rounds: int
    records: int
    thread_records: int
    loop_seconds: int
    frame_seconds: int
    exits: int
    # What a hanging client may take before its row says "longer".
    exit_seconds: float
    close_seconds: float
    fault_events: int
    memory_records: int
    body_events: int
    throughput_events: int
    rates: tuple[int, ...]
    rate_seconds: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what its program said, when it ended, and whether it was cut off.

    `ended` is the monotonic clock, which all processes of a machine share.
    """

    said: dict[str, object]
    ended: float
    is_late: bool

    def number(self, name: str) -> float | None:
        """Return a number that the program said; None if it did not get that far."""
        value = self.said.get(name)
        return float(value) if isinstance(value, (int, float)) else None


@dataclass(frozen=True, slots=True)
class Bench:
    """What a row measures with: the environments that can run, the sink, and the scale."""

    environments: tuple[Environment, ...]
    sink: Sink
    scale: Scale
    problems: dict[str, set[str]] = field(default_factory=dict)

    def having(self, *, events: bool = False, nothing: bool = True) -> list[Environment]:
        """Return the environments for a row: those whose events can be told apart, or all."""
        return [
            one
            for one in self.environments
            if (one.client.has_events or not events) and (nothing or one.client.name != NONE)
        ]

    @contextmanager
    def port(self, mode: str = "fine") -> Iterator[int]:
        """Lend a port in this mode."""
        port = self.sink.open(mode)
        try:
            yield port
        finally:
            self.sink.drop(port)

    @contextmanager
    def folder(self) -> Iterator[str]:
        """Lend a folder, for the home and the state of one program's runs."""
        # A process that a client left behind may still write.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield folder

    def run(
        self,
        program: str,
        environment: Environment,
        port: int,
        folder: str,
        *options: str,
        seconds: float = 60.0,
        environ: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a program of `inside/` to its end, or for `seconds`, and return how it ended.

        A problem is remembered under the client's name, to be printed with the tables.
        """
        command = [
            environment.python,
            str(_INSIDE / f"{program}.py"),
            environment.client.adapter,
            str(port),
            folder,
            *options,
        ]
        # From scratch: nothing of this process says CI, a test or an agent.
        whole = {
            "HOME": folder,
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PATTER_TELEMETRY_STATE_DIR": os.path.join(folder, "state"),
            **(environ or {}),
        }
        # Files, not pipes: a client's own child may hold a pipe open after the program's end.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=whole,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            late = threading.Event()

            def stop() -> None:
                late.set()
                with suppress(ProcessLookupError):  # it ended just now
                    os.killpg(process.pid, signal.SIGKILL)  # its own group, and its children's

            timer = threading.Timer(seconds, stop)
            timer.start()
            code = process.wait()  # without a timeout: with one, Popen polls, up to 50 ms apart
            ended = time.monotonic()
            timer.cancel()
            timer.join()
            out.seek(0)
            err.seek(0)
            said, errors = _last_json(out.read()), err.read().strip().splitlines()
        name = environment.client.name
        problem = ""
        if late.is_set():
            problem = "" if said else f"cut off after {seconds:.0f} s with no figure"
        elif code:
            problem = errors[-1] if errors else f"exit code {code}"
        if problem:
            self.problems.setdefault(name, set()).add(f"{program}: {problem}")
        return Outcome(said, ended, late.is_set())

    def ours(self) -> Environment | None:
        """Return our own environment, if it is among those selected."""
        return next((one for one in self.environments if one.client.name == OURS), None)


def _last_json(text: str) -> dict[str, object]:
    """Return the last line that is a JSON object; a client may print around it."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                return said
    return {}
