"""`check`: judges events of a file with `jsonschema`; never repeats anything of their content.

What it prints are names of fields of the schemas, allowed values, and JSON types. Reads one event,
a JSON array of events, or one of either per line (NDJSON). Exit codes: 0 all are valid, 1 some are
not, 2 the file cannot be used.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.failure import Failure

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from getpatter.telemetry.judge import Violation

__all__ = ["LIMIT", "collect", "render", "run"]

#: No larger file is read, in bytes: it is held in memory whole.
LIMIT = 64 * 1024 * 1024
# What a person reads; a file with more is wrong in the same way throughout.
_MOST = 1_000


def collect(name: str) -> dict[str, object]:
    """Judge the events in the file `name` (`-`: standard input). Raises Failure."""
    from getpatter.telemetry.judge import Judge

    judge = Judge()
    events = invalid = left_out = 0
    violations: list[dict[str, object]] = []
    for line, index, event in _events(_parse(name, _text(name, _content(name)))):
        events += 1
        # The first of each field: a value of the wrong type breaks more rules, and says no more.
        # Of the event itself the first of each rule: `required` names all that is missing.
        found: dict[str, Violation] = {}
        for violation in judge.violations(event):
            found.setdefault(violation.pointer or violation.rule, violation)
        invalid += bool(found)
        where = {"index": index} if line is None else {"line": line, "index": index}
        for pointer, rule, kind, demand in found.values():
            if len(violations) < _MOST:
                row = {"pointer": pointer, "rule": rule, "type": kind, "demand": demand}
                violations.append({**where, **row})
            else:
                left_out += 1
    if not events:
        message = f"{name}: holds no event"
        raise Failure(message, 2)
    return {
        "file": name,
        "events": events,
        "invalid": invalid,
        "violations": violations,
        "left_out": left_out,
    }


def _content(name: str) -> bytes:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(LIMIT + 1)
        else:
            with open(name, "rb") as file:
                content = file.read(LIMIT + 1)
    except (OSError, AttributeError, ValueError) as error:  # a stdin that is None or closed
        message = f"{name}: cannot be read ({getattr(error, 'strerror', None) or 'unusable'})"
        raise Failure(message, 2) from None
    if len(content) > LIMIT:
        message = f"{name}: larger than {LIMIT // 1024 // 1024} MiB"
        raise Failure(message, 2)
    return content


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        message = f"{name}: is not valid JSON: the text is not UTF-8"
        raise Failure(message, 2) from None


def _parse(name: str, text: str) -> list[tuple[int | None, object]]:
    """Return each JSON text with its line, or the one that the file is, with None."""
    try:
        return [(None, _load(text))]
    except (ValueError, RecursionError) as error:
        whole = error
    parsed: list[tuple[int | None, object]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            parsed.append((number, _load(line)))
        except (ValueError, RecursionError) as error:
            # If not even the first line is one, the file was not meant as lines.
            if not parsed and isinstance(whole, json.JSONDecodeError):
                number = whole.lineno  # noqa: PLW2901 - where the file stops being JSON
            message = f"{name}: line {number} is not valid JSON: {_why(error)}"
            raise Failure(message, 2) from None
    return parsed


def _load(text: str) -> object:
    return json.loads(text, parse_constant=_refuse_constant)


class _ConstantError(ValueError):
    """Python's reader alone knows these."""


def _refuse_constant(_: str) -> None:
    message = "NaN and Infinity are not allowed"
    raise _ConstantError(message)


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return error.msg  # the parser's own words, which hold nothing of the text
    return str(error) if isinstance(error, _ConstantError) else "a number has too many digits"


def _events(parsed: list[tuple[int | None, object]]) -> Iterator[tuple[int | None, int, object]]:
    """Yield line, index in its array (0 if there is none) and event."""
    for line, value in parsed:
        events = value if isinstance(value, list) else [value]
        for index, event in enumerate(events):
            yield line, index, event


def render(found: dict[str, object]) -> str:
    """Return one line a violation and a last one that sums up."""
    violations = found["violations"]
    assert isinstance(violations, list)  # noqa: S101 - for the type checker
    name, events = found["file"], found["events"]
    lines = [
        f"{name}: {_where(row)}: {row['rule']} ({row['type']}): {row['demand']}"
        for row in violations
    ]
    if found["left_out"]:
        lines.append(f"{name}: and {found['left_out']} more")
    count = f"{events} event{'' if events == 1 else 's'}"
    verdict = f"{found['invalid']} invalid" if found["invalid"] else "valid"
    return "\n".join([*lines, f"{name}: {count}, {verdict}"])


def _where(row: dict[str, object]) -> str:
    place = f"event {row['index']}"
    if "line" in row:
        place = f"line {row['line']}" + (f", {place}" if row["index"] else "")
    return f"{place}: {row['pointer']}" if row["pointer"] else place


def run(options: Namespace) -> int:
    """Judge the file and say what is wrong."""
    found = collect(options.file)
    say(json.dumps(found, indent=2) if options.json else render(found))
    return 1 if found["invalid"] else 0
