"""The action `simulate` of `getpatter collector`. Loads nothing of the extra until it runs."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from getpatter.collector.command_error import CommandError

if TYPE_CHECKING:
    import argparse

__all__ = ["HELP", "describe", "run"]

HELP = "make events of invented installs, with the truth about them"
_DAY = 86_400
_MOST_INSTALLS, _MOST_DAYS, _MOST_DAYS_SENT = 1_000_000, 390, 6


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="new directory: a store and truth.json"
    )
    parser.add_argument("--installs", metavar="N", default="1000", help="default: 1000")
    parser.add_argument("--days", metavar="D", default="30", help="default: 30")
    parser.add_argument("--seed", metavar="S", default="1", help="a number (default: 1)")
    parser.add_argument(
        "--until", metavar="DATE", help="the last day, as 2026-01-31 (default: yesterday)"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="send to this collector instead of making a store"
    )


def run(options: argparse.Namespace) -> int:
    """Simulate; return the exit code."""
    from getpatter.collector import clock
    from getpatter.collector.simulate import output
    from getpatter.collector.simulate.program import Simulation
    from getpatter.collector.store import Store

    now = clock.now()
    installs = _number(options.installs, "--installs", 1, _MOST_INSTALLS)
    seed = _number(options.seed, "--seed", 0, 2**63)
    days = _number(options.days, "--days", 1, _MOST_DAYS)
    end = _end(options, days, now)
    try:
        sender = None if options.endpoint is None else output.OverHttp(options.endpoint)
    except output.EndpointError as error:
        raise CommandError(str(error)) from None
    directory = _directory(options.out)
    progress = _Progress()
    with ExitStack() as stack:
        if sender is None:
            store = Store(directory)
            stack.callback(store.close)
            target: output.IntoStore | output.OverHttp = output.IntoStore(store)
        else:
            target = sender
        simulation = Simulation(installs, days, seed, end=end, now=now, take=target.take)
        try:
            simulation.run(progress.say)
            target.end()
        except output.EndpointError as error:
            raise CommandError(str(error), 1) from None
    path = os.path.join(directory, "truth.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(simulation.document(), file, indent=1)
        file.write("\n")
    progress.end()
    print(f"{simulation.sent:,} events of {installs:,} installs; the truth is in {path}")
    return 0


def _number(text: str, flag: str, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
        message = f"{flag} must be a number from {least} to {most}"
        raise CommandError(message)
    return int(text)


def _end(options: argparse.Namespace, days: int, now: int) -> int:
    """Return when the last day ends, in seconds since the epoch."""
    from datetime import date, datetime, timedelta, timezone

    if options.endpoint is not None:
        if options.until is not None or days > _MOST_DAYS_SENT:
            message = (
                f"a collector takes events of the last week: with --endpoint, --days is at most "
                f"{_MOST_DAYS_SENT}, and --until cannot be set"
            )
            raise CommandError(message)
        return now
    if options.until is None:
        return now // _DAY * _DAY
    try:
        last = date.fromisoformat(options.until)
        end = datetime.combine(last + timedelta(days=1), datetime.min.time(), timezone.utc)
    except (ValueError, OverflowError):
        message = "--until must be a date, such as 2026-01-31"
        raise CommandError(message) from None
    moment = int(end.timestamp())
    if not days * _DAY <= moment <= now // _DAY * _DAY + _DAY:
        message = "--until must not be in the future, nor before 1970"
        raise CommandError(message)
    return moment


def _directory(given: str) -> str:
    if not given or "\0" in given:
        message = "--out must name a directory"
        raise CommandError(message)
    directory = os.path.abspath(given)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        if os.listdir(directory):
            message = f"{directory} is not empty"
            raise CommandError(message)
    except OSError as error:
        message = f"{directory}: {error.strerror or type(error).__name__}"
        raise CommandError(message) from None
    return directory


class _Progress:
    """Says how far it is: in one line of a terminal, else in a line for each tenth."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._said = 0.0

    def say(self, share: float, events: int) -> None:
        if self._is_terminal:
            print(f"\r{share:4.0%}  {events:,} events", end="", file=sys.stderr, flush=True)
        elif share >= self._said + 0.1:
            self._said = share
            print(f"{share:4.0%}  {events:,} events", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
