"""`getpatter calls`: a diagnostics file as a list of calls, a waterfall of one, a timeline."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from getpatter.telemetry._terminal import has_colours, say, say_json

# What only these actions need is loaded by them: every command describes all commands first.

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from getpatter.calls.view.summary import Summary

__all__ = ["HELP", "describe", "run"]

HELP = "read a diagnostics file: a list of calls, a call as a waterfall, a live timeline"
# About two screens: what has just happened.
_LINES = 100
_FILE = "written by JsonLinesSink, rotated parts too; - is standard input"
# Of the calls that an ID may have meant.
_MOST_SHOWN = 10
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class _Problem(Exception):  # noqa: N818 - a message for a person
    """What is asked for is not there."""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the actions to the parser of `getpatter calls`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list the calls, one line each, and their stages")
    listed.add_argument("file", metavar="FILE", help=_FILE)
    listed.add_argument("--failed", action="store_true", help="only calls that failed")
    listed.add_argument(
        "--since", metavar="WHEN", help="only calls that began since: 30m, 2h, 1d, or a date"
    )
    listed.add_argument(
        "--slower",
        action="append",
        metavar="STAGE=MS",
        help="only calls in which this stage took longer at least once; `answer` counts as a stage",
    )
    listed.add_argument("--json", action="store_true", help="as one JSON object")
    tail = actions.add_parser("tail", help="show events as they come, one line each")
    tail.add_argument("file", metavar="FILE", help="written by JsonLinesSink")
    tail.add_argument("--call", metavar="ID", help="only this call; an ID prefix is enough")
    tail.add_argument("--json", action="store_true", help="the events unchanged, one per line")
    tail.add_argument(
        "--lines",
        type=int,
        default=_LINES,
        metavar="N",
        help=f"start with the last N lines ({_LINES})",
    )
    tail.add_argument("--no-follow", action="store_true", help="stop at the end of the file")
    show = actions.add_parser("show", help="show one call as a waterfall of its stages")
    show.add_argument("file", metavar="FILE", help=_FILE)
    which = show.add_mutually_exclusive_group()
    which.add_argument("--call", metavar="ID", help="an ID prefix is enough; else the last call")
    which.add_argument("--failed", action="store_true", help="the last call that failed")
    show.add_argument("--html", metavar="OUT", help="write it as one self-contained page")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the action; return its exit code: 2 if the file or the call cannot be used."""
    try:
        if options.action == "list":
            _list(options)
        elif options.action == "tail":
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


def _tail(options: argparse.Namespace, *, is_coloured: bool) -> None:
    from getpatter.calls.view.follow import follow
    from getpatter.calls.view.reading import Tail

    tail = Tail(options, is_coloured=is_coloured)
    is_live = False
    for line in follow(options.file):
        if line is not None:
            if is_live:
                tail.show([line])
            else:
                tail.remember(line)
            continue
        missing = "" if is_live else tail.begin()
        if options.no_follow and missing:
            raise _Problem(missing)
        if missing:
            say(f"getpatter: {missing} yet", stream=sys.stderr)
        is_live = True
        sys.stdout.flush()
        if options.no_follow:
            return


def _list(options: argparse.Namespace) -> None:
    import json

    from getpatter.calls.view.calls_of import by_call
    from getpatter.calls.view.reading import Reader
    from getpatter.calls.view.summary import SummingUp, as_json, has_stage, table

    since_us = _since(options.since) if options.since else float("-inf")
    slower = [_limit(text) for text in options.slower or ()]
    known = [call.summary() for call in by_call(Reader(options.file).milestones(), SummingUp)]
    if not known:
        raise _Problem(_no_call(options.file))
    for stage, _ in slower:
        if not has_stage(known, stage):
            message = f"no call in {options.file} has a stage {stage}"
            raise _Problem(message)

    def is_wanted(call: Summary) -> bool:
        return (
            (call.is_failed or not options.failed)
            and call.begin_us >= since_us
            and all(call.is_slower(stage, ms) for stage, ms in slower)
        )

    wanted = [call for call in known if is_wanted(call)]
    if options.json:
        say_json(json.dumps(as_json(wanted)))
        return
    if wanted:
        say("\n".join(table(wanted, _columns(None))))
    if len(wanted) < len(known):
        say(f"{len(wanted):,} of {len(known):,} calls", stream=sys.stderr)


def _since(text: str) -> int:
    """Return a moment, or one so long ago, in microseconds since 1970."""
    number, unit = text[:-1], text[-1:]
    try:
        if unit in _UNITS and number.replace(".", "", 1).isdecimal():
            at = datetime.now().astimezone() - timedelta(seconds=float(number) * _UNITS[unit])
        else:
            at = datetime.fromisoformat(text.lower().replace("z", "+00:00")).astimezone()
        return round(at.timestamp() * 1e6)
    except (ValueError, OverflowError, OSError):
        message = f"--since {text}: give a time ago (30m, 2h, 1d) or a date (2026-11-28T14:30)"
        raise _Problem(message) from None


def _limit(text: str) -> tuple[str, float]:
    """Return the stage and the milliseconds of `STAGE=MS`."""
    stage, _, ms = text.partition("=")
    try:
        number = float(ms)
    except ValueError:
        number = -1
    if not stage or not number >= 0:
        message = f"--slower {text}: give a stage and milliseconds, as in llm=500"
        raise _Problem(message)
    return stage, number


def _no_call(path: str) -> str:
    return f"no call in {path}"


def _show(options: argparse.Namespace) -> None:
    from getpatter.calls.view.calls_of import Head, by_call, is_call, is_failed
    from getpatter.calls.view.drawing import render
    from getpatter.calls.view.reading import Reader
    from getpatter.calls.view.waterfall import waterfall

    reader = Reader(options.file)
    known: list[list[Head]] = by_call(reader.heads(), list)
    known = [call for call in known if is_call(call)]
    if not known:
        raise _Problem(_no_call(options.file))
    if options.failed:
        known = [call for call in known if is_failed(call)]
        if not known:
            message = f"no call in {options.file} failed"
            raise _Problem(message)
    if options.call is not None:
        wanted = _only(options.call, list(dict.fromkeys(call[0].session for call in known)))
        known = [call for call in known if call[0].session == wanted]
    mine = reader.events(known[-1])
    drawn = waterfall(mine)
    if options.html:
        from getpatter.calls.private_file import PrivateFile
        from getpatter.calls.view.page import page

        if os.path.exists(options.html) and _is_read(options.html, options.file):
            message = f"{options.html} is the file of the calls: name another one for the page"
            raise _Problem(message)
        content = page(drawn, sorted(mine, key=lambda event: event.sequence))
        with PrivateFile(options.html) as file:
            file.replace(content.encode("utf-8", "backslashreplace"))
        say(f"written: {options.html}")
        return
    for line in render(drawn, _columns(100) or 100):
        say(line)


def _columns(otherwise: int | None) -> int | None:
    """Return the width of the terminal; where there is none and none is set, the other one."""
    return shutil.get_terminal_size((otherwise or 0, 24)).columns or otherwise


def _is_read(path: str, source: str) -> bool:
    from getpatter.calls.view.follow import parts

    return source != "-" and any(
        os.path.samefile(path, part) for part in parts(source) if os.path.exists(part)
    )


def _only(prefix: str, known: list[str]) -> str:
    found = [session for session in known if session.startswith(prefix)]
    if prefix in found:
        return prefix
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} calls begin with {prefix}" if found else f"no call begins with {prefix}"
    candidates = found or known
    more = len(candidates) - _MOST_SHOWN
    text = f"the last {_MOST_SHOWN} of {len(candidates):,} are" if more > 0 else "there are"
    message = f"{many}; {text}: {', '.join(candidates[-_MOST_SHOWN:])}"
    raise _Problem(message)
