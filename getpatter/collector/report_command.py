"""`collector report`: the pages as a file, or what may be published. Loads nothing of the extra."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from typing import TYPE_CHECKING, Any

from getpatter.collector.command_error import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from getpatter.collector.store import Store

    Alone = Callable[[Store, Callable[[str], None]], Any]
    #: Has the running collector carry out a request, or does it where none runs.
    Work = Callable[[str, dict[str, Any], Alone], Any]

__all__ = ["HELP", "describe", "run"]

HELP = "write the pages as one HTML file, or with --public what may be published"
_WEEK = re.compile(r"([0-9]{4}-W[0-9]{2})\.json")


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--public",
        action="store_true",
        help="tables of installs that may be published, a JSON and a CSV file for each closed week",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        required=True,
        help="the file; with --public a directory, in which a week that is there stays as it is",
    )


def run(options: argparse.Namespace, directory: str, work: Work) -> int:
    """Write the files; print the name of each."""
    target = os.path.abspath(options.out)
    try:
        if options.public:
            _publish(target, directory, work)
        else:
            _write(target, work(directory, {"do": "report"}, _report))
            print(target)
    except OSError as error:
        message = f"{target}: {error.strerror or type(error).__name__}"
        raise CommandError(message) from None
    return 0


def _report(store: Store, _: Callable[[str], None]) -> str:
    from functools import partial

    from getpatter.collector import answering
    from getpatter.collector.pages import report

    return report(partial(answering.ask, store))


def _publish(target: str, directory: str, work: Work) -> None:
    """Write the weeks that are not there yet."""
    from getpatter.collector import clock, public

    os.makedirs(target, exist_ok=True)
    known = [found[1] for name in os.listdir(target) if (found := _WEEK.fullmatch(name))]
    weeks = work(
        directory,
        {"do": "public", "known": known},
        lambda store, _: public.weeks(store, known, clock.now()),
    )
    for week in weeks:
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(public.csv_rows(week))
        # JSON comes last: it says that the week is there.
        for kind, text in (
            ("csv", lines.getvalue()),
            ("json", json.dumps(week, indent=2) + "\n"),
        ):
            path = os.path.join(target, f"{week['week']}.{kind}")
            _write(path, text)
            print(path)
    if not weeks:
        print("nothing new: no further week is closed, or has enough installs")


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
