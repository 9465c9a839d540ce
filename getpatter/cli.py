"""The `getpatter` command. Never sends an event itself, and never shows a traceback.

Exit codes: 0 done, 1 it did not work, 2 the command line or what it names cannot be used.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from getpatter._version import __version__
from getpatter.calls.view import commands as calls
from getpatter.collector import commands as collector
from getpatter.integrations import installed
from getpatter.telemetry import commands, env
from getpatter.telemetry._terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, Any, NoReturn

__all__ = ["main"]

_EXAMPLES = """\
examples:
  getpatter telemetry status          on or off, and which rule decided
  getpatter telemetry preview         what would be sent from here, byte for byte
  getpatter telemetry log             what was sent, byte for byte
  getpatter telemetry disable         opt out, for every program of this user
  getpatter telemetry --help          all actions
  getpatter calls list calls.jsonl    your calls and how they ended; see also: calls show, tail
  getpatter collector serve           receive events on this machine
  getpatter integrations              the frameworks that are installed
  getpatter demo                      real calls on this machine, and what their events show
"""


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line as everything else that goes wrong: in one line."""

    def error(self, message: str) -> "NoReturn":
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: "Any") -> None:  # noqa: ANN401 - argparse's
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            from difflib import get_close_matches  # only who mistypes loads it

            near = get_close_matches(str(value), [str(one) for one in action.choices or ()], 1)
            if near:
                error.message += f". Did you mean {near[0]!r}?"
            raise

    def _print_message(self, message: str, file: "IO[str] | None" = None) -> None:  # type: ignore[override] # narrower: a stream
        # What all of argparse prints through: a name may be too odd for its encoding.
        say(message, stream=file or sys.stderr, end="")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="getpatter",
        description="The getpatter voice library: its telemetry, and your own calls.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"getpatter {__version__}")
    subcommands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.describe(subcommands.add_parser("telemetry", help=commands.HELP), __version__)
    calls.describe(subcommands.add_parser("calls", help=calls.HELP))
    collector.describe(subcommands.add_parser("collector", help=collector.HELP))
    subcommands.add_parser("integrations", help=installed.HELP)
    demo = subcommands.add_parser(
        "demo", help="make real calls on this machine and read their events"
    )
    demo.add_argument(
        "--report", metavar="FILE", help="write the collector's pages of these calls as HTML"
    )
    demo.add_argument("--open", action="store_true", help="open that file in a browser")
    return parser


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command; return its exit code."""
    try:
        try:
            parser = _parser()
            options = parser.parse_args(arguments)
            if options.command is None:
                parser.print_help()
                return 0
            code = _run(options)
        finally:  # help leaves by an exception
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a reader that has gone is no error yet
    except KeyboardInterrupt:
        return 130  # what a shell reports for Ctrl-C
    except BrokenPipeError:
        _drop_unwritten()  # `getpatter … | head`: the reader has seen enough
        return 1
    except Exception as error:  # the command's boundary: a line, not a traceback
        say(f"getpatter: {type(error).__name__}: {error}", stream=sys.stderr)
        _drop_unwritten()
        return 1
    return code


def _drop_unwritten() -> None:
    """Let go of what standard output does not take, or the interpreter complains when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace) -> int:
    if options.command == "demo":
        from getpatter.demo.main import run  # only who asks loads it

        return run(options.report, is_opened=options.open)
    if options.command == "calls":
        return calls.run(options, env.process_environment())
    if options.command == "collector":
        return collector.run(options, env.process_environment())
    if options.command == "integrations":
        for line in installed.lines():
            say(line)
        return 0
    return commands.run(options)
