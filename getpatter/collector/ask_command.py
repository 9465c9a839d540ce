"""`collector ask` and `collector check`: answers in the terminal, and the release gate.

An invalid question ends with a message before the store is opened. `check` ends with 0 not worse,
1 worse, 2 cannot tell; whatever keeps it from an answer is 2, too.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from getpatter.collector.command_error import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from getpatter.collector.store import Store

    Alone = Callable[[Store, Callable[[str], None]], Any]
    #: Has the running collector carry out a request, or does it where none runs.
    Work = Callable[[str, dict[str, Any], Alone], Any]

__all__ = ["ask", "check", "describe"]

_FILTERS = {
    "release": "VERSION", "against": "VERSION", "os": "OS", "carrier": "CARRIER",
    "engine": "ENGINE", "provider": "VENDOR", "direction": "DIRECTION", "since": "DAY",
    "until": "DAY", "by": "NAME",
}  # fmt: skip


def describe(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add both actions to a parser."""
    ask_parser = action("ask", "answer a question; without one, list the questions")
    ask_parser.add_argument("question", metavar="QUESTION", nargs="?")
    _add_filters(ask_parser, tuple(_FILTERS))
    how = ask_parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="as JSON")
    how.add_argument("--csv", action="store_true", help="the rows as CSV")
    gate = action("check", "is a release worse? exit code 0 not worse, 1 worse, 2 cannot tell")
    gate.add_argument("--release", metavar="X", required=True, help="the release to judge")
    gate.add_argument("--against", metavar="Y", required=True, help="the one to compare it with")
    _add_filters(gate, ("os", "carrier", "engine", "provider", "direction", "since", "until"))
    gate.add_argument("--json", action="store_true", help="as JSON")


def _add_filters(parser: argparse.ArgumentParser, names: tuple[str, ...]) -> None:
    texts = {
        "since": "first day, YYYY-MM-DD, or 30d: the last 30 days",
        "by": "a row for each value of this, such as release or os",
        "against": "the release to compare with",
    }
    for name in names:
        parser.add_argument(f"--{name}", metavar=_FILTERS[name], help=texts.get(name))


def _given(options: argparse.Namespace) -> dict[str, str]:
    found = {name: getattr(options, name, None) for name in _FILTERS}
    return {name: value for name, value in found.items() if value is not None}


def _width() -> int:
    return max(shutil.get_terminal_size((100, 24)).columns, 20)


def _reported(done: dict[str, Any]) -> dict[str, Any]:
    if "problem" in done:
        raise CommandError(done["problem"])
    return done


def ask(options: argparse.Namespace, directory: str, work: Work) -> int:
    """Print an answer, or the questions."""
    from getpatter.collector import answering, answers
    from getpatter.collector.answers import text

    if options.question is None:
        listing = answers.listing()
        shown = json.dumps(listing, indent=2) + "\n" if options.json else ""
        sys.stdout.write(shown or text.listing_text(listing, _width()))
        return 0
    given = _given(options)
    try:
        one = answers.check_filters(options.question, given)
    except (answers.QuestionError, answers.FilterError) as error:
        raise CommandError(str(error)) from None
    found = _reported(
        work(
            directory,
            {"do": "ask", "question": one.name, "filters": given},
            lambda store, _: answering.ask(store, one.name, given),
        )
    )
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif options.csv:
        sys.stdout.write(text.csv_text(found))
    else:
        sys.stdout.write(text.table(found, one.question, _width()))
    return 0


def check(options: argparse.Namespace, directory: str, work: Work) -> int:
    """Print whether a release is worse; return 0 not worse, 1 worse, 2 cannot tell."""
    from getpatter.collector import answering, answers
    from getpatter.collector.answers import text

    given = _given(options)
    try:
        answers.check_filters("releases", given)
        found = _reported(
            work(
                directory,
                {"do": "check", "filters": given},
                lambda store, _: answering.check(store, given),
            )
        )
    except (answers.QuestionError, answers.FilterError, CommandError) as error:
        raise CommandError(str(error)) from None
    except Exception as error:  # the gate's boundary: 1 would say that the release is worse
        message = f"it did not work ({type(error).__name__})"
        raise CommandError(message) from None
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write(text.checked_text(found, _width()))
    return int(found["code"])
