"""The demo: a receiver, real programs that report to it, and what their events tell a reader.

Sends nothing to anybody else: every program's environment is made from scratch and names the
receiver on this machine. Everything it writes is below one temporary directory.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from getpatter.demo import report
from getpatter.demo.programs import DIAGNOSTICS
from getpatter.telemetry import notice
from getpatter.telemetry.delivery import sender
from getpatter.telemetry.testing import Receiver

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

_SAMPLED_RUNS = 8
_SAMPLE_RATE = "0.5"
# A call lasts about fifteen seconds; what takes a minute hangs.
_SECONDS = 60
# Of the waterfall: what is indented by two still fits a terminal of a hundred.
_COLUMNS = 98


def run() -> int:
    """Run the demo; return an exit code: 0 if everything happened as it must.

    Without the speech engines it is one line and 1, before anything has begun.
    """
    try:
        importlib.import_module("getpatter.demo.engines")
    except ImportError as error:
        print(f"getpatter: {error}", file=sys.stderr)
        return 1
    began = time.monotonic()
    with Receiver() as receiver, tempfile.TemporaryDirectory() as scratch:
        demo = _Demo(receiver, Path(scratch))
        demo.make_calls()
        demo.show_events()
        demo.show_call()
        problems = demo.problems()
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
    for problem in problems:
        print(f"getpatter: the demo went wrong: {problem}", file=sys.stderr)
    return 1 if problems else 0


class _Demo:
    """One run of the demo: the receiver, the home directory that its programs share."""

    def __init__(self, receiver: Receiver, scratch: Path) -> None:
        self._receiver = receiver
        self._home = scratch / "home"
        self._quiet_home = scratch / "quiet-home"
        for directory in (self._home, self._quiet_home):
            directory.mkdir(mode=0o700)
        self._quiet_events = 0
        self._problems: list[str] = []

    def make_calls(self) -> None:
        """Run the programs, one after the other."""
        _title("A program that lacks its carrier's credentials")
        self._program("missing_credentials", fails_with="ConfigurationError")
        _title("A real voice call of three turns; the caller hangs up")
        self._program("voice_call")
        _title("The same call; the recogniser fails in the second turn")
        self._program("failing_recogniser", fails_with="RecogniserError")
        _title("A call to a busy number")
        self._program("busy_number")
        _title(f"{_SAMPLED_RUNS} short calls at PATTER_TELEMETRY_SAMPLE={_SAMPLE_RATE}")
        for _ in range(_SAMPLED_RUNS):
            self._program("short_call", PATTER_TELEMETRY_SAMPLE=_SAMPLE_RATE)
        _title("A call under PATTER_TELEMETRY=0")
        before = len(self._receiver.requests)
        self._program("short_call", home=self._quiet_home, PATTER_TELEMETRY="0")
        self._quiet_events = len(self._receiver.requests) - before
        written = sorted(path.name for path in self._quiet_home.rglob("*"))
        print(f"  {self._quiet_events} requests arrived, {len(written)} files were written.")
        if self._quiet_events or written:
            self._problems.append("telemetry was off, and yet something was sent or written")

    def show_events(self) -> None:
        """Print every event, and what a reader can conclude from them."""
        events = list(self._receiver.events)
        _title(f"The {len(events)} events that arrived, in {len(self._receiver.requests)} requests")
        for event in events:
            print("  " + report.line(event))
        if self._receiver.losses:
            _title("Losses that the clients reported themselves")
            for (event_name, reason), times in sorted(self._receiver.losses.items()):
                print(f"  {times:>4}  {event_name}: {reason}")
        _title("From first start to completed call (weighted: an event kept at 0.5 counts 2)")
        for step, count in report.funnel(events):
            print(f"  {count:>5.0f}  {step}")
        sampled = [e for e in events if "sample_rate" in e and e["event"] == "call_completed"]
        print(
            f"\n  {len(sampled)} of the {_SAMPLED_RUNS} sampled calls were kept and stand for "
            f"{report.total(sampled):.0f}; over many runs that is right on average."
        )
        _title("How long the stages took (p95 of each call; median and p95 over the calls)")
        for name, median, p95, calls in report.latencies(events):
            print(f"  {median:>5.0f} ms  {p95:>5.0f} ms  {name} ({calls} calls measured)")
        _title("What a reader can conclude")
        for sentence in report.conclusions(events):
            print(f"  {sentence}")

    def show_call(self) -> None:
        """Show the first voice call as its own developer sees it; nothing of this was sent."""
        _title(
            f"That first voice call, for its developer alone: getpatter calls show {DIAGNOSTICS}"
        )
        result = subprocess.run(
            [sys.executable, "-m", "getpatter", "calls", "show", DIAGNOSTICS],
            check=False,
            env={"HOME": str(self._home), "PATH": os.defpath, "COLUMNS": str(_COLUMNS)},
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        _indented([*result.stdout.splitlines(), *result.stderr.splitlines()])
        if result.returncode or not {"stt", "llm", "tts"} <= set(result.stdout.split()):
            self._problems.append("the waterfall does not show the stages of the call")

    def problems(self) -> list[str]:
        """Return what was not as it must be."""
        found = list(self._problems)
        if self._receiver.refused:
            found.append(f"{len(self._receiver.refused)} events were refused")
        names = {str(event["event"]) for event in self._receiver.events}
        expected = {"first_run", "sdk_initialized", "config_incomplete", "call_completed"}
        found += [f"no {name} arrived" for name in sorted(expected - names)]
        return found

    def _program(
        self,
        name: str,
        *,
        home: Path | None = None,
        fails_with: str | None = None,
        **variables: str,
    ) -> None:
        """Run one program and print what it prints; an error it must end with is shown too."""
        directory = str((home or self._home) / "state")
        result = subprocess.run(
            [sys.executable, "-m", "getpatter.demo.programs", name],
            check=False,
            env={
                "HOME": str(home or self._home),
                "PATH": os.defpath,
                "PATTER_TELEMETRY_ENDPOINT": self._receiver.endpoint,
                "PATTER_TELEMETRY_STATE_DIR": directory,
                **variables,
            },
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        # What a program had no time for is sent before the next one starts, so that the events are
        # in the order of the story also on a busy machine.
        sender.send_all(directory, {"HOME": directory}, dotenv="")
        _indented(result.stdout.splitlines())
        errors = result.stderr.splitlines()
        raised = [text for text in errors if fails_with is not None and fails_with in text]
        if raised and result.returncode:
            # Of a traceback only its last line; and the notice, which comes with the first events.
            shown = set(notice.TEXT.splitlines())
            _indented([raised[-1], *(text for text in errors if text in shown)])
            return
        _indented(errors)
        if fails_with is not None or result.returncode:
            self._problems.append(f"the program {name} ended with {result.returncode}")


def _title(text: str) -> None:
    print(f"\n{text}", flush=True)


def _indented(lines: "Sequence[str]") -> None:
    for text in lines:
        print(f"  {text}", flush=True)
