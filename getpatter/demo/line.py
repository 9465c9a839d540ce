"""One side of a call: frames out and in, in real time, over a connected socket.

A thread sends a frame every 20 ms, silence when nobody speaks, as a telephone line does; the holder
of the line receives. The line owns the socket and the thread: leaving its `with` ends both,
within seconds, whatever the other side does. Shared with the thread are a queue and an event only.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from getpatter.demo.audio import FRAME_BYTES, FRAME_SECONDS, SILENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Line", "LineError"]

_DEAD = 5.0  # seconds without a frame, where 250 are due: the other side hangs
_GOODBYE = 2.0  # seconds in which the other side, once it reads our end, answers with its own


class LineError(OSError):
    """The line broke: a hang-up is none, it ends the frames."""


class Line:
    """A connected socket as a telephone line; use it in a `with`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(_DEAD)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._speech: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._sender = threading.Thread(target=self._send, name="demo line", daemon=True)

    def __enter__(self) -> Self:
        self._sender.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._sender.join(_DEAD)
        # A socket that closes with frames unread or under way resets the connection: the other side
        # would see a failure, where it should see a hang-up.
        with self._connection, suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(_GOODBYE)
            deadline = time.monotonic() + _GOODBYE
            while self._connection.recv(65_536) and time.monotonic() < deadline:
                pass

    def say(self, frame: bytes) -> None:
        """Send this frame after those that wait; never blocks."""
        self._speech.put(frame)

    def frames(self) -> Iterator[bytes]:
        """Yield what arrives, frame by frame, until the other side hangs up."""
        while frame := self._receive():
            yield frame

    def _receive(self) -> bytes:
        received = bytearray()
        while len(received) < FRAME_BYTES:
            try:
                piece = self._connection.recv(FRAME_BYTES - len(received))
            except OSError as error:  # a timeout is one
                message = f"the line is dead: {error}"
                raise LineError(message) from error
            if not piece:
                return b""
            received += piece
        return bytes(received)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            try:
                frame = self._speech.get_nowait()
            except queue.Empty:
                frame = SILENCE
            try:
                self._connection.sendall(frame)
            except OSError:
                return  # the receiving side of this line sees the same, and raises
            due += FRAME_SECONDS
