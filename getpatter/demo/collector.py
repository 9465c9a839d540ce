"""The collector of the demo: a process of its own, as an operator would start it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from urllib.request import urlopen

__all__ = ["Collector", "CollectorError"]

_COMMAND = (sys.executable, "-m", "getpatter", "collector")
_SECONDS = 60


class CollectorError(Exception):
    """It did not start; the message is its output."""


class Collector:
    """`getpatter collector serve` on free ports of loopback, for as long as the block."""

    def __init__(self, directory: Path, columns: int) -> None:
        self._directory = directory
        self._environ = {
            "HOME": str(directory.parent),
            "PATH": os.defpath,
            "COLUMNS": str(columns),
            "NO_COLOR": "1",
        }
        self._process = self._run(
            *("serve", "--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0", "--reserve", "1M")
        )
        lines = [self._process.stdout.readline().split() for _ in range(2)]  # type: ignore[union-attr] # a pipe
        if not all(lines):
            raise CollectorError(self._process.communicate()[1].strip())
        self.endpoint, self._pages = (line[1] for line in lines)

    def _run(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*_COMMAND, *arguments, "--data", str(self._directory)],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str) -> str:
        """Return what it answers."""
        return self._said("ask", question)

    def report(self, path: Path) -> str:
        """Have its pages written into a file; return what the command prints."""
        return self._said("report", "--out", str(path))

    def _said(self, *arguments: str) -> str:
        with self._run(*arguments) as command:
            said, problem = command.communicate(timeout=_SECONDS)
        return said + problem

    def count(self, what: str) -> int:
        """Return one of its own counts: `requests`, `events`, `refused_events`."""
        with urlopen(f"{self._pages}metrics", timeout=_SECONDS) as answer:  # noqa: S310 - ours
            text = answer.read().decode()
        found = re.findall(rf"^patter_collector_{what}_total(?:{{.*}})? (.+)$", text, re.MULTILINE)
        return int(sum(map(float, found)))

    def __enter__(self) -> "Collector":  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=_SECONDS)
