"""`getpatter calls`: a diagnostics file as a live timeline, and one call of it as a waterfall."""

from __future__ import annotations

import os
import shutil
import sys
from collections import deque
from typing import TYPE_CHECKING

from getpatter.telemetry._terminal import has_colours, say, say_json

# What only these actions need is loaded by them: every command describes all commands first.

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

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
    tail.add_argument("--call", metavar="ID", help="only this call; an ID prefix is enough")
    tail.add_argument("--json", action="store_true", help="the events as they are, a line each")
    tail.add_argument(
        "--lines", type=int, default=_LINES, metavar="N", help=f"begin N lines back ({_LINES})"
    )
    tail.add_argument("--no-follow", action="store_true", help="end where the file ends")
    show = actions.add_parser("show", help="show one call as a waterfall of its stages")
    show.add_argument("file", metavar="FILE", help="written by JsonLinesSink; rotated parts too")
    show.add_argument("--call", metavar="ID", help="an ID prefix is enough; else the last call")
    show.add_argument("--html", metavar="OUT", help="write it as one self-contained page")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the action; return its exit code: 2 if the file or the call cannot be used."""
    try:
        if options.action == "tail":
            _tail(options, is_coloured=has_colours(sys.stdout, environ))
        else:
            _show(options)
    except FileNotFoundError as error:
        say(f"getpatter: there is no {error.filename}", stream=sys.stderr)
        return 2
    except _Problem as problem:
        say(f"getpatter: {problem}", stream=sys.stderr)
        return 2
    return 0


class _Reader:
    """Reads lines as events. An event that cannot be is left out, which is said once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._has_said = False

    def read(self, line: str) -> Event | None:
        """Return the event of a line; None for one that is none."""
        from getpatter.calls.timeline import TYPE_ID, parse

        event = parse(line)
        if event is None and TYPE_ID in line and not self._has_said:
            self._has_said = True
            message = f"getpatter: {self._path} has events that cannot be; they are left out"
            say(message, stream=sys.stderr)
        return event


def _tail(options: argparse.Namespace, *, is_coloured: bool) -> None:
    from getpatter.calls.follow import follow
    from getpatter.calls.timeline import Timeline

    timeline = Timeline(is_coloured=is_coloured)
    reader = _Reader(options.file)

    def show(line: str) -> None:
        event = reader.read(line)
        if event is None or not event.session.startswith(options.call or ""):
            return
        if options.json:
            say_json(line)
        else:
            say(timeline.line(event), has_colours=is_coloured)

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
        say(f"written: {options.html}")
        return
    for line in render(drawn, shutil.get_terminal_size((100, 24)).columns):
        say(line)


def _read(path: str) -> Iterator[Event]:
    from getpatter.calls.follow import parts

    reader = _Reader(path)
    for part in parts(path):
        if part != path and not os.path.exists(part):
            continue  # rotated away meanwhile
        with open(part, encoding="utf-8", errors="replace") as file:
            for line in file:
                event = reader.read(line)
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
