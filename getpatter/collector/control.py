"""The control socket: commands talk to the running collector over a Unix socket (0600).

A line of JSON asks: `{"do": NAME, ...}`. Lines of JSON answer: `{"progress": TEXT}` any number of
times, then `{"done": ...}` or `{"error": TEXT}`. Only this user can open it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Say = Callable[[str], None]
    Action = Callable[[dict[str, Any], Say], Awaitable[Any]]

__all__ = ["ControlError", "NotRunning", "ask", "serve"]

_NAME = "control"
_LINE = 65_536
_LONGEST = 100  # bytes that the path of a Unix socket may have on every system


class ControlError(Exception):
    """What the running collector answers to a command that it cannot carry out."""


class NotRunning(Exception):  # noqa: N818 - no error: the command opens the store itself
    """No collector runs on this data directory."""


def _address(directory: str) -> tuple[str, int | None]:
    """Return a path of the socket that is short enough, and what has to be kept open for it."""
    path = os.path.join(directory, _NAME)
    if len(os.fsencode(path)) <= _LONGEST:
        return path, None
    descriptor = os.open(directory, os.O_RDONLY)
    return f"/proc/self/fd/{descriptor}/{_NAME}", descriptor


async def serve(directory: str, actions: dict[str, Action]) -> asyncio.AbstractServer:
    """Listen; the lock on the store says that a socket that is there is a dead process's."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(reader, writer, actions)
        except (OSError, ValueError):
            return  # the command has gone, or what came is none
        finally:
            writer.close()

    path, descriptor = _address(directory)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, _NAME))
        listener.bind(path)
        os.chmod(os.path.join(directory, _NAME), 0o600)
        return await asyncio.start_unix_server(connected, sock=listener, limit=_LINE)
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, actions: dict[str, Action]
) -> None:
    def say(content: dict[str, Any]) -> None:
        writer.write(orjson.dumps(content) + b"\n")

    request = orjson.loads(await reader.readline())
    action = actions.get(request["do"]) if isinstance(request, dict) else None
    if action is None:
        say({"error": "not a command of this collector: is it another version?"})
        return
    try:
        done = await action(request, lambda text: say({"progress": text}))
    except ControlError as error:
        say({"error": str(error)})
    except Exception as error:  # the boundary: the type only, since a message may quote content
        say({"error": f"it did not work ({type(error).__name__})"})
    else:
        say({"done": done})
    await writer.drain()


def ask(directory: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask the running collector; yield its lines. NotRunning if there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path, descriptor = _address(directory)
        try:
            connection.connect(path)
        finally:
            if descriptor is not None:
                os.close(descriptor)
    except OSError:
        connection.close()
        raise NotRunning from None
    with connection, connection.makefile("rwb") as stream:
        stream.write(orjson.dumps(request) + b"\n")
        stream.flush()
        for line in stream:
            yield orjson.loads(line)
