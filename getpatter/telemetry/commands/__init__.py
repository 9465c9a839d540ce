"""The actions of `getpatter telemetry`. None sends anything but `forget --remote`.

One file an action: a function that collects plain facts, one that renders them. This one knows
their arguments and loads only the one that is asked for. Exit codes: 0 done (`check`: all valid),
1 it did not work (`check`: something is invalid), 2 wrong command line or input.
"""

import argparse
import sys

from getpatter.telemetry._tables import EVENT_NAMES
from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.failure import Failure

__all__ = ["HELP", "describe", "run"]

#: What the command is for, in the host's list of commands.
HELP = "what is sent about this install, and how to stop it"

# Action → its module, what it does, and examples.
_ACTIONS = {
    "status": (
        "show_status",
        "on or off, and which rule decided",
        ("status", "status --json"),
    ),
    "preview": (
        "preview",
        "the exact body that a start, an agent and a call would send; sends and changes nothing",
        ("preview", "preview | getpatter telemetry check -", "preview --json"),
    ),
    "explain": (
        "explain",
        "every field: its purpose, its value on this machine, why it is or is not sent",
        ("explain", "explain call_completed", "explain first_run --json"),
    ),
    "log": (
        "log",
        "what was sent from this machine, byte for byte, and what was lost and why",
        ("log", "log --json"),
    ),
    "check": (
        "check",
        "validate events against the schemas; never repeats their content",
        ("check events.json", "check events.ndjson --json", "check - < events.json"),
    ),
    "schema": (
        "schema",
        "the JSON Schema of an event, the list of events, or `diff`: what a version changes",
        ("schema", "schema call_completed", "schema --json", "schema diff 7 8"),
    ),
    "inventory": (
        "inventory",
        "everything that any version can send, one row per field",
        ("inventory", "inventory --format csv", "inventory --format json"),
    ),
    "disable": (
        "switch",
        "opt out, for every program of this user, and erase this install's identity",
        ("disable",),
    ),
    "enable": (
        "switch",
        "remove a stored opt-out",
        ("enable",),
    ),
    "forget": (
        "forget",
        "opt out and erase; with --remote ask the collector to erase first",
        ("forget", "forget --remote", "forget --remote --yes"),
    ),
}


def _examples(examples: "tuple[str, ...]") -> str:
    return "\n".join(["examples:", *(f"  getpatter telemetry {example}" for example in examples)])


def describe(telemetry: argparse.ArgumentParser, sdk_version: str) -> None:
    """Give the host's parser for `telemetry` its actions; `sdk_version` is the host's."""
    telemetry.description = f"{HELP[0].upper()}{HELP[1:]}. Without an action: status."
    telemetry.epilog = _examples(("status", "preview", "explain call_completed", "disable"))
    telemetry.formatter_class = argparse.RawDescriptionHelpFormatter
    telemetry.set_defaults(action="status", json=False, sdk_version=sdk_version)
    actions = telemetry.add_subparsers(metavar="ACTION")
    for name, (_, help_text, examples) in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}.",
            epilog=_examples(examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        action.set_defaults(action=name)
        action.add_argument("--json", action="store_true", help="print JSON")
        _add_arguments(name, action)


def _add_arguments(name: str, action: argparse.ArgumentParser) -> None:
    if name == "explain":
        action.add_argument("event", metavar="EVENT", nargs="?", choices=EVENT_NAMES, help=_EVENTS)
    elif name == "schema":
        words = (*EVENT_NAMES, "diff")
        action.add_argument("event", metavar="EVENT", nargs="?", choices=words, help=_EVENTS)
        text = "after `diff`: OLD NEW, two versions or folders of *.schema.json"
        action.add_argument("versions", metavar="VERSION", nargs="*", help=text)
    elif name == "check":
        text = "an event, an array of events, or one of either per line; - is standard input"
        action.add_argument("file", metavar="FILE", help=text)
    elif name == "inventory":
        action.add_argument("--format", choices=("md", "csv", "json"), default="md")
    elif name == "forget":
        action.add_argument("--remote", action="store_true", help="ask the collector first")
        action.add_argument("--yes", action="store_true", help="do not ask for confirmation")


_EVENTS = "one of " + ", ".join(EVENT_NAMES)


def run(options: argparse.Namespace) -> int:
    """Run the action that was parsed; return its exit code. What goes wrong is a line on stderr."""
    module = _ACTIONS[options.action][0]
    action = __import__(f"{__name__}.{module}", fromlist=("run",))
    try:
        code: int = action.run(options)
    except Failure as failure:
        say(f"getpatter: {failure}", stream=sys.stderr)
        return failure.code
    return code
