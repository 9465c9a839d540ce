"""`explain`: every field: what it is for, this machine's value now, why it is or is not sent.

Changes nothing. Where only a program or a call knows the value, that is printed.
"""

import json

from getpatter.telemetry import install_id, status
from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry._tables import COMMON_FIELDS, DIMENSIONS, WITHOUT
from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.example import Example
from getpatter.telemetry.fields import values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Row = dict[str, object]

__all__ = ["collect", "render", "run"]

# What a field depends on that no machine can say in advance, by event; and fields that are an
# exception, whatever the event.
_DEPENDS = {
    "agent_configured": "the agent",
    "call_completed": "the call",
    "call_started": "the call",
    "cli_command": "the command that is run",
    "config_incomplete": "what is missing",
    "feature_used": "the agent",
    "first_run": "the program",
    "sdk_initialized": "the program",
}
_MADE = {
    "run_id": "new at each start of a program",
    "call_uid": "new for each call",
}
_WITHHELD = "it is withheld until the notice that names it has been shown"
_STARTS = ("first_run", "sdk_initialized")
# Dimensions of a start that the program decides; the machine says the others.
_OF_THE_PROGRAM = frozenset({"carrier", "tunnel"})
_ABSENT = {
    "previous_sdk_version": "no other version is known to have run here",
    "days_since_install_bucket": "how old the install is cannot be known",
}


def collect(event: "str | None", sdk_version: str) -> "dict[str, object]":
    """Return the facts about `event`, or about all, with their fields in the schema's order."""
    example = Example(sdk_version)
    facts = status.collect()
    obstacle = _obstacle(facts)
    found = documents()
    names = [event] if event else list(found)
    rules = {n: rule for name in names for n, rule in found[name]["properties"].items()}
    carried = [n for n in COMMON_FIELDS if n not in set.intersection(*map(_without, names))]
    known = _known(example)
    made = dict(_MADE)
    if example.is_new_install:
        made["install_id"] = "made by the first start"
    every = [
        _row(name, rules[name], known, obstacle, made.get(name))
        for name in carried
        if name != "event"
    ]
    events = [_event(name, found[name], known, obstacle, example) for name in names]
    withheld = facts["withheld"]
    assert isinstance(withheld, list)  # noqa: S101 - for the type checker
    _withhold(every, withheld)
    for row in events:
        fields = row["fields"]
        assert isinstance(fields, list)  # noqa: S101 - what `_event` made
        _withhold([row], withheld)
        _withhold(
            fields, [*withheld, *DIMENSIONS[str(row["event"])]] if row["withheld"] else withheld
        )
    return {
        "enabled": facts["enabled"],
        "decided_by": facts["decided_by"],
        "notice_shown": facts["notice_shown"],
        "every_event": every,
        "events": events,
    }


def _without(event: str) -> set[str]:
    """Return the common fields that an event goes without."""
    return set(WITHOUT.get(event, ()))


def _withhold(rows: "list[Row]", withheld: "list[str]") -> None:
    """Mark what is not sent before the notice that names it was shown, if it is sent at all."""
    for row in rows:
        name = row["field"] if "field" in row else row["event"]
        is_sent = bool(row["sent"])
        row["withheld"] = is_sent and name in withheld
        if row["withheld"]:
            also = ", and sampled calls with it" if name == "sample_rate" else ""
            row["sent"], row["why"] = False, _WITHHELD + also
        values = [one.partition("=")[2] for one in withheld if one.startswith(f"{name}=")]
        if is_sent and values:
            row["withheld_values"] = values


def _obstacle(facts: "dict[str, object]") -> "str | None":
    """Return why nothing at all is sent now; None if events are."""
    decided = facts["decided_by"]
    assert isinstance(decided, dict)  # noqa: S101 - for the type checker
    if not facts["enabled"]:
        return f"telemetry is off: {decided['rule']} ({decided['why']})"
    if facts["debug"]:
        return "PATTER_TELEMETRY_DEBUG is set: events are printed instead"
    return None if facts["endpoint"] else "PATTER_TELEMETRY_ENDPOINT cannot be used"


def _known(example: Example) -> "dict[str, object]":
    """Return what this machine can say now."""
    start = next(event for event in example.events if event["event"] == "sdk_initialized")
    known = {name: value for name, value in start.items() if name not in _OF_THE_PROGRAM}
    known["time_to_first_call_bucket"] = install_id.age_bucket(example.age)
    if 0 < example.rate < 1:
        known["sample_rate"] = example.rate
    return known


def _event(
    name: str,
    schema: "dict[str, Any]",
    known: "dict[str, object]",
    obstacle: "str | None",
    example: Example,
) -> "Row":
    is_over = name == "first_run" and all(event["event"] != name for event in example.events)
    if obstacle is None and is_over:
        obstacle = "this install has had its first run, or cannot tell"
    row: Row = {
        "event": name,
        "description": schema["description"],
        "when": schema["x-when"],
        "question": schema["x-question"],
        "without": [field for field in COMMON_FIELDS if field in _without(name)],
        "sent": obstacle is None,
        "why": obstacle or "telemetry is on",
    }
    row["fields"] = [
        _row(field, schema["properties"][field], known, obstacle, _depends(name, field, example))
        for field in DIMENSIONS[name]
    ]
    return row


def _depends(event: str, field: str, example: Example) -> "str | None":
    """Return on what the field depends, None where this machine can say it now."""
    if field == "time_to_first_call_bucket":
        return None
    if field == "sample_rate":
        return None if example.rate > 0 else "nothing: at rate 0 only calls with an error are kept"
    if event in _STARTS and field not in _OF_THE_PROGRAM:
        return None
    return _MADE.get(field) or f"depends on {_DEPENDS.get(event, 'the program')}"


def _row(
    name: str,
    rule: "dict[str, Any]",
    known: "dict[str, object]",
    obstacle: "str | None",
    depends: "str | None",
) -> "Row":
    row: Row = {
        "field": name,
        "purpose": rule["description"],
        "question": rule["x-question"],
        "values": values_of(rule),
    }
    if depends is not None:
        row["depends"] = depends
    elif name in known:
        row["value"] = known[name]
    is_absent = depends is None and name not in known
    row["sent"] = obstacle is None and not is_absent
    row["why"] = obstacle or (_why_absent(name) if is_absent else "telemetry is on")
    return row


def _why_absent(name: str) -> str:
    if name == "sample_rate":
        return "every call is kept, so each event stands for itself"
    return _ABSENT.get(name, "this machine has no value for it")


def render(found: "dict[str, object]") -> str:
    """Return the facts for a person."""
    decided, every, events = found["decided_by"], found["every_event"], found["events"]
    assert isinstance(decided, dict)  # noqa: S101 - for the type checker
    assert isinstance(every, list)  # noqa: S101
    assert isinstance(events, list)  # noqa: S101
    on_or_off = "on" if found["enabled"] else "off"
    lines = [f"Telemetry is {on_or_off}: {decided['rule']} ({decided['why']})."]
    if found["enabled"] and not found["notice_shown"]:
        lines.append("Nothing is sent until the notice has been shown.")
    lines.append("")
    lines += ["Every event:", *_render_rows(every)]
    for event in events:
        sent = "" if event["sent"] else f"  Not sent now: {event['why']}."
        lines += [
            "",
            f"{event['event']}: {event['description']}",
            f"  When: {event['when']}",
            f"  Question it answers: {event['question']}",
            *([f"  Does not have: {', '.join(event['without'])}"] if event["without"] else []),
            *([sent] if sent else []),
            *_render_rows(event["fields"]),
        ]
    return "\n".join(lines)


def _render_rows(rows: "list[Row]") -> "list[str]":
    lines = []
    for row in rows:
        value = json.dumps(row["value"]) if "value" in row else row.get("depends", "no value")
        sent = "sent" if row["sent"] else f"not sent, because {row['why']}"
        values = row.get("withheld_values")
        if isinstance(values, list):
            sent += f"; values withheld until a notice has named them: {', '.join(values)}"
        lines += [
            f"  {row['field']}: {value}; {sent}",
            f"      {row['purpose']}",
            f"      {row['question']}",
        ]
    return lines


def run(options: "Namespace") -> int:
    """Explain one event or all."""
    found = collect(options.event, options.sdk_version)
    say(json.dumps(found, indent=2) if options.json else render(found))
    return 0
