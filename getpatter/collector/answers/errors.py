"""Which errors became more frequent with a release: differences of the share of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.collector.answers.asked import group, row
from getpatter.collector.answers.releases import CALLS_MATTER, NoPairError, compared, pair
from getpatter.collector.compare import WORSE
from getpatter.collector.estimate import Estimate, ratio

if TYPE_CHECKING:
    from getpatter.collector.answers.asked import Asked, Record, Row
    from getpatter.collector.answers.releases import Comparison
    from getpatter.collector.estimate import Share

__all__ = ["errors"]

Error = tuple["str | None", "str | None"]


def errors(asked: Asked) -> list[Row]:
    """Return by how much each error became more frequent; what is worse for certain comes first."""
    try:
        release, against = pair(asked)
    except NoPairError:
        if "release" in asked.filters or "against" in asked.filters:
            raise
        return []  # there are not two releases yet
    sides = [asked.rows("errors", release=name) for name in (release, against)]
    bases = [_base(asked, name) for name in (release, against)]
    known = [
        error
        for error, records in group([*sides[0], *sides[1]], "error_layer", "error_code").items()
        if any(record["is_failed"] for record in records)
    ]
    made = []
    for error in known:
        both = [
            (_share(records, error, base[1]), *base)
            for records, base in zip(sides, bases, strict=True)
        ]
        made.append((error, compared("/".join(map(str, error)), "calls", both, CALLS_MATTER)))
    return [_row(error, one, release, against) for error, one in sorted(made, key=_rank)]


def _base(asked: Asked, release: str) -> tuple[int, int]:
    """Return the runs and the installs of which a call ended."""
    for record in asked.rows("callers", release=release, by=None):
        return int(record["runs"]), int(record["installs"])
    return 0, 0


def _share(records: list[Record], error: Error, installs: int) -> Estimate:
    rows: list[Share] = [
        (r["kept"], r["grp"], int(r["n"]) if _is(r, error) else 0, int(r["n"])) for r in records
    ]
    return ratio(rows, installs)


def _is(record: Record, error: Error) -> bool:
    return bool(record["is_failed"]) and (record["error_layer"], record["error_code"]) == error


def _rank(made: tuple[Error, Comparison]) -> tuple[bool, float]:
    _, one = made
    return one.verdict.word != WORSE, -(one.found.estimate or 0.0)


def _row(error: Error, one: Comparison, release: str, against: str) -> Row:
    layer, code = (part or "not said" for part in error)
    cell = {
        "error layer": layer,
        "error code": code,
        "release": release,
        "against": against,
        "verdict": one.says(),
    }
    return row(cell, one.found, runs=one.runs, installs=one.installs, unit="difference of shares")
