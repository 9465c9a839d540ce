"""A host that works while its telemetry is in trouble, and what must not be disturbed in it.

Its result is printed, its logging listens to everything, its exit code is its own. The journal
says what it recorded and when its work was done.
"""

import signal
import subprocess
import time
from pathlib import Path

from stage import Stage

STATUS = 7
# What an ending program may wait is half a second. This is for a machine that is very busy.
EXIT_SECONDS = 20.0

PROGRAM = """
BEFORE
import hashlib, logging, os, sys, threading

class Loud(logging.Handler):
    def emit(self, record):
        if record.levelno > logging.DEBUG:
            sys.stderr.write(f"LOUD {record.name} {record.getMessage()}\\n")

logging.basicConfig(level=logging.DEBUG, handlers=[Loud()])
logging.captureWarnings(True)
from tell import client, note, tell

pause, digest = threading.Event(), b""
for number in range(STEPS):
    digest = hashlib.sha256(digest).digest()
    print(number, digest.hex())
    tell("running")
    pause.wait(0.05)
AFTER
tell("ending")
sys.stdout.write("done")
note("done", os.getpid())
sys.exit(7)
"""


def text(steps: int = 20, before: str = "", after: str = "") -> str:
    """Return a host that takes so many steps of a twentieth of a second."""
    program = PROGRAM.replace("STEPS", str(steps)).replace("AFTER", after)
    return program.replace("BEFORE", before)


def printed(steps: int = 20) -> bytes:
    """Return what it prints, computed here."""
    import hashlib

    digest, lines = b"", []
    for number in range(steps):
        digest = hashlib.sha256(digest).digest()
        lines.append(f"{number} {digest.hex()}\n")
    return "".join([*lines, "done"]).encode()


class Host:
    """The host on a stage; after its run everything about it was looked at."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._hosts = 0

    def start(self, steps: int = 20, before: str = "", after: str = "", **variables: str) -> "Run":
        """Start it; `before` and `after` are code that stands around its work."""
        self._hosts += 1
        program = self.stage.write(f"host{self._hosts}.py", text(steps, before, after))
        return Run(self.stage, self.stage.start(program, variables=variables), steps)

    def run(self, steps: int = 20, before: str = "", **variables: str) -> None:
        """Start it and wait for its end."""
        self.start(steps, before, **variables).end()


class Run:
    """One run of the host."""

    def __init__(self, stage: Stage, program: subprocess.Popen[bytes], steps: int) -> None:
        self.stage = stage
        self.program = program
        self._steps = steps
        self._before = len(_read(stage.directory / "stdout"))
        self._warned = len(_read(stage.directory / "stderr"))

    def end(self) -> None:
        """Wait for its end, within the bound, and look at everything it left."""
        done = self.stage.count("done") + 1
        self.stage.until(done=done)
        begun = time.monotonic()
        status = self.program.wait(EXIT_SECONDS)
        assert time.monotonic() - begun < EXIT_SECONDS
        assert status == STATUS, self.stage.output
        assert _read(self.stage.directory / "stdout")[self._before :] == printed(self._steps)
        said = _read(self.stage.directory / "stderr")[self._warned :].decode()
        assert said == "" or (said.startswith("getpatter sends") and said.count("\n") == 3), said

    def kill(self) -> None:
        """End it as nothing can be ended more suddenly."""
        self.program.send_signal(signal.SIGKILL)
        assert self.program.wait(EXIT_SECONDS) == -signal.SIGKILL


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
