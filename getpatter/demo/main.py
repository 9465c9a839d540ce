"""The demo: a collector, real programs that send to it, and its answers.

Sends nothing to anybody else: every program's environment is made from scratch and names the
collector on this machine. Everything that is written is below one temporary directory.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from getpatter.demo.collector import Collector, CollectorError
from getpatter.demo.programs import DIAGNOSTICS
from getpatter.telemetry import notice
from getpatter.telemetry.delivery import sender

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

_SAMPLED_RUNS = 6
_SAMPLE_RATE = "0.5"
# A call lasts about fifteen seconds; what takes a minute hangs.
_SECONDS = 60
# What is indented by two still fits a terminal of a hundred.
_COLUMNS = 98
_QUESTIONS = ("funnel", "affected")


def run(report: str | None = None, *, is_opened: bool = False) -> int:
    """Run the demo; return an exit code: 0 if everything happened as it must.

    `report`: the file that the collector's pages are written into. Without the speech engines, or
    the collector's packages, it is one line and 1.
    """
    try:
        importlib.import_module("getpatter.demo.engines")
    except ImportError as error:
        print(f"getpatter: {error}", file=sys.stderr)
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with Collector(Path(scratch) / "collector", _COLUMNS) as collector:
                demo = _Demo(collector, Path(scratch))
                demo.make_calls()
                demo.show_answers()
                demo.show_call()
                if report is not None:
                    demo.write_report(Path(report).absolute(), is_opened=is_opened)
                problems = demo.problems()
        except CollectorError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
    for problem in problems:
        print(f"getpatter: the demo went wrong: {problem}", file=sys.stderr)
    return 1 if problems else 0


class _Demo:
    """One run of the demo: the collector, the home directory that its programs share."""

    def __init__(self, collector: Collector, scratch: Path) -> None:
        self._collector = collector
        self._home = scratch / "home"
        self._quiet_home = scratch / "quiet-home"
        for directory in (self._home, self._quiet_home):
            directory.mkdir(mode=0o700)
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
            self._program("short_call", is_shown=False, PATTER_TELEMETRY_SAMPLE=_SAMPLE_RATE)
        _title("A call under PATTER_TELEMETRY=0")
        before = self._collector.count("requests")
        self._program("short_call", home=self._quiet_home, is_shown=False, PATTER_TELEMETRY="0")
        requests = self._collector.count("requests") - before
        written = sorted(path.name for path in self._quiet_home.rglob("*"))
        print(f"  {requests} requests arrived, {len(written)} files were written.")
        if requests or written:
            self._problems.append("telemetry was off, and yet something was sent or written")

    def show_answers(self) -> None:
        """Print what the collector answers to three questions."""
        events, requests = self._collector.count("events"), self._collector.count("requests")
        _title(f"{events} events arrived in {requests} requests. What the collector makes of them:")
        for question in _QUESTIONS:
            _title(f"  getpatter collector ask {question}")
            _indented(self._collector.ask(question).splitlines())

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

    def write_report(self, path: Path, *, is_opened: bool) -> None:
        """Write the collector's pages as one file."""
        _title("  getpatter collector report: the collector's pages of these calls")
        said = self._collector.report(path)
        _indented(said.splitlines())
        if str(path) not in said.splitlines():
            self._problems.append("the report was not written")
        elif is_opened:
            webbrowser.open(path.as_uri())

    def problems(self) -> list[str]:
        """Return what was not as it must be."""
        found = list(self._problems)
        refused = self._collector.count("refused_events")
        if refused:
            found.append(f"{refused} events were refused")
        told = self._collector.ask("funnel") + self._collector.ask("affected")
        expected = ("carrier_credentials", "started", "a call began", "provider_error")
        found += [f"no answer says {words!r}" for words in expected if words not in told]
        return found

    def _program(
        self,
        name: str,
        *,
        home: Path | None = None,
        fails_with: str | None = None,
        is_shown: bool = True,
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
                "PATTER_TELEMETRY_ENDPOINT": self._collector.endpoint,
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
        if is_shown:
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
        print(f"  {text}".rstrip(), flush=True)
