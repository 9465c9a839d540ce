"""Answers about runs and installs: how far they come, what stops them, what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.collector.answers.asked import counted, group, row
from getpatter.collector.estimate import step, total

if TYPE_CHECKING:
    from getpatter.collector.answers.asked import Asked, Record, Row
    from getpatter.collector.estimate import Estimate, Share

__all__ = [
    "STEPS",
    "adoption",
    "after_block",
    "first_call",
    "funnel",
    "retention",
    "shares_runs",
    "shares_setups",
    "volume",
]

#: Name, what is counted, of what; and whether that is known of drawn runs only.
STEPS = (
    ("blocked", "blocked", "everything", False),
    ("blocked: carrier_credentials", "carrier_credentials", "everything", False),
    ("blocked: llm_key", "llm_key", "everything", False),
    ("blocked: engine_config", "engine_config", "everything", False),
    ("blocked: other", "other", "everything", False),
    ("started", "started", "everything", False),
    ("a call began", "began", "drawn", True),
    ("a call did not connect", "missed", "drawn", True),
    ("of those with a call: one completed", "completed", "began", True),
    ("of those with a call: one failed", "failed", "began", True),
    ("of those with a call: one never ended", "never_ended", "began", True),
)
_WAITS = {
    "within_hour": "started within an hour",
    "within_day": "started within a day",
    "within_week": "started within a week",
    "later": "started later",
    "never_started": "came back, never started",
    "never_came_back": "never came back",
}


_AGES = {
    "within_hour": "within an hour",
    "within_day": "within a day",
    "within_week": "within a week",
    "later": "later",
    "unknown": "age not known",
    "never": "none yet",
}


def step_of(
    records: list[Record], hits: str, of: str, level: float = 0.95
) -> tuple[Estimate, int, int]:
    """Return a step of the funnel, and the runs and installs that it rests on."""
    is_sampled = next(drawn for _, one, whole, drawn in STEPS if (one, whole) == (hits, of))
    by_unit = group(records, "unit")
    runs = by_unit.get("runs", [])
    installs = sum(int(record[of]) for record in by_unit.get("installs", []))
    rows: list[Share] = [
        (record["rate"] if is_sampled else 1.0, record["grp"], int(record[hits]), int(record[of]))
        for record in runs
        if not is_sampled or record["rate"]
    ]
    return step(rows, installs, level), sum(share[3] for share in rows), installs


def funnel(asked: Asked) -> list[Row]:
    """Return how far runs come."""
    made = []
    for part, records in group(asked.rows("funnel"), "part").items():
        for name, hits, of, _ in STEPS:
            found, runs, installs = step_of(records, hits, of)
            made.append(row(asked.cell(part, step=name), found, runs=runs, installs=installs))
    return made


def after_block(asked: Asked) -> list[Row]:
    """Return what installs did after something was missing."""
    made = []
    for missing, records in group(asked.rows("after_block"), "missing").items():
        installs = sum(int(record["installs"]) for record in records)
        runs = sum(int(record["runs"]) for record in records)
        for key, text in _WAITS.items():
            rows: list[Share] = [(1.0, r["grp"], int(r[key]), int(r["installs"])) for r in records]
            cell = {"missing": missing, "then": text}
            found = step(rows, installs)
            made.append(row(cell, found, runs=runs, installs=installs, events=installs))
    return made


def first_call(asked: Asked) -> list[Row]:
    """Return how long after installing the first call came."""
    records = asked.rows("first_call")
    installs = sum(int(record["installs"]) for record in records)
    runs = sum(int(record["runs"]) for record in records)
    made = []
    for key, text in _AGES.items() if records else ():
        rows: list[Share] = [(1.0, r["grp"], int(r[key]), int(r["installs"])) for r in records]
        found = step(rows, installs)
        made.append(row({"first call": text}, found, runs=runs, installs=installs, events=installs))
    return made


def retention(asked: Asked) -> list[Row]:
    """Return how many installs run again later, by the week of their first run."""
    made = []
    for week, records in group(asked.rows("retention"), "week").items():
        installs = sum(int(record["installs"]) for record in records)
        runs = sum(int(record["runs"]) for record in records)
        for key, text in (("after_week", "7 days"), ("after_month", "28 days")):
            rows: list[Share] = [(1.0, r["grp"], int(r[key]), int(r["installs"])) for r in records]
            cell = {"first week": str(week), "ran again after": text}
            found = step(rows, installs)
            made.append(row(cell, found, runs=runs, installs=installs, events=installs))
    return made


def adoption(asked: Asked) -> list[Row]:
    """Return how many installs ran each release on each day."""
    return [
        counted(
            {"day": day, "release": release},
            records[0]["installs"],
            events=records[0]["runs"],
            runs=records[0]["runs"],
            installs=records[0]["installs"],
        )
        for (day, release), records in group(asked.rows("adoption"), "day", "release").items()
    ]


def volume(asked: Asked) -> list[Row]:
    """Return how many installs, runs, starts and calls there are."""
    made = []
    for part, records in group(asked.rows("volume"), "part").items():
        facts = records[0]
        runs, installs = int(facts["runs"]), int(facts["installs"])
        for name in ("installs", "first_runs", "runs", "starts"):
            cell = asked.cell(part, what=name.replace("_", " "))
            count = int(facts[name])
            made.append(counted(cell, count, events=count, runs=runs, installs=installs))
    records = asked.rows("totals")
    frame = [record for record in records if record["unit"] == "frame"]
    callers = {record["part"]: record for record in asked.rows("callers")}
    calls = [record for record in records if record["unit"] == "calls"]
    for part, of_part in group(calls, "part").items():
        base = callers.get(part, {"runs": 0, "installs": 0})
        for key, name in (("starts", "calls begun"), ("ends", "calls ended")):
            cell = asked.cell(part, what=name)
            found = _total(of_part, frame, key)
            events = sum(int(record[key] + record[f"exact_{key}"]) for record in of_part)
            made.append(
                row(
                    cell,
                    found,
                    runs=base["runs"],
                    installs=base["installs"],
                    events=events,
                    unit="count",
                )
            )
    return made


def _total(records: list[Record], frame: list[Record], key: str) -> Estimate:
    sums = {
        record["rate"]: (int(record[key]), int(record[f"{key}_squared"]))
        for record in records
        if record["rate"] is not None
    }
    framed = [
        (f["rate"], int(f["runs"]), int(f["drawn"]), *sums.get(f["rate"], (0, 0))) for f in frame
    ]
    unframed = [
        (record["loose"], int(record[key]), int(record[f"{key}_squared"]))
        for record in records
        if record["rate"] is None
    ]
    return total(sum(int(record[f"exact_{key}"]) for record in records), framed, unframed)


def shares_runs(asked: Asked) -> list[Row]:
    """Return the share of installs with each value of a field of starts."""
    return _shares_of_installs(asked, "shares_runs")


def shares_setups(asked: Asked) -> list[Row]:
    """Return the share of installs with each configured value."""
    return _shares_of_installs(asked, "shares_setups")


def _shares_of_installs(asked: Asked, query: str) -> list[Row]:
    by_value = group(asked.rows(query), "value")
    whole = {record["grp"]: int(record["installs"]) for record in by_value.pop(None, [])}
    installs = sum(whole.values())
    made = []
    for value, records in by_value.items():
        hits = {record["grp"]: int(record["installs"]) for record in records}
        rows: list[Share] = [(1.0, grp, hits.get(grp, 0), of) for grp, of in whole.items()]
        found = step(rows, installs)
        events, runs = (sum(int(record[key]) for record in records) for key in ("events", "runs"))
        cell = {str(asked.field): value}
        made.append(row(cell, found, events=events, runs=runs, installs=installs))
    return sorted(made, key=lambda one: -one["estimate"])
