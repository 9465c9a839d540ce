"""Writes groups of batches: columns instead of rows, through Arrow, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import nanoarrow

from getpatter.collector.batch import BatchAnswer, RefusedEvent
from getpatter.collector.limits import DAY
from getpatter.collector.store.columns import FIELDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from duckdb import DuckDBPyConnection

    from getpatter.collector.batch import ReceivedBatch, RefusalKind

__all__ = [
    "digest",
    "insert",
    "refuse_erased",
    "write_events",
    "write_losses",
    "write_refusals",
]

_ERASED = "erased"  # the rule by which events of an erased install are refused

_ARROW = {
    "VARCHAR": nanoarrow.string(),
    "UUID": nanoarrow.string(),
    "BOOLEAN": nanoarrow.bool_(),
    "INTEGER": nanoarrow.int32(),
    "UINTEGER": nanoarrow.uint32(),
    "BIGINT": nanoarrow.int64(),
    "UBIGINT": nanoarrow.uint64(),
    "USMALLINT": nanoarrow.uint16(),
    "UTINYINT": nanoarrow.uint8(),
    "DOUBLE": nanoarrow.float64(),
}
_DATE = "DATE '1970-01-01' + day AS day"
_Columns = Mapping[str, "tuple[str, Sequence[Any]]"]


class _Rows:
    """Columns as an Arrow stream. DuckDB asks for it more than once: each time it is a new one."""

    def __init__(self, columns: _Columns) -> None:
        names = {name: _ARROW[kind] for name, (kind, _) in columns.items()}
        children = [nanoarrow.c_array(values, _ARROW[kind]) for kind, values in columns.values()]
        length = len(next(iter(columns.values()))[1])
        self._array = nanoarrow.c_array_from_buffers(
            nanoarrow.struct(names), length, [None], children=children, move=True
        )

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return nanoarrow.ArrayStream(self._array).__arrow_c_stream__(requested_schema)


def insert(
    connection: DuckDBPyConnection, table: str, columns: _Columns, *, has_day: bool = False
) -> None:
    """Append rows to `table`: column → (type, values). With `has_day`, `day` counts from 1970."""
    connection.register("incoming", _Rows(columns))
    try:
        connection.execute(
            f"INSERT INTO {table} BY NAME "
            f"SELECT *{f' REPLACE ({_DATE})' if has_day else ''} FROM incoming"
        ).fetchall()
    finally:
        connection.unregister("incoming")


def digest(install_id: str) -> str:
    """Return what stands for an erased install; it does not reveal the id."""
    return sha256(f"getpatter erased {install_id}".encode()).hexdigest()


def refuse_erased(batch: ReceivedBatch, erased: Collection[str]) -> BatchAnswer:
    """Refuse what comes from an erased install; return the answer to the batch."""
    if erased:
        gone = [index for index, event in batch.events if digest(event["install_id"]) in erased]
        if gone:
            batch.events = [entry for entry in batch.events if entry[0] not in set(gone)]
            batch.refused += [RefusedEvent(index, "/install_id", _ERASED) for index in gone]
            batch.refused.sort(key=lambda refusal: refusal.index)
            kind: RefusalKind = (200, None, None, "/install_id", _ERASED, None)
            batch.refusals += [kind] * len(gone)
    return BatchAnswer(len(batch.events), tuple(batch.refused))


@lru_cache(maxsize=65_536)
def _group(install_id: str) -> int:
    return sha256(install_id.encode()).digest()[0] % 64


@lru_cache(maxsize=65_536)
def _draw(run_id: str) -> int:
    # As every client computes it: the first 8 hexadecimal digits of SHA-256.
    return int.from_bytes(sha256(run_id.encode()).digest()[:4], "big")


def write_events(
    connection: DuckDBPyConnection, batches: list[ReceivedBatch], commit_no: int
) -> None:
    """Append the valid events of `batches`."""
    events: list[dict[str, Any]] = []
    received: list[int] = []
    days: list[int] = []
    ages: list[int] = []
    rates: list[float | None] = []
    legacies: list[bool] = []
    for batch in batches:
        count = len(batch.events)
        events += [event for _, event in batch.events]
        received += [batch.received] * count
        days += [(batch.received - batch.age) // DAY] * count
        ages += [batch.age] * count
        rates += [batch.rate] * count
        legacies += [batch.key.is_legacy] * count
    if not events:
        return
    columns: dict[str, tuple[str, Sequence[Any]]] = {
        "commit_no": ("BIGINT", [commit_no] * len(events)),
        "received": ("BIGINT", received),
        "day": ("INTEGER", days),
        "age": ("INTEGER", ages),
        "rate": ("DOUBLE", rates),
        "legacy": ("BOOLEAN", legacies),
        "grp": ("UTINYINT", [_group(event["install_id"]) for event in events]),
        "draw": ("UINTEGER", [_draw(event["run_id"]) for event in events]),
    }
    present = set().union(*events)
    for field, kind in FIELDS.items():
        if field in present:
            columns[field] = kind, _values(kind, [event.get(field) for event in events])
    insert(connection, "hot_events", columns, has_day=True)


def _values(kind: str, values: list[Any]) -> list[Any]:
    if kind == "INTEGER" and float in map(type, values):  # 5.0 is a whole number in JSON
        return [None if value is None else int(value) for value in values]
    if kind == "DOUBLE":
        return [None if value is None else float(value) for value in values]
    return values


def write_losses(connection: DuckDBPyConnection, batches: list[ReceivedBatch]) -> None:
    """Append what clients report as lost."""
    rows = [
        ((batch.received - batch.age) // DAY, _release(batch), event, reason, count)
        for batch in batches
        for (event, reason), count in batch.losses.items()
    ]
    if rows:
        days, releases, events, reasons, counts = zip(*rows, strict=True)
        columns: _Columns = {
            "day": ("INTEGER", days),
            "sdk_version": ("VARCHAR", releases),
            "event": ("VARCHAR", events),
            "reason": ("VARCHAR", reasons),
            "n": ("BIGINT", counts),
        }
        insert(connection, "losses", columns, has_day=True)


def _release(batch: ReceivedBatch) -> str | None:
    return batch.events[0][1]["sdk_version"] if batch.events else None


def write_refusals(
    connection: DuckDBPyConnection,
    batches: list[ReceivedBatch],
    refusals: Mapping[RefusalKind, int],
    now: int,
) -> None:
    """Append counts of refusals: of events in `batches`, and of requests as a whole."""
    counts = Counter(refusals)
    for batch in batches:
        counts.update(batch.refusals)
    if not counts:
        return
    names = ("status", "schema_version", "event", "pointer", "rule", "sdk_version")
    kinds = ("USMALLINT", "UTINYINT", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR")
    values = zip(*counts, strict=True)
    columns: dict[str, tuple[str, Any]] = {
        name: (kind, list(column)) for name, kind, column in zip(names, kinds, values, strict=True)
    }
    columns["day"] = "INTEGER", [now // DAY] * len(counts)
    columns["n"] = "BIGINT", list(counts.values())
    insert(connection, "refusals", columns, has_day=True)
