"""The sink's process as its parent sees it: ports in a mode, and reports of what came."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

__all__ = ["Report", "Sink"]


@dataclass(frozen=True, slots=True)
class Report:
    """What came through a port; see `sink.Door.report`."""

    requests: int
    events: int
    distinct: int
    uids: list[str]
    twice: int
    wire_twice: int
    seen: list[str]
    sizes: list[list[int]]


class Sink:
    """The sink's process. May be used from several threads: one command at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sink.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _say(self, **command: object) -> dict[str, object]:
        with self._lock:
            if self._process.stdin is None or self._process.stdout is None:
                raise RuntimeError
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer: dict[str, object] = json.loads(self._process.stdout.readline())
            return answer

    def open(self, mode: str = "fine") -> int:
        """Return a new port in this mode."""
        port = self._say(do="open", mode=mode)["port"]
        return port if isinstance(port, int) else 0

    def change(self, port: int, mode: str) -> None:
        """Bring a port into another mode."""
        self._say(do="mode", port=port, mode=mode)

    def report(self, port: int) -> Report:
        """Return what came through a port so far."""
        return Report(**self._say(do="report", port=port))  # type: ignore[arg-type]

    def drop(self, port: int) -> None:
        """Close a port and forget what came."""
        self._say(do="drop", port=port)

    def __enter__(self) -> "Sink":  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
