"""Programs under strace: the system calls a piece of code makes, and `pass` in its place does not.

A program marks where the code begins; what the same program does from there with `pass` is taken
off, so that what is left is the code's doing. Reads the trace only; judges by a list of what is
harmless, so that a call nobody thought of counts as harm.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

MARK = "/the-code-begins-here"
# Loaded before the mark: a program has them anyway, or they are Python's own.
PREAMBLE = f"import asyncio, gc, math, os, sys\nos.access({MARK!r}, os.F_OK)\n"

# `1234 openat(AT_FDCWD, "/path", O_RDONLY) = 3`; the second half of a call that was interrupted by
# another thread's begins with `<...` and is skipped.
_LINE = re.compile(r"\d+\s+(?P<name>\w+)\((?P<arguments>.*)")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')

# They look, and change nothing.
_LOOKS = frozenset(
    {"access", "faccessat", "faccessat2", "getcwd", "lstat", "newfstatat", "readlink"}
    | {"readlinkat", "stat", "statfs", "statx"}
)
_OPENS = frozenset({"open", "openat", "openat2"})
_WRITES = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE")
# The end of a process, which is Python's.
_ENDS = frozenset({"exit", "exit_group"})
_NETWORK = frozenset(
    {"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen"}
    | {"recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt"}
    | {"shutdown", "socket", "socketpair"}
)
_PROCESSES = frozenset(
    {"clone", "clone3", "execve", "execveat", "fork", "vfork", "wait4", "waitid"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: its name and its arguments as strace prints them."""

    name: str
    arguments: str

    @property
    def path(self) -> str | None:
        """The first path that it names."""
        found = _PATH.search(self.arguments)
        return None if found is None else found[1]

    @property
    def kind(self) -> str:
        """`look`, `read`, `write`, `network`, `process`, or `end`; what is not known is `other`."""
        if self.name in _OPENS:
            return "write" if any(flag in self.arguments for flag in _WRITES) else "read"
        for kind, names in (
            ("look", _LOOKS),
            ("end", _ENDS),
            ("network", _NETWORK),
            ("process", _PROCESSES),
        ):
            if self.name in names:
                return kind
        # All that is left of strace's file group changes something: mkdir, rename, unlink, chmod …
        return "write" if self.path is not None else "other"


HARMLESS = frozenset({"look", "read", "end"})


def parse(lines: Iterable[str]) -> list[Call]:
    """Return the calls after the mark."""
    calls: list[Call] = []
    is_marked = False
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        call = Call(found["name"], found["arguments"].rpartition(" = ")[0] or found["arguments"])
        if is_marked:
            calls.append(call)
        is_marked = is_marked or call.path == MARK
    assert is_marked, "the program did not get as far as its mark"
    return calls


def made_by(calls: Iterable[Call], baseline: Iterable[Call]) -> list[Call]:
    """Return the calls that the baseline has not, or not as often."""
    known = Counter(baseline)
    made = []
    for call in calls:
        if known[call]:
            known[call] -= 1
        else:
            made.append(call)
    return made


class Strace:
    """Runs programs under strace, in an environment made from scratch."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # A script, not `-c`: so the working directory is no place to import from.
        self._script = directory / "scripts" / "program.py"
        self._script.parent.mkdir()
        self.require()
        self._script.write_text("import sys; print(*sys.path, sep='\\n')", encoding="utf-8")
        done = self._run([sys.executable, str(self._script)], {}, directory)
        #: Where Python looks for modules: it asks these folders whether they changed.
        self.import_path = frozenset(done.stdout.splitlines())

    def require(self) -> None:
        """Fail, never skip, where strace cannot be used: nothing is proven then."""
        try:
            done = self._run([sys.executable, "-c", ""], {}, self._directory)
        except FileNotFoundError:
            pytest.fail("this tier needs strace (Debian: apt-get install strace)")
        if done.returncode:
            pytest.fail(f"strace cannot trace here (is ptrace forbidden?): {done.stderr[-500:]}")

    @property
    def _log(self) -> Path:
        return self._directory / "trace.log"

    def _run(
        self, command: list[str], environment: Mapping[str, str], work: Path
    ) -> "subprocess.CompletedProcess[str]":
        # -f: threads and children; -s: whole paths.
        strace = ["strace", "-f", "-qq", "-s", "4096", "-e", "signal=none", "-o", str(self._log)]
        return subprocess.run(
            [*strace, "-e", "trace=%network,%file,%process", *command],
            check=False,
            # No byte code is written: that would be Python's doing, once.
            env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self, code: str, environment: Mapping[str, str], work: Path) -> list[Call]:
        """Run the code; return what it did from the mark on."""
        self._script.write_text(PREAMBLE + code, encoding="utf-8")
        done = self._run([sys.executable, str(self._script)], environment, work)
        assert done.returncode == 0, done.stderr
        return parse(self._log.read_text(encoding="utf-8", errors="replace").splitlines())

    def doing_of(self, code: str, environment: Mapping[str, str], work: Path) -> list[Call]:
        """Return the system calls that this code makes and `pass` does not."""
        return made_by(self.calls(code, environment, work), self.calls("pass\n", environment, work))
