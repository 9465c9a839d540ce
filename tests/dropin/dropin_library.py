"""The released library, and the same with our telemetry in place of its own: run, never read.

Both are driven as a user's programs, in an environment made from scratch whose only collector is a
Receiver in the test's process; `inside/` keeps them on this machine.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from senders import CATCH_UP

import getpatter
from getpatter.telemetry import notice
from getpatter.telemetry.testing import Receiver, Refusal, Request

RELEASE = "0.7.0"
OURS = Path(notice.__file__).parent
# The release's own notice: the one line of its stderr that may differ from ours.
RELEASED_NOTICE = "[patter] Anonymous usage telemetry is on"

#: What every program of a user begins with.
PROGRAM = """\
import asyncio
import getpatter
from getpatter.stt import cartesia
from getpatter.tts import rime
from getpatter import ElevenLabsConvAI, OpenAIRealtime, OpenAIRealtime2, Patter, Twilio

def twilio():
    return Twilio(account_sid="AC" + "0" * 32, auth_token="1" * 32)

def patter(**options):
    given = {"carrier": twilio(), "phone_number": "+15550001234", "webhook_url": "example.invalid"}
    return Patter(**{**given, **options})

def attempt(what):
    try:
        made = what()
    except Exception as error:
        print(type(error).__module__, type(error).__qualname__, error)
    else:
        print(type(made).__module__, type(made).__qualname__)
"""


@dataclass(frozen=True, slots=True)
class Library:
    """A getpatter to run: the release as it was installed, or the copy with our telemetry."""

    python: Path
    root: Path
    """What holds its `getpatter`."""
    inside: Path

    @property
    def path(self) -> str:
        """PYTHONPATH for its programs."""
        return os.pathsep.join(map(str, (self.inside, self.root)))


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended: what it printed, and what it sent."""

    status: int
    stdout: str
    stderr: str
    requests: list[Request]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for request in self.requests for event in request.events]

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    @property
    def stderr_but_notice(self) -> str:
        lines = self.stderr.replace(notice.TEXT, "", 1).splitlines()
        return "\n".join(line for line in lines if not line.startswith(RELEASED_NOTICE))


class Machine:
    """A user's machine: a home, a working directory and a collector."""

    def __init__(self, directory: Path, receiver: Receiver) -> None:
        self.receiver = receiver
        self.home = directory / "home"
        self.work = directory / "work"
        self.variables: dict[str, str] = {}
        self.stderr = ""  # of the program that ran last
        self.anew()

    def anew(self) -> None:
        """Begin again with nothing on disk, at the same places."""
        for directory in (self.home, self.work):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(mode=0o700)

    def run(self, library: Library, code: str, **variables: str) -> Done:
        environment = {
            "HOME": str(self.home),
            "PATH": os.defpath,
            "PYTHONPATH": library.path,
            "PATTER_TELEMETRY_ENDPOINT": self.receiver.endpoint,
            **self.variables,
            **variables,
        }
        before = len(self.receiver.requests)
        done = subprocess.run(
            [library.python, "-c", code],
            check=False,
            env=environment,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if list(self.home.rglob("spool/*.json")):
            # It ended before the collector had answered, as on a busy machine: a next start sends.
            ours = {**environment, "PYTHONPATH": str(Path(getpatter.__file__).parents[1])}
            command = [sys.executable, "-c", CATCH_UP]
            subprocess.run(command, check=True, env=ours, cwd=self.work, timeout=60)
        sent = self.receiver.requests[before:]
        # A traceback names the files of the library, which lie elsewhere.
        stderr = self.stderr = done.stderr.replace(str(library.root), "...")
        return Done(done.returncode, done.stdout, stderr, sent)

    def trace(self, library: Library, code: str, **variables: str) -> dict[str, list[str]]:
        """Run a program; return what it used of `getpatter.telemetry`."""
        path = self.work.parent / "trace.json"
        self.run(library, code, DROPIN_TRACE=str(path), **variables)
        found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        return found


class Twins:
    """The release and its copy, on one machine, one after the other."""

    def __init__(self, machine: Machine, released: Library, dropin: Library) -> None:
        self.machine = machine
        self.released = released
        self.dropin = dropin

    def run(self, code: str, **variables: str) -> tuple[Done, Done]:
        """Run a program on the release, and on its copy where nothing of that is left."""
        theirs = self.machine.run(self.released, code, **variables)
        self.machine.anew()
        return theirs, self.machine.run(self.dropin, code, **variables)

    @property
    def refused(self) -> list[Refusal]:
        """What the collector refused; of the release, which sends no key, it judges nothing."""
        return self.machine.receiver.refused


def command(arguments: str) -> str:
    """Return a program that is the library's command, as the installed script would run it."""
    return (
        "import sys; from getpatter.cli import main; sys.argv[0] = 'getpatter'\n"
        f"sys.argv[1:] = {arguments.split()!r}; sys.exit(main())"
    )
