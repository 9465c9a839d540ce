"""Erasure: what is kept of an install goes, and what arrives for it later is refused.

A deleted row is still in the database file until that is rewritten: until then a receipt says
`pending`, from then on `erased`. Of the install ID only a digest is kept, also in a file beside the
database (`tombstones`): what was erased since a backup was made is erased from the backup, too.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import duckdb

from getpatter.collector import clock, tombstones
from getpatter.collector.store import months, rollups
from getpatter.collector.store.append import digest
from getpatter.collector.store.database import HOT, connect

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from getpatter.collector.store import Store

__all__ = [
    "catch_up",
    "copy_database",
    "erase",
    "is_pending",
    "receipt_state",
    "rewrite",
    "tombstones_of",
]

_FRESH = "fresh.duckdb"
_RECEIPTS = "SELECT digest, receipt, asked FROM receipts"
# Roll-ups name installs whose raw events have gone with their month.
_INSTALLS = """
SELECT DISTINCT CAST(install_id AS VARCHAR)
FROM (SELECT install_id FROM events UNION ALL SELECT install_id FROM runs) AS everything
"""


def erase(store: Store, install_id: str) -> str:
    """Erase an install, known or not; return the receipt. Asked again, it is the same one."""
    mark = digest(install_id)
    known = store.query("SELECT receipt FROM receipts WHERE digest = $mark", {"mark": mark}).rows
    if known:
        return str(known[0][0])
    receipt = clock.random_id()
    _erase(store, install_id, receipt, clock.now())
    return receipt


def _erase(store: Store, install_id: str, receipt: str, asked: int) -> None:
    mark = digest(install_id)
    with store.transaction() as connection:
        rollups.erase(connection, install_id)
        files = months.erase(connection, store.directory, install_id)
        connection.execute("DELETE FROM hot_events WHERE install_id = ?", [install_id]).fetchall()
        _add_receipt(connection, mark, receipt, asked)
        # Before the commit: one too many is erased at the next start, one too few would come back.
        tombstones.append(store.directory, mark, receipt, asked)
    store.add_tombstone(mark)
    months.remove(store.directory, files)


def _add_receipt(connection: DuckDBPyConnection, mark: str, receipt: str, asked: int) -> None:
    connection.execute(
        "INSERT INTO receipts VALUES (?, ?, ?, NULL)", [receipt, mark, asked]
    ).fetchall()


def receipt_state(store: Store, receipt: str) -> str | None:
    """Return `pending` or `erased`; None for a receipt that was never given."""
    rows = store.query(
        "SELECT erased IS NOT NULL FROM receipts WHERE receipt = $receipt", {"receipt": receipt}
    ).rows
    if not rows:
        return None
    return "erased" if rows[0][0] else "pending"


def is_pending(store: Store) -> bool:
    """Return whether an erasure waits for the database file to be rewritten."""
    return bool(store.query("SELECT 1 FROM receipts WHERE erased IS NULL LIMIT 1").rows)


def rewrite(store: Store) -> tuple[int, int]:
    """Write the database file anew without what was deleted; return its sizes before and after.

    Nothing is read or written meanwhile. A kill at any moment leaves the old file or the new one.
    """
    path = os.path.join(store.directory, HOT)
    fresh = os.path.join(store.directory, _FRESH)
    with store.copying, store.alone():
        before = sum(os.path.getsize(p) for p in (path, f"{path}.wal") if os.path.exists(p))
        store.connection.execute("CHECKPOINT").fetchall()
        copy_database(store.connection, fresh)
        store.connection.close()
        os.replace(fresh, path)
        _remove(f"{path}.wal")
        _sync(store.directory)
        store.reopen()
        with store.transaction() as connection:
            connection.execute(
                "UPDATE receipts SET erased = ? WHERE erased IS NULL", [clock.now()]
            ).fetchall()
        return before, os.path.getsize(path)


def copy_database(connection: DuckDBPyConnection, fresh: str) -> None:
    """Write what the database holds into the file `fresh` of the data directory, durably.

    A connection that is in a transaction copies what that sees, and is through with it.
    """
    _remove(fresh)
    quoted = fresh.replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS fresh").fetchall()
    try:
        # Not `COPY FROM DATABASE`, which DuckDB 1.5 refuses within a transaction once the settings
        # are locked. There are tables and nothing else.
        name = HOT.partition(".")[0]
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = $name AND NOT temporary ORDER BY ALL",
            {"name": name},
        ).fetchall()
        for schema in sorted({schema for schema, _ in tables}):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS fresh.{schema}").fetchall()
        for schema, table in tables:
            connection.execute(
                f"CREATE TABLE fresh.{schema}.{table} AS FROM {name}.{schema}.{table}"
            ).fetchall()
        with suppress(duckdb.TransactionException):  # it is in none
            connection.execute("COMMIT").fetchall()
        connection.execute("CHECKPOINT fresh").fetchall()
    except duckdb.Error:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK").fetchall()
        with suppress(duckdb.Error):  # the transaction may have taken that back, too
            connection.execute("DETACH fresh").fetchall()
        _remove(fresh)
        raise
    connection.execute("DETACH fresh").fetchall()
    os.chmod(fresh, 0o600)
    _sync(fresh)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tombstones_of(directory: str) -> tombstones.Tombstones | None:
    """Return the erasures of a store that no process uses; None if nothing of it can be read."""
    if not os.path.exists(os.path.join(directory, HOT)):
        found: tombstones.Tombstones | None = {}
    else:
        try:
            with closing(connect(directory)) as connection:
                found = _in_database(connection.execute(_RECEIPTS).fetchall())
        except duckdb.Error:
            found = None  # it may be for that that a backup is restored
    try:
        beside = tombstones.read(os.path.join(directory, tombstones.FILE))
    except FileNotFoundError:
        return found
    return {**(found or {}), **beside}


def _in_database(rows: list[tuple[Any, ...]]) -> tombstones.Tombstones:
    return {str(mark): (str(receipt), int(asked)) for mark, receipt, asked in rows}


def catch_up(store: Store) -> int:
    """Erase what the file of erasures names and the database does not know; write into the file
    what it lacks. Return how many installs were erased.
    """
    known = _in_database(store.query(_RECEIPTS).rows)
    try:
        listed = tombstones.read(os.path.join(store.directory, tombstones.FILE))
    except FileNotFoundError:
        listed = {}
    found = _erase_listed(store, {m: entry for m, entry in listed.items() if m not in known})
    unlisted = {mark: entry for mark, entry in known.items() if mark not in listed}
    tombstones.write(store.directory, {**listed, **unlisted})
    return found


def _erase_listed(store: Store, missing: tombstones.Tombstones) -> int:
    if not missing:
        return 0
    store.fold()
    found: list[str] = []
    for (install,) in store.query(_INSTALLS).rows:
        install_id = str(install).replace("-", "")
        if (mark := digest(install_id)) in missing:
            _erase(store, install_id, *missing[mark])
            found.append(mark)
    with store.transaction() as connection:
        for mark in missing.keys() - set(found):
            _add_receipt(connection, mark, *missing[mark])
    for mark in missing:
        store.add_tombstone(mark)
    return len(found)
