"""The caller of the demo's call: what it does, and how it runs in a process of its own.

The process (`python -m getpatter.demo.caller HOST PORT SENTENCE…`) prints what it heard as JSON and
ends with 0, also if the agent hung up first. Its parent process sees its errors, and outlives it.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.demo.line import Line
from getpatter.demo.listening import PATIENCE, UtteranceFinder, listen
from getpatter.demo.speech import Voice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CallerError", "Heard", "accept", "answers_to", "calling", "main", "speak_to"]

_START = 20.0  # seconds for the process to start and load its voice on a slow, cold machine
_ANSWER_PAUSE = 0.5  # seconds of silence that end an answer: the caller does not hurry


class CallerError(RuntimeError):
    """The caller's process failed; the message has what it wrote."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer as the caller had it, in seconds."""

    sentence: str  # what the caller had said
    answer_seconds: float  # from the first voiced frame that arrived to the last


def speak_to(address: tuple[str, int], sentences: Sequence[str], voice: Voice) -> list[Heard]:
    """Be the caller: say each sentence, wait for its answer, then hang up.

    Returns the answers that came; they are fewer than the sentences if the agent hung up first.
    """
    heard: list[Heard] = []
    finder = UtteranceFinder(pause=_ANSWER_PAUSE)
    with Line(socket.create_connection(address, timeout=PATIENCE)) as line:
        for sentence in sentences:
            voice.speak(sentence, line.say)
            answer = listen(line, finder)
            if answer is None:
                break
            heard.append(Heard(sentence, answer.seconds))
    return heard


@contextmanager
def calling(address: tuple[str, int], sentences: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the caller's process; at the end it has ended, by itself or killed."""
    host, port = address
    with subprocess.Popen(
        [sys.executable, "-m", "getpatter.demo.caller", host, str(port), *sentences],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            yield process
        finally:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def accept(listener: socket.socket, caller: subprocess.Popen[str]) -> socket.socket:
    """Return the caller's connection; raise what the process wrote if it ends without one."""
    deadline = time.monotonic() + _START
    listener.settimeout(0.1)  # how soon we see that the process has ended
    while time.monotonic() < deadline and caller.poll() is None:
        with suppress(TimeoutError):
            return listener.accept()[0]
    if caller.poll() is None:
        caller.kill()
    answers_to(caller)
    message = "the caller ended without a call"
    raise CallerError(message)


def answers_to(caller: subprocess.Popen[str]) -> list[Heard]:
    """Return what the caller's process printed at its end."""
    try:
        output, errors = caller.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        caller.kill()
        output, errors = caller.communicate()
    if caller.returncode:
        message = f"the caller's process failed ({caller.returncode}):\n{errors}"
        raise CallerError(message)
    return [Heard(**heard) for heard in json.loads(output)]


def main(arguments: Sequence[str]) -> int:
    """Call, speak, hang up; return the exit status."""
    host, port, *sentences = arguments
    heard = speak_to((host, int(port)), sentences, Voice())
    print(json.dumps([dataclasses.asdict(answer) for answer in heard]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
