"""The action `serve`: its flags, its sockets. Loads nothing of the extra until it runs."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

from getpatter.collector.command_error import CommandError

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Mapping

    from getpatter.collector.store import Store

__all__ = ["describe", "run"]

_LISTEN, _PAGES = "127.0.0.1:8417", "127.0.0.1:8418"
# What systemd passes begins with descriptor 3: first the ingest listener, then the other one.
_INGEST, _OPERATORS = 3, 4
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--listen", metavar="HOST:PORT", default=_LISTEN, help="for clients")
    parser.add_argument("--pages", metavar="HOST:PORT", default=_PAGES, help="for operators")
    parser.add_argument(
        "--host", metavar="NAME", action="append", default=[], help="a name of the pages' address"
    )
    parser.add_argument(
        "--recommend", metavar="FILE", help="recommended configuration, read again on SIGHUP"
    )
    parser.add_argument(
        "--reserve", metavar="SIZE", help="disk space to keep free (default: 512M, at least 5 %%)"
    )


def _address(text: str, flag: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        message = f"{flag} must be HOST:PORT"
        raise CommandError(message)
    return host, int(port)


def _bind(text: str, flag: str) -> socket.socket:
    from getpatter.collector import server

    host, port = _address(text, flag)
    try:
        return server.bind(host, port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        message = f"cannot listen on {text}: {reason}"
        raise CommandError(message) from None


def _passed_sockets(environ: Mapping[str, str]) -> dict[int, socket.socket]:
    """Return the sockets that systemd has opened for this process: descriptor → socket."""
    import socket

    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not re.fullmatch("[0-9]{1,3}", count):
        return {}
    passed = range(_INGEST, _INGEST + min(int(count), 2))
    try:
        return {descriptor: socket.socket(fileno=descriptor) for descriptor in passed}
    except OSError:
        message = "LISTEN_FDS promises sockets, and there are none"
        raise CommandError(message) from None


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch("([0-9]{1,15})([KMG]?)", text.upper())
    if not found:
        message = "--reserve must be a size, such as 512M"
        raise CommandError(message)
    return int(found[1]) * _UNITS[found[2]]


def run(
    options: argparse.Namespace,
    directory: str,
    environ: Mapping[str, str],
    open_store: Callable[[], Store],
) -> int:
    """Serve until SIGTERM; return the exit code."""
    from getpatter.collector import access, recommend, server
    from getpatter.collector.judge import EventJudge

    reserve = _size(options.reserve)
    if options.recommend is not None:
        try:
            recommend.read(options.recommend, EventJudge())
        except recommend.RecommendationError as error:
            raise CommandError(str(error)) from None
    with ExitStack() as stack:
        passed = _passed_sockets(environ)
        listen = stack.enter_context(passed.get(_INGEST) or _bind(options.listen, "--listen"))
        pages = stack.enter_context(passed.get(_OPERATORS) or _bind(options.pages, "--pages"))
        if not access.is_loopback(pages) and not access.names(directory):
            message = "--pages is not loopback, and there is no token: getpatter collector token"
            raise CommandError(message)
        store = open_store()
        stack.callback(store.close)
        chosen = server.Options(
            listen, pages, reserve=reserve, recommend=options.recommend, hosts=options.host
        )
        return server.serve(chosen, store, lambda text: print(f"{text}\n", end="", flush=True))
