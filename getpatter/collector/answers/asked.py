"""A question that was asked: runs its SQL on a store, and makes rows of estimates."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from dataclasses import field as default
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from getpatter.collector.estimate import Estimate, is_few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from getpatter.collector.store import Rows

    Query = Callable[[str, Mapping[str, Any]], Rows]

__all__ = ["Asked", "Record", "Row", "counted", "group", "row", "text_of"]

#: A row of a query: column → value.
Record = dict[str, Any]
Row = dict[str, Any]

_PARAMETER = re.compile(r"\$([a-z][a-z0-9_]*)")
_PARAMETERS = (
    "release", "against", "os", "carrier", "engine", "provider", "direction", "since", "until",
    "by", "field",
)  # fmt: skip


@lru_cache(maxsize=64)
def text_of(name: str) -> str:
    """Return the text of a query."""
    return resources.files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")


@dataclass(slots=True)
class Asked:
    """`filters` are checked; `run` is the store's `query`."""

    run: Query
    filters: dict[str, str]
    field: str | None = None
    queries: list[str] = default(default_factory=list)  # those that were run

    def rows(self, name: str, **more: Any) -> list[Record]:  # noqa: ANN401 - values of any type
        """Run a query with the filters, and `more`, as its parameters."""
        text = text_of(name)
        if name not in self.queries:
            self.queries.append(name)
        known = {**dict.fromkeys(_PARAMETERS), "field": self.field, **self.filters, **more}
        found = self.run(text, {p: known[p] for p in set(_PARAMETER.findall(text))})
        return [dict(zip(found.columns, values, strict=True)) for values in found.rows]

    def cell(self, part: str | None, **more: str) -> dict[str, str]:
        """Return the cell of a row: the value of what it is broken down by, and `more`."""
        by = self.filters.get("by")
        return {**({by: "not said" if part is None else part} if by else {}), **more}


def group(records: Iterable[Record], *keys: str) -> dict[Any, list[Record]]:
    """Return the records by the values of `keys` (one value, or a tuple), sorted."""
    found: defaultdict[Any, list[Record]] = defaultdict(list)
    for record in records:
        found[tuple(record[key] for key in keys)].append(record)
    ordered = sorted(found, key=lambda key: [("" if v is None else str(v)) for v in key])
    return {(key[0] if len(keys) == 1 else key): found[key] for key in ordered}


def row(
    cell: dict[str, str],
    found: Estimate,
    *,
    runs: int,
    installs: int,
    events: int | None = None,
    unit: str = "share",
) -> Row:
    """Return a row of an answer. It rests on so many events, runs and installs."""
    return {
        "cell": {**cell, "unit": unit},
        "estimate": found.estimate,
        "lower": found.lower,
        "upper": found.upper,
        "events": found.drawn if events is None else int(events),
        "runs": int(runs),
        "installs": int(installs),
        "few": is_few(int(installs), found.groups),
    }


def counted(
    cell: dict[str, str],
    count: int,
    *,
    events: int,
    runs: int = 0,
    installs: int | None = 0,
    unit: str = "count",
) -> Row:
    """Return a row of something that is never sampled: a count, not an estimate.

    Without `installs` it is not known of how many, so neither whether these are few.
    """
    whole = int(count)
    exact = Estimate(whole, whole, whole, "counted", 64.0, int(events))
    made = row(cell, exact, runs=runs, installs=installs or 0, unit=unit)
    return made if installs is not None else {**made, "few": False}
