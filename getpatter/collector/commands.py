"""The actions of `getpatter collector`. This file loads nothing of the extra until one runs.

Exit codes: 0 done, 1 it did not work, 2 the command line or what it names cannot be used.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from getpatter.collector import ask_command, report_command, serve_command
from getpatter.collector.command_error import CommandError
from getpatter.collector.simulate import command as simulate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from getpatter.collector.store import Store

__all__ = ["HELP", "describe", "run"]

#: What the command is for, in the host's list of commands.
HELP = "receive, keep and look at events: a collector of your own"

_NEEDED = "the collector needs more packages: pip install 'getpatter[collector]'"
_ID = re.compile("[0-9a-f]{32}")


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the actions to a parser."""
    parser.description = "A collector of your own: one process, one data directory."
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        made.add_argument("--data", metavar="DIR", help="data directory (default: this user's)")
        return made

    serve = action("serve", "receive events until SIGTERM")
    serve_command.describe(serve)
    status = action("status", "what is kept, and whether a collector runs")
    status.add_argument("--json", action="store_true", help="as JSON")
    erase = action("erase", "erase an install, and refuse what it sends later")
    erase.add_argument("install", metavar="INSTALL", help="its id, 32 hexadecimal digits")
    ask_command.describe(action)
    token = action("token", "make a token for the pages and print it")
    token.add_argument("--remove", metavar="NAME", help="remove the token of that name instead")
    token.add_argument("--list", action="store_true", help="print the names of the tokens instead")
    action("compact", "rewrite the store: what was deleted leaves the disk")
    backup = action("backup", "copy the store into a new directory, also while it runs")
    backup.add_argument("target", metavar="DIR")
    restore = action("restore", "put a backup in the place of the store")
    restore.add_argument("source", metavar="DIR")
    restore.add_argument(
        "--erasures", metavar="FILE", help="erase from it what this file names, too"
    )
    report_command.describe(action("report", report_command.HELP))
    simulate.describe(actions.add_parser("simulate", help=simulate.HELP, description=simulate.HELP))


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
        if options.action == "simulate":
            return simulate.run(options)
        directory = _directory(options.data)
        if options.action == "serve":
            return serve_command.run(
                options, directory, environ, lambda: _open(directory, make=True)
            )
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
    from getpatter.collector import erasure
    from getpatter.collector.store import Store, StoreError
    from getpatter.collector.tombstones import TombstoneError

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
    try:
        erasure.catch_up(store)
    except TombstoneError as error:
        store.close()
        raise CommandError(str(error)) from None
    except OSError as error:
        store.close()
        message = f"{directory}: {error.strerror or type(error).__name__}"
        raise CommandError(message) from None
    return store


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
        message = "an install ID is 32 hexadecimal digits"
        raise CommandError(message)
    done = _work(
        directory,
        {"do": "erase", "install": options.install},
        lambda store, _: operate.erase(store, options.install),
    )
    print(f"receipt {done['receipt']} {done['state']}")
    return 0


def _token(options: argparse.Namespace, directory: str) -> int:
    from getpatter.collector import access

    try:
        if options.list:
            print("".join(f"{name}\n" for name in access.names(directory)), end="")
        elif options.remove is None:
            print(access.add_token(directory))
        elif not access.remove_token(directory, options.remove):
            message = "there is no token of that name: see --list"
            raise CommandError(message, 1)
    except OSError as error:
        message = f"{directory}: {error.strerror or type(error).__name__}"
        raise CommandError(message) from None
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
    from getpatter.collector.tombstones import TombstoneError

    try:
        done = operate.restore(os.path.abspath(options.source), directory, options.erasures)
    except (StoreError, TombstoneError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        message = f"{error.filename or directory}: {error.strerror or type(error).__name__}"
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
    "report": lambda options, directory: report_command.run(options, directory, _work),
    "status": _status,
    "erase": _erase,
    "token": _token,
    "compact": _compact,
    "backup": _backup,
    "restore": _restore,
}
