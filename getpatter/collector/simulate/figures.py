"""The truth file: what was counted, as figures by question."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from getpatter.collector.limits import DAY
from getpatter.collector.simulate.truth import (
    AFFECTED_CELL,
    CALL_CELL,
    LATENCY_CELL,
    RUN_CELL,
    Truth,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["describe", "figures"]

_SLOW = 800  # milliseconds: the bound that answers use


def figures(truth: Truth) -> dict[str, Any]:
    """Return every true figure, by the answer that estimates it."""
    return {
        "events": dict(sorted(truth.events.items())),
        "events_at_rate_0": dict(sorted((+truth.silent).items())),
        "installs": len(truth.pasts),
        "runs": {field: _plain(values) for field, values in truth.runs.items()},
        "by_day": {str(day): dict(row) for day, row in sorted(truth.days.items())},
        "funnel": _rows(RUN_CELL, truth.funnel.items()),
        "affected": {
            "errors": _sizes(AFFECTED_CELL, truth.affected.items()),
            "missing": _sizes(("missing", "sdk_version"), truth.missing.items()),
        },
        "after_block": _after_block(truth),
        "releases": _releases(truth),
        "calls": [_cell(CALL_CELL, cell) | {"n": n} for cell, n in _ordered(truth.calls.items())],
        "latency": [
            _cell(("stage", *LATENCY_CELL), cell) | describe(values)
            for cell, values in _ordered(truth.latencies.items())
        ],
        "latency_by_stage": {
            stage: describe(values) for stage, values in _merged(truth, 0).items()
        },
        "endings": _endings(truth),
        "shares": {
            name: {field: _plain(values) for field, values in sorted(fields.items())}
            for name, fields in sorted(truth.shares.items())
        },
        "numbers": {
            name: {field: describe(values) for field, values in sorted(fields.items())}
            for name, fields in sorted(truth.numbers.items())
        },
    }


def describe(values: Counter[Any]) -> dict[str, Any]:
    """Return count, mean, quantiles and the share above the bound."""
    n = sum(values.values())
    return {
        "n": n,
        "mean": sum(value * times for value, times in values.items()) / n,
        "p50": _quantile(values, n, 50),
        "p95": _quantile(values, n, 95),
        "p99": _quantile(values, n, 99),
        "above_800": sum(times for value, times in values.items() if value > _SLOW) / n,
    }


def _quantile(values: Counter[Any], n: int, percent: int) -> float:
    """Return the smallest value with at least so many percent at or below it."""
    left = -(-n * percent // 100)
    for value in sorted(values):
        left -= values[value]
        if left <= 0:
            break
    return float(value)


def _merged(truth: Truth, *places: int) -> dict[Any, Counter[int]]:
    merged: dict[Any, Counter[int]] = defaultdict(Counter)
    for cell, values in truth.latencies.items():
        picked = tuple(cell[place] for place in places)
        merged[picked[0] if len(picked) == 1 else picked].update(values)
    return dict(sorted(merged.items(), key=str))


def _after_block(truth: Truth) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for past in truth.pasts.values():
        for missing, first in past.blocks.items():
            row = rows.setdefault(
                missing, {"installs": 0, "started": 0, "never_came_back": 0, "days": Counter()}
            )
            row["installs"] += 1
            if missing in past.started:
                row["started"] += 1
                row["days"][int(past.started[missing] // DAY - first // DAY)] += 1
            elif past.last_run == first:
                row["never_came_back"] += 1
    for row in rows.values():
        row["days"] = {str(day): n for day, n in sorted(row["days"].items())}
    return dict(sorted(rows.items()))


def _releases(truth: Truth) -> dict[str, Any]:
    slow = _merged(truth, 0, 1)
    made: dict[str, Any] = {}
    for release, installs in sorted(truth.by_release.items()):
        ended: Counter[str] = Counter()
        for cell, n in truth.calls.items():
            if cell[0] == release:
                said = dict(zip(CALL_CELL, cell, strict=True))
                ended["calls"] += n
                ended[said["outcome"]] += n
                if said["outcome"] in {"error", "failed"} or said["error_code"] is not None:
                    ended["errors"] += n
        runs: Counter[str] = Counter()
        for cell, row in truth.funnel.items():
            if cell[0] == release:
                runs.update(row)
        made[release] = {
            "installs": len(installs),
            "runs": dict(sorted(runs.items())),
            "calls": dict(sorted(ended.items())),
            "error_rate": ended["errors"] / ended["calls"] if ended["calls"] else None,
            "latency": {
                stage: describe(values)
                for (stage, version), values in slow.items()
                if version == release
            },
        }
    return made


def _endings(truth: Truth) -> dict[str, Any]:
    reasons: Counter[str] = Counter()
    for cell, n in truth.calls.items():
        reasons[str(cell[CALL_CELL.index("disconnect_reason")])] += n
    first_calls = Counter(past.first_call or "none" for past in truth.pasts.values())
    weeks: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for past in truth.pasts.values():
        weeks[past.first_day // 7].update(past.weeks)
    adoption: dict[str, dict[str, int]] = {}
    for (name, field, value), installs in sorted(truth.adoption.items(), key=str):
        adoption.setdefault(f"{name}.{field}", {})[_text(value)] = len(installs)
    return {
        "disconnect_reason": dict(sorted(reasons.items())),
        "age_at_first_call": dict(sorted(first_calls.items())),
        "retention": {
            str(week): {str(later): n for later, n in sorted(row.items())}
            for week, row in sorted(weeks.items())
        },
        "adoption": adoption,
    }


def _ordered(items: Iterable[tuple[tuple[Any, ...], Any]]) -> list[tuple[tuple[Any, ...], Any]]:
    return sorted(items, key=lambda item: str(item[0]))


def _cell(names: tuple[str, ...], cell: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(names, cell, strict=True))


def _rows(
    names: tuple[str, ...], items: Iterable[tuple[tuple[Any, ...], Counter[str]]]
) -> list[dict[str, Any]]:
    return [_cell(names, cell) | dict(sorted(row.items())) for cell, row in _ordered(items)]


def _sizes(
    names: tuple[str, ...], items: Iterable[tuple[tuple[Any, ...], set[int]]]
) -> list[dict[str, Any]]:
    return [_cell(names, cell) | {"installs": len(found)} for cell, found in _ordered(items)]


def _plain(values: Counter[Any]) -> dict[str, int]:
    return {_text(value): n for value, n in sorted(values.items(), key=str)}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
