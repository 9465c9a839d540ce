"""The actions of `getpatter collector`. This file loads nothing of the extra until one runs.

Exit codes: 0 done, 1 it did not work, 2 the command line or what it names cannot be used.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from getpatter.collector import ask_command
from getpatter.collector.command_error import CommandError

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable, Mapping

    from getpatter.collector.store import Store

__all__ = ["HELP", "describe", "run"]

#: What the command is for, in the host's list of commands.
HELP = "receive, keep and look at events: a collector of your own"

_NEEDED = "the collector needs more packages: pip install 'getpatter[collector]'"
_LISTEN, _PAGES = "127.0.0.1:8417", "127.0.0.1:8418"
_ID = re.compile("[0-9a-f]{32}")
# What systemd passes begins with descriptor 3: first the ingest listener, then the other one.
_INGEST, _OPERATORS = 3, 4
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the actions to a parser."""
    parser.description = "A collector of your own: one process, one data directory."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        made.add_argument("--data", metavar="DIR", help="data directory (default: this user's)")
        return made

    serve = action("serve", "receive events until SIGTERM")
    serve.add_argument("--listen", metavar="HOST:PORT", default=_LISTEN, help="for clients")
    serve.add_argument("--pages", metavar="HOST:PORT", default=_PAGES, help="for operators")
    serve.add_argument(
        "--recommend", metavar="FILE", help="recommended configuration, read again on SIGHUP"
    )
    serve.add_argument(
        "--reserve", metavar="SIZE", help="disk space to keep free (default: 512M, at least 5 %%)"
    )
    status = action("status", "what is kept, and whether a collector runs")
    status.add_argument("--json", action="store_true", help="as JSON")
    erase = action("erase", "erase an install, and refuse what it sends later")
    erase.add_argument("install", metavar="INSTALL", help="its id, 32 hexadecimal digits")
    ask_command.describe(action)
    action("compact", "rewrite the store: what was deleted leaves the disk")
    backup = action("backup", "copy the store into a new directory, also while it runs")
    backup.add_argument("target", metavar="DIR")
    restore = action("restore", "put a backup in the place of the store")
    restore.add_argument("source", metavar="DIR")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run an action; return its exit code."""
    os.umask(0o077)  # what is written is this user's alone
    try:
        try:
            from getpatter.collector import server  # noqa: F401 - only to see whether it can be
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("getpatter"):
                raise
            raise CommandError(_NEEDED) from None
        directory = _directory(options.data)
        if options.action == "serve":
            return _serve(options, directory, environ)
        return _ACTIONS[options.action](options, directory)
    except CommandError as failure:
        print(f"getpatter collector: {failure}", file=sys.stderr)
        return failure.code


def _directory(given: str | None) -> str:
    if given is None:
        import platformdirs

        return os.path.join(platformdirs.user_data_dir("getpatter", appauthor=False), "collector")
    if not given or "\0" in given:
        message = "--data must name a directory"
        raise CommandError(message)
    return os.path.abspath(given)


def _open(directory: str, *, make: bool = False) -> Store:
    from getpatter.collector.store import Store, StoreError

    if not make and not os.path.isfile(os.path.join(directory, "hot.duckdb")):
        message = f"there is no store in {directory}"
        raise CommandError(message)
    try:
        store = Store(directory)
    except StoreError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        message = f"{directory}: {error.strerror or type(error).__name__}"
        raise CommandError(message) from None
    for warning in store.warnings:
        print(f"getpatter collector: {warning}", file=sys.stderr)
    return store


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


def _serve(options: argparse.Namespace, directory: str, environ: Mapping[str, str]) -> int:
    from getpatter.collector import recommend, server
    from getpatter.collector.judge import Judge

    reserve = _size(options.reserve)
    if options.recommend is not None:
        try:
            recommend.read(options.recommend, Judge())
        except recommend.RecommendationError as error:
            raise CommandError(str(error)) from None
    with ExitStack() as stack:
        passed = _passed_sockets(environ)
        listen = stack.enter_context(passed.get(_INGEST) or _bind(options.listen, "--listen"))
        pages = stack.enter_context(passed.get(_OPERATORS) or _bind(options.pages, "--pages"))
        store = _open(directory, make=True)
        stack.callback(store.close)
        chosen = server.Options(listen, pages, reserve=reserve, recommend=options.recommend)
        return server.serve(chosen, store, lambda text: print(text, flush=True))


def _work(
    directory: str, request: dict[str, Any], alone: Callable[[Store, Callable[[str], None]], Any]
) -> Any:  # noqa: ANN401 - JSON
    """Have the running collector carry out a command, or carry it out where none runs."""
    from getpatter.collector import control

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        for line in control.ask(directory, request):
            if "progress" in line:
                say(line["progress"])
            elif "error" in line:
                raise CommandError(line["error"], 1)
            else:
                return line["done"]
        message = "the collector ended before it was done"
        raise CommandError(message, 1)
    except control.NotRunning:
        store = _open(directory)
    try:
        return alone(store, say)
    except control.ControlError as error:
        raise CommandError(str(error), 1) from None
    finally:
        store.close()


def _status(options: argparse.Namespace, directory: str) -> int:
    from getpatter.collector import operate

    facts = _work(
        directory,
        {"do": "status"},
        lambda store, _: {**operate.status(store), "running": False},
    )
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, value in facts.items():
        shown = (
            {True: "yes", False: "no", None: "-"}.get(value, value)
            if not isinstance(value, int) or isinstance(value, bool)
            else f"{value:,}"
        )
        print(f"{name.replace('_', ' '):18} {shown}")
    return 0


def _erase(options: argparse.Namespace, directory: str) -> int:
    from getpatter.collector import operate

    if not _ID.fullmatch(options.install):
        message = "an install id is 32 hexadecimal digits"
        raise CommandError(message)
    done = _work(
        directory,
        {"do": "erase", "install": options.install},
        lambda store, _: operate.erase(store, options.install),
    )
    print(f"receipt {done['receipt']} {done['state']}")
    return 0


def _compact(_: argparse.Namespace, directory: str) -> int:
    from getpatter.collector import operate

    done = _work(directory, {"do": "compact"}, lambda store, _: operate.compact(store))
    print(f"{done['before']:,} bytes before, {done['after']:,} after")
    return 0


def _backup(options: argparse.Namespace, directory: str) -> int:
    from getpatter.collector import operate

    target = os.path.abspath(options.target)
    done = _work(
        directory,
        {"do": "backup", "target": target},
        lambda store, say: operate.backup(store, target, say),
    )
    print(f"backup in {done['target']}, {done['months']} closed months")
    return 0


def _restore(options: argparse.Namespace, directory: str) -> int:
    from getpatter.collector import operate
    from getpatter.collector.store import StoreError

    try:
        done = operate.restore(os.path.abspath(options.source), directory)
    except StoreError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        message = f"{directory}: {error.strerror or type(error).__name__}"
        raise CommandError(message, 1) from None
    print(f"restored {done['events']:,} events, {done['erased']} installs erased again")
    if not done["are_erasures_known"]:
        print(
            "getpatter collector: the store that was there could not be read: "
            "what was erased from it since the backup is back",
            file=sys.stderr,
        )
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace, str], int]] = {
    "ask": lambda options, directory: ask_command.ask(options, directory, _work),
    "check": lambda options, directory: ask_command.check(options, directory, _work),
    "status": _status,
    "erase": _erase,
    "compact": _compact,
    "backup": _backup,
    "restore": _restore,
}
