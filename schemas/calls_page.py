"""Writes the tables of `docs/calls.mdx` from the schemas of call diagnostics, and from the tables
that its code works by; part of `generate`.

One section a file of `schemas/diagnostics/v1`: the envelope first, then what has a type of event in
the order of their types, then the rest. A nested field is written `tracks[].bitrate`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import call_descriptions as descriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["BEGIN", "EMPTY", "END", "render"]

BEGIN, END = "{/* generated: diagnostics */}", "{/* end generated */}"
# Table → its heads, and its rows.
_TABLES: dict[str, tuple[tuple[str, ...], Callable[[], Iterable[tuple[str, ...]]]]] = {
    "vocabulary": (("kind", "about", "fields", "what it says"), descriptions.vocabulary_rows),
    "callbacks": (("callback", "when", "what it is given"), descriptions.callback_rows),
}
_BEGINS = {name: f"{{/* generated: {name} */}}" for name in _TABLES}
EMPTY = "# Calls\n" + "".join(f"\n{begin}\n{END}\n" for begin in (*_BEGINS.values(), BEGIN))

Schema = dict[str, Any]


def render(current: str, sources: Path) -> str:
    """Return `current` with the tables between its markers written anew."""
    for name, (heads, rows) in _TABLES.items():
        current = _put(current, _BEGINS[name], _table(heads, rows()))
    files = sorted(sources.glob("*.schema.json"))
    schemas = [(path.name, json.loads(path.read_text("utf-8"))) for path in files]
    schemas.sort(key=lambda item: _order(*item))
    parts = [_section(name, schema) for name, schema in schemas]
    return _put(current, BEGIN, "\n\n".join(parts))


def _put(current: str, begin: str, text: str) -> str:
    before, found_begin, rest = current.partition(begin)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        message = f"calls.mdx has no {begin} … {END}"
        raise ValueError(message)
    return f"{before}{begin}\n\n{text}\n\n{END}{after}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; what stands first names something in the code."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for name, *cells in rows:
        lines.append(f"| `{name}` | {' | '.join(_plain(name, cell) for cell in cells)} |")
    return "\n".join(lines)


def _order(name: str, schema: Schema) -> tuple[bool, bool, str]:
    return name != "event.schema.json", "x-type" not in schema, schema.get("x-type", name)


def _section(name: str, schema: Schema) -> str:
    title = name.removesuffix(".schema.json").replace("_", " ")
    heading = f"`{schema['x-type']}`" if "x-type" in schema else f"The {title}"
    said = [f"### {heading}", _plain(name, schema["description"])]
    if "x-when" in schema:
        said.append(f"- Emitted: {_plain(name, schema['x-when'])}")
    rows = list(_rows(schema))
    if rows:
        lines = ["| field | values | always | what it is |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{field}` | {_plain(field, _values(rule))} | {'yes' if is_required else ''} |"
            f" {_plain(field, rule.get('description', ''))} |"
            for field, rule, is_required in rows
        ]
        said.append("\n".join(lines))
    return "\n\n".join(said)


def _rows(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema, bool]]:
    for name, rule in schema.get("properties", {}).items():
        yield prefix + name, rule, name in schema.get("required", ())
        items = rule.get("items", {})
        if isinstance(items, dict) and "properties" in items:
            yield from _rows(items, f"{prefix}{name}[].")
        yield from _rows(rule, f"{prefix}{name}.")


def _values(rule: Schema) -> str:
    if "const" in rule:
        return f"`{rule['const']}`"
    if "enum" in rule:
        return " ".join(f"`{value}`" for value in rule["enum"])
    kinds = rule.get("type", "any")
    kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if kind == "string" and rule.get("minLength") == rule.get("maxLength") == 32:
        return "32 hexadecimal digits" if "not" in rule else "text of 32 characters"
    words = {"boolean": "`true` or `false`", "integer": "whole number", "string": "text"}
    return words.get(kind, kind) + _bounds(rule)


def _bounds(rule: Schema) -> str:
    low = rule.get("minimum", rule.get("minLength"))
    high = rule.get("maximum", rule.get("maxLength"))
    unit = " characters" if "minLength" in rule or "maxLength" in rule else ""
    if low is not None and high is not None:
        return f", {low:,} to {high:,}{unit}"
    if low is not None:
        return f", at least {low:,}{unit}"
    return "" if high is None else f", at most {high:,}{unit}"


def _plain(where: str, text: str) -> str:
    if any(mark in text for mark in "|{}<"):
        message = f"{where}: a text that MDX would read as markup"
        raise ValueError(message)
    return text
