"""`getpatter calls`: a diagnostics file as a live timeline, and one call of it as a waterfall."""

from __future__ import annotations

import os
import shutil
import sys
from collections import deque
from typing import TYPE_CHECKING

# What only these actions need is loaded by them: every command describes all commands first.

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from getpatter.calls.event import Event

__all__ = ["HELP", "describe", "run"]

HELP = "read a diagnostics file: a live timeline, a call as a waterfall"
# About two screens: what has just happened.
_LINES = 100


class _Problem(Exception):  # noqa: N818 - a message for a person
    """What is asked for is not there."""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the actions to the parser of `getpatter calls`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    tail = actions.add_parser("tail", help="show events as they come, one line each")
    tail.add_argument("file", metavar="FILE", help="written by JsonLinesSink")
    tail.add_argument("--call", metavar="ID", help="only this call; the begin of its id is enough")
    tail.add_argument("--json", action="store_true", help="the events as they are, a line each")
    tail.add_argument(
        "--lines", type=int, default=_LINES, metavar="N", help=f"begin N lines back ({_LINES})"
    )
    tail.add_argument("--no-follow", action="store_true", help="end where the file ends")
    show = actions.add_parser("show", help="show one call as a waterfall of its stages")
    show.add_argument("file", metavar="FILE", help="written by JsonLinesSink; rotated parts too")
    show.add_argument("--call", metavar="ID", help="the begin of its id is enough; else the last")
    show.add_argument("--html", metavar="OUT", help="write it as one self-contained page")


def run(options: argparse.Namespace) -> int:
    """Run the action; return its exit code: 2 if the file or the call cannot be used."""
    actions: dict[str, Callable[[argparse.Namespace], None]] = {"tail": _tail, "show": _show}
    try:
        actions[options.action](options)
    except FileNotFoundError as error:
        print(f"getpatter: there is no {error.filename}", file=sys.stderr)
        return 2
    except _Problem as problem:
        print(f"getpatter: {problem}", file=sys.stderr)
        return 2
    return 0


def _tail(options: argparse.Namespace) -> None:
    from getpatter.calls.follow import follow
    from getpatter.calls.timeline import Timeline, parse

    timeline = Timeline(is_coloured=sys.stdout.isatty())

    def show(line: str) -> None:
        event = parse(line)
        if event is not None and event.session.startswith(options.call or ""):
            print(line if options.json else timeline.line(event))

    recent: deque[str] = deque(maxlen=max(0, options.lines))
    is_live = False
    for line in follow(options.file):
        if line is None:
            for earlier in recent:
                show(earlier)
            recent.clear()
            is_live = True
            sys.stdout.flush()
            if options.no_follow:
                return
        elif is_live:
            show(line)
        else:
            recent.append(line)


def _show(options: argparse.Namespace) -> None:
    from getpatter.calls.follow import last_call
    from getpatter.calls.waterfall import render, sessions, waterfall

    events = list(_read(options.file))
    known = sessions([event for event in events if event.type.startswith(("call.", "stage."))])
    if not known:
        message = f"no call in {options.file}"
        raise _Problem(message)
    wanted = known[-1] if options.call is None else _only(options.call, known)
    mine = last_call(events, wanted)
    drawn = waterfall(mine)
    if options.html:
        from getpatter.calls.page import page

        with open(options.html, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(page(drawn, sorted(mine, key=lambda event: event.sequence)))
        print(f"written: {options.html}")
        return
    for line in render(drawn, shutil.get_terminal_size((100, 24)).columns):
        print(line)


def _read(path: str) -> Iterator[Event]:
    from getpatter.calls.follow import parts
    from getpatter.calls.timeline import parse

    for part in parts(path):
        if part != path and not os.path.exists(part):
            continue  # rotated away meanwhile
        with open(part, encoding="utf-8", errors="replace") as file:
            for line in file:
                event = parse(line)
                if event is not None:
                    yield event


def _only(prefix: str, known: list[str]) -> str:
    found = [session for session in known if session.startswith(prefix)]
    if prefix in found:
        return prefix
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} calls begin with {prefix}" if found else f"no call begins with {prefix}"
    shown = ", ".join((found or known)[-10:])
    message = f"{many}; there are: {shown}"
    raise _Problem(message)
