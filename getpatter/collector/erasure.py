"""Erasure: what is kept of an install goes, and what arrives for it later is refused.

A deleted row is still in the database file until that is rewritten: until then a receipt says
`pending`, from then on `erased`. Of the install id only a digest is kept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from getpatter.collector import clock
from getpatter.collector.store import months, rollups
from getpatter.collector.store.append import digest
from getpatter.collector.store.database import HOT, connect

if TYPE_CHECKING:
    from getpatter.collector.store import Store

__all__ = [
    "Mark",
    "erase",
    "erase_marked",
    "is_pending",
    "marks_of",
    "receipt_state",
    "rewrite",
    "snapshot",
]

#: Receipt, digest of the install id, when it was asked for, when it was erased.
Mark = tuple[str, str, int, "int | None"]

_FRESH = "fresh.duckdb"


def erase(store: Store, install_id: str) -> str:
    """Erase an install, known or not; return the receipt. Asked again, it is the same one."""
    mark = digest(install_id)
    known = store.query("SELECT receipt FROM receipts WHERE digest = $mark", {"mark": mark}).rows
    if known:
        return str(known[0][0])
    receipt = clock.random_id()
    with store.transaction() as connection:
        rollups.erase(connection, install_id)
        files = months.erase(connection, store.directory, install_id)
        connection.execute("DELETE FROM hot_events WHERE install_id = ?", [install_id]).fetchall()
        connection.execute(
            "INSERT INTO receipts VALUES (?, ?, ?, NULL)", [receipt, mark, clock.now()]
        ).fetchall()
    store.add_tombstone(mark)
    months.remove(store.directory, files)
    return receipt


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
    with store.alone():
        before = sum(os.path.getsize(p) for p in (path, f"{path}.wal") if os.path.exists(p))
        _remove(fresh)
        _copy(store, fresh)
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


def _copy(store: Store, fresh: str) -> None:
    """Write what the database holds into the file `fresh`, durably."""
    connection = store.connection
    quoted = fresh.replace("'", "''")
    connection.execute("CHECKPOINT").fetchall()
    connection.execute(f"ATTACH '{quoted}' AS fresh").fetchall()
    try:
        name = HOT.partition(".")[0]
        connection.execute(f"COPY FROM DATABASE {name} TO fresh").fetchall()
        connection.execute("CHECKPOINT fresh").fetchall()
    finally:
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


def snapshot(store: Store, path: str) -> None:
    """Write what the database holds into a file of the data directory, while nothing is written."""
    with store.alone():
        _remove(path)
        _copy(store, path)


def marks_of(directory: str) -> list[Mark]:
    """Return the receipts of a store that no process uses."""
    connection = connect(directory)
    try:
        return connection.execute("SELECT receipt, digest, asked, erased FROM receipts").fetchall()
    finally:
        connection.close()


def erase_marked(store: Store, marks: list[Mark]) -> int:
    """Apply the erasures of another store to this one; return how many installs they erased."""
    known = {row[0] for row in store.query("SELECT digest FROM receipts").rows}
    missing = {mark: (receipt, asked) for receipt, mark, asked, _ in marks if mark not in known}
    found = 0
    for (install,) in store.query("SELECT DISTINCT CAST(install_id AS VARCHAR) FROM events").rows:
        install_id = str(install).replace("-", "")
        if digest(install_id) in missing:
            erase(store, install_id)
            found += 1
    with store.transaction() as connection:
        for mark, (receipt, asked) in missing.items():
            connection.execute("DELETE FROM receipts WHERE digest = ?", [mark]).fetchall()
            connection.execute(
                "INSERT INTO receipts VALUES (?, ?, ?, NULL)", [receipt, mark, asked]
            ).fetchall()
            store.add_tombstone(mark)
    return found
