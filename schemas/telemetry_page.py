"""Writes the tables of `docs/telemetry.mdx` from the schemas of the newest version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from history import is_retired, sent
from rules import bounds, common_of, fields_of, forbidden, kind_of, without_of

if TYPE_CHECKING:
    from history import Schema, Version

BEGIN, END = "{/* generated: fields */}", "{/* end generated */}"
EMPTY = f"# Telemetry\n\n{BEGIN}\n{END}\n"


def describe_values(rule: Schema) -> str:
    """Say what may stand in a field."""
    kind = kind_of(rule)
    if kind == "const":
        return f"`{rule['const']}`"
    if kind in {"enum", "steps"}:
        return " ".join(f"`{value}`" for value in rule["enum"])
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "string":
        low, high = rule["minLength"], rule["maxLength"]
        text = f"text of {low if low == high else f'{low} to {high}'} characters"
        for pattern in forbidden(rule):
            outside = re.fullmatch(r"\[\^([^]]+)\]", pattern)
            text += f" `[{outside[1]}]`" if outside else f", without `{pattern}`"
        return text + (f", begins with `{rule['pattern'][1:]}`" if "pattern" in rule else "")
    low_bound, high_bound, low_out, high_out = bounds(rule)
    if kind == "integer":
        return f"whole number, {low_bound:,.0f} to {high_bound:,.0f}"
    low_text = f"above {low_bound:,.0f}" if low_out else f"{low_bound:,.0f}"
    high_text = f"below {high_bound:,.0f}" if high_out else f"{high_bound:,.0f}"
    return f"number, {low_text} to {high_text}"


def table(rows: dict[str, Schema]) -> str:
    """Write fields as a table."""
    lines = ["| field | values | what it is | question it answers |", "| --- | --- | --- | --- |"]
    for name, rule in rows.items():
        cells = (f"`{name}`", describe_values(rule), rule["description"], rule["x-question"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def listed(names: list[str]) -> str:
    """Write names as the page has them."""
    return ", ".join(f"`{name}`" for name in names)


def section(event: str, schema: Schema, common: list[str], without: frozenset[str]) -> str:
    """Write the part of one event."""
    retired = [name for name, rule in schema["properties"].items() if is_retired(rule)]
    dimensions = {n: r for n, r in sent(schema)["properties"].items() if n not in common}
    notes = [
        f"- Sent: {schema['x-when']}",
        f"- Question it answers: {schema['x-question']}",
        f"- Purpose: {schema['x-purpose']}; owner: {schema['x-owner']}",
    ]
    if without:
        notes.append(f"- Does not have {listed([name for name in common if name in without])}.")
    if gone := [name for name in retired if name not in without]:
        notes.append(f"- No longer sent: {listed(gone)}.")
    lines = "\n".join(notes)
    return f"### `{event}`\n\n{schema['description']}\n\n{lines}\n\n{table(dimensions)}"


def render(current: str, schemas: Version) -> str:
    """Replace the tables between the markers of `current`."""
    before, found_begin, rest = current.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        message = f"telemetry.mdx has no {BEGIN} … {END}"
        raise ValueError(message)
    fields, common, without = fields_of(schemas), common_of(schemas), without_of(schemas)
    every = {name: fields[name] for name in common if name != "event"}
    name_rule = next(iter(schemas.values()))["properties"]["event"]
    every = {"event": {**name_rule, "enum": list(schemas)}, **every}
    del every["event"]["const"]
    parts = [f"### Fields of every event\n\n{table(every)}"]
    parts += [
        section(event, schema, common, without.get(event, frozenset()))
        for event, schema in schemas.items()
    ]
    return before + BEGIN + "\n\n" + "\n\n".join(parts) + "\n\n" + END + after
