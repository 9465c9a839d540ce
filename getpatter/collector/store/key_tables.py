"""The keys of the last eight days: a table for each hour, without an index.

A lookup scans one hour; what is too old goes by dropping its table.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import nanoarrow
import orjson

from getpatter.collector.batch import BatchAnswer, RefusedEvent
from getpatter.collector.keys import Key, RecentKeys
from getpatter.collector.limits import HOUR, KEY_SECONDS, LEGACY_KEY_SECONDS
from getpatter.collector.store.append import insert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb import DuckDBPyConnection

    from getpatter.collector.batch import ReceivedBatch

__all__ = ["KeyTables"]

# Received, age, rate and legacy: what a batch was, for as long as its key is kept.
_TABLE = """
CREATE TABLE keys.h{hour} (
  high UBIGINT, low UBIGINT, received BIGINT, age INTEGER, rate DOUBLE, legacy BOOLEAN,
  accepted USMALLINT, refused VARCHAR
)
"""


class KeyTables:
    """Finds and writes keys. Owned by the thread that commits."""

    def __init__(self, connection: DuckDBPyConnection, now: int) -> None:
        self._connection = connection
        rows = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'keys'"
        ).fetchall()
        self._hours = {int(row[0][1:]) for row in rows}
        self.recent = RecentKeys(now)
        for hour in sorted(hour for hour in self._hours if hour >= self.recent.oldest):
            self.recent.load(hour, self._halves(hour))

    def _halves(self, hour: int) -> array[int]:
        """Return the first halves of an hour in order, without a Python object for each."""
        found = array("Q")
        cursor = self._connection.cursor()
        relation = cursor.sql(f"SELECT high FROM keys.h{hour} ORDER BY high")
        for chunk in nanoarrow.c_array_stream(relation):
            column = chunk.view().child(0)
            start = column.offset * found.itemsize
            data = memoryview(column.buffer(1)).cast("B")
            found.frombytes(data[start : start + column.length * found.itemsize])
        cursor.close()
        return found

    def find(self, keys: Iterable[Key], now: int) -> dict[Key, BatchAnswer]:
        """Return the first answers to those of `keys` that were seen before."""
        wanted: dict[int, list[Key]] = {}
        for key in keys:
            for hour in self.recent.tables(key):
                if hour in self._hours:
                    wanted.setdefault(hour, []).append(key)
        found: dict[Key, BatchAnswer] = {}
        for hour, candidates in wanted.items():
            rows = self._connection.execute(
                f"SELECT high, low, legacy, received, accepted, refused FROM keys.h{hour} "
                "WHERE high IN (SELECT unnest($1::UBIGINT[])) ORDER BY received",
                [[key.high for key in candidates]],
            ).fetchall()
            known = {
                (high, low, legacy): BatchAnswer(accepted, _refusals(refused), is_repeated=True)
                for high, low, legacy, received, accepted, refused in rows
                if not legacy or now - received <= LEGACY_KEY_SECONDS
            }
            for key in candidates:
                if answer := known.get((key.high, key.low, key.is_legacy)):
                    found[key] = answer
        return found

    def write(self, batches: list[ReceivedBatch], answers: list[BatchAnswer]) -> None:
        """Append keys with their answers, in the caller's transaction."""
        by_hour: dict[int, list[tuple[ReceivedBatch, BatchAnswer]]] = {}
        for batch, answer in zip(batches, answers, strict=True):
            by_hour.setdefault(batch.key.hour, []).append((batch, answer))
        for hour, pairs in by_hour.items():
            if hour not in self._hours:
                self._connection.execute(_TABLE.format(hour=hour)).fetchall()
            columns: dict[str, tuple[str, list[Any]]] = {
                "high": ("UBIGINT", [b.key.high for b, _ in pairs]),
                "low": ("UBIGINT", [b.key.low for b, _ in pairs]),
                "received": ("BIGINT", [b.received for b, _ in pairs]),
                "age": ("INTEGER", [b.age for b, _ in pairs]),
                "rate": ("DOUBLE", [b.rate for b, _ in pairs]),
                "legacy": ("BOOLEAN", [b.key.is_legacy for b, _ in pairs]),
                "accepted": ("USMALLINT", [a.accepted for _, a in pairs]),
                "refused": ("VARCHAR", [_text(a.refused) for _, a in pairs]),
            }
            insert(self._connection, f"keys.h{hour}", columns)

    def committed(self, batches: list[ReceivedBatch], now: int) -> None:
        """Remember the keys of `batches`, which have been committed."""
        for batch in batches:
            self._hours.add(batch.key.hour)
            self.recent.add(batch.key)
        self.recent.forget(now)

    def expired(self, now: int) -> list[int]:
        """Return the hours whose keys are no longer honoured."""
        return sorted(hour for hour in self._hours if hour < (now - KEY_SECONDS) // HOUR)

    def drop(self, hours: list[int]) -> None:
        """Drop the tables of `hours`."""
        for hour in hours:
            self._connection.execute(f"DROP TABLE IF EXISTS keys.h{hour}").fetchall()
            self._hours.discard(hour)


def _text(refused: tuple[RefusedEvent, ...]) -> str | None:
    if not refused:
        return None
    return orjson.dumps([(r.index, r.pointer, r.rule) for r in refused]).decode()


def _refusals(text: str | None) -> tuple[RefusedEvent, ...]:
    return tuple(RefusedEvent(*entry) for entry in orjson.loads(text)) if text else ()
