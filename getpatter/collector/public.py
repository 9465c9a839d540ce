"""What may be published of a store: counts of installs by closed week, in fixed tables.

Only installs are counted: a count of calls may be one install's. A week is closed when nothing can
arrive for it any more, and it is published once: two editions of a week would show by their
difference who was erased in between.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any

from getpatter.collector.limits import DAY, SETTLE_DAYS
from getpatter.collector.suppress import OTHERS, Rule, protect

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from getpatter.collector.store import Store

__all__ = ["csv_rows", "weeks"]

_DEFINITION = (
    "Installs that began a run (a process start) in the week, each in one cell of a table: by the "
    "release, system and runtime of its last run, and by the worst that it met in the week: a call "
    "that failed, by the layer in which most did; a blocked start and no other one, by what was "
    "missing; no start; or a start without any of these. Without throw-away installs: those with "
    "one run only, in a container or on a serverless platform. Cells with fewer than {installs} "
    "installs are in 'others', which has at least {others} and always takes in a larger cell, too; "
    "a table in which nothing else would be left is empty. Counts are rounded to {rounded}."
)

# In which order cells are added to `others`: what is expected to be rare comes first. It is no
# matter of what was counted.
_OUTCOMES = (
    "failed: config", "failed: internal", "failed: other", "failed: none", "failed: tts",
    "failed: stt", "failed: carrier", "failed: llm", "blocked: other", "blocked: engine_config",
    "blocked: llm_key", "blocked: carrier_credentials", "no start", "started",
)  # fmt: skip
_SYSTEMS = tuple(
    f"{os} {arch}"
    for os in ("other", "freebsd", "windows", "darwin", "linux")
    for arch in ("other", "arm64", "x86_64")
)


def weeks(
    store: Store, known: Collection[str], now: int, rule: Rule | None = None
) -> list[dict[str, Any]]:
    """Return the closed weeks that may be published and are not `known`, oldest first."""
    store.fold()
    found: list[dict[str, Any]] = []
    first = store.query("SELECT min(day) FROM runs").rows[0][0]
    if first is None:
        return found
    sql = resources.files(__package__).joinpath("public.sql").read_text("utf-8")
    today = date(1970, 1, 1) + timedelta(days=now // DAY)
    monday = first - timedelta(days=first.weekday())
    while today - (monday + timedelta(days=6)) > timedelta(days=SETTLE_DAYS):
        name = f"{monday:%G-W%V}"
        sunday = monday + timedelta(days=6)
        if name not in known:
            days = {"since": str(monday), "until": str(sunday)}
            week = _week(store.query(sql, days).rows, rule or Rule())
            if week:
                found.append({"week": name, **days, **week})
        monday += timedelta(days=7)
    return found


def _week(rows: list[tuple[Any, ...]], rule: Rule) -> dict[str, Any]:
    total = sum(row[4] for row in rows)
    if total < max(rule.installs, 1):
        return {}
    return {
        "definition": _DEFINITION.format(
            installs=rule.installs, others=rule.others, rounded=rule.rounded
        ),
        "installs": rule.count(total),
        "tables": {
            **_releases(rows, rule),
            "systems": _table(rows, 2, _in_order(_SYSTEMS), rule),
            "runtimes": _table(rows, 3, _by_version, rule),
        },
    }


def _releases(rows: list[tuple[Any, ...]], rule: Rule) -> dict[str, list[dict[str, Any]]]:
    """Return how many installs each release has, and how these fared: one table in the other.

    There is no table of outcomes over all releases: it would be the sum of the others, and what is
    not shown of a release could be had by subtracting.
    """
    counts = _counts(rows, 0)
    shown, hidden = protect(counts, _by_version(counts), rule)
    parts: dict[str, Collection[str]] = {cell: (cell,) for cell in shown if cell != OTHERS}
    parts[OTHERS if shown else "all"] = hidden
    outcomes = [
        {"release": part, **row}
        for part, releases in parts.items()
        for row in _table(
            [row for row in rows if row[0] in releases], 1, _in_order(_OUTCOMES), rule
        )
    ]
    return {"releases": _rows(shown), "outcomes": outcomes}


def _counts(rows: list[tuple[Any, ...]], column: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[column]] += row[4]
    return dict(counts)


def _table(
    rows: list[tuple[Any, ...]],
    column: int,
    order: Callable[[Collection[str]], Sequence[str]],
    rule: Rule,
) -> list[dict[str, Any]]:
    counts = _counts(rows, column)
    return _rows(protect(counts, order(counts), rule)[0])


def _rows(shown: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"cell": cell, "installs": count} for cell, count in shown.items()]


def _in_order(known: Sequence[str]) -> Callable[[Collection[str]], Sequence[str]]:
    def ordered(found: Collection[str]) -> Sequence[str]:
        return [*sorted(set(found) - set(known)), *known]

    return ordered


def _by_version(found: Collection[str]) -> Sequence[str]:
    """Return names in the order of the numbers in them, the oldest first."""

    def parts(name: str) -> list[tuple[int, int, str]]:
        texts = re.findall("[0-9]+|[^0-9]+", name)
        return [(1, int(t), "") if t.isdigit() else (0, 0, t) for t in texts]

    return sorted(found, key=parts)


def csv_rows(week: Mapping[str, Any]) -> list[list[str]]:
    """Return a week as rows of text, with their head."""
    made = [["week", "table", "release", "cell", "installs"]]
    made.append([week["week"], "installs", "", "all", str(week["installs"])])
    for table, rows in week["tables"].items():
        made += [
            [week["week"], table, row.get("release", ""), row["cell"], str(row["installs"])]
            for row in rows
        ]
    return made
