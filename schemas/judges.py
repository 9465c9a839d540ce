"""Four judges, one verdict: `jsonschema`, `jsonschema-rs`, ajv on Node, and our own check.

Of our own and `jsonschema` also the place and the keyword of the first violation must be the same.
Our own judges what is sent: a field that is retired is accepted by the schema, and refused by us.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import history
import jsonschema
import jsonschema_rs

from getpatter.telemetry.schema import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from history import Version

Verdict = tuple[str, str] | None


def no_number(text: str) -> NoReturn:
    """Refuse what is no number of JSON, which Python's reader alone would take."""
    message = f"{text} is no JSON"
    raise ValueError(message)


def read(text: str) -> object:
    """Return the value of a text; ValueError if it is no JSON."""
    return json.loads(text, parse_constant=no_number)


def schema_of(event: object, version: Version) -> str | None:
    """Return the name of the event if it is one of this version."""
    name = event.get("event") if isinstance(event, dict) else None
    return name if isinstance(name, str) and name in version else None


def by_jsonschema(version: Version) -> Callable[[object], Verdict]:
    """Return the judge that names the first violation as ours does."""
    validators = {name: jsonschema.Draft202012Validator(schema) for name, schema in version.items()}

    def judge(event: object) -> Verdict:
        if not isinstance(event, dict):
            return "", "type"
        if "event" not in event:
            return "", "required"
        name = schema_of(event, version)
        if name is None:
            return "/event", "enum"
        error = next(validators[name].iter_errors(event), None)
        if error is None:
            return None
        return "".join(f"/{part}" for part in error.absolute_path), str(error.validator)

    return judge


def by_rust(version: Version) -> Callable[[object], bool]:
    """Return the judge of `jsonschema-rs`."""
    validators = {
        name: jsonschema_rs.Draft202012Validator(schema) for name, schema in version.items()
    }

    def judge(event: object) -> bool:
        name = schema_of(event, version)
        try:
            return name is not None and validators[name].is_valid(event)
        except ValueError:
            # Text with half a surrogate pair, and a number beyond all: Rust has no such value.
            return False

    return judge


def by_the_vectors(rows: list[dict[str, Any]], version: Version) -> list[str]:
    """Return where the judges in Python do not find what an invalid vector names."""
    reference = by_jsonschema(version)
    problems = []
    for row in rows:
        wanted = (row["pointer"], row["rule"])
        said = reference(row["event"])
        if said != wanted:
            problems.append(f"{row['name']}: jsonschema says {said}, the vector {wanted}")
    return problems


def verdicts(texts: list[str], version: Version, *, ours: bool) -> tuple[list[bool], list[str]]:
    """Return whether each text is a valid event, and where the judges in Python disagree.

    `ours`: whether it is the version that our own check is made for.
    """
    reference, rust = by_jsonschema(version), by_rust(version)
    sent = {name: history.sent(schema) for name, schema in version.items()}
    is_all_sent = sent == version
    of_sent = by_jsonschema(sent)
    valid: list[bool] = []
    problems: list[str] = []
    for text in texts:
        try:
            event = read(text)
        except ValueError:
            valid.append(False)
            continue
        said = reference(event)
        valid.append(said is None)
        if ours:
            wanted = said if is_all_sent else of_sent(event)
            if check(event) != wanted:
                problems.append(f"our check says {check(event)}, jsonschema {wanted}: {text}")
        if rust(event) is not (said is None):
            problems.append(f"jsonschema-rs does not say {said}: {text}")
    return valid, problems
