"""Closed months: sorted, compressed Parquet files. Retention deletes, an erasure rewrites them.

A file is part of the store once the table `months` names it; one that it does not name is left
over from something that did not finish, and is removed at the next start.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

from getpatter.collector import clock
from getpatter.collector.limits import DAY, RETENTION_MONTHS, SETTLE_DAYS
from getpatter.collector.store import rollups
from getpatter.collector.store.database import refresh_views

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "COPY",
    "INCOMING",
    "close_months",
    "erase",
    "link",
    "link_or_copy",
    "remove",
    "retain",
    "sweep",
    "sweep_copies",
]

_FOLDER = "months"
#: Where a backup is made, and what a restore brings in: left over if either did not finish.
COPY, INCOMING = "copy", "incoming"


def _folder(directory: str) -> str:
    folder = os.path.join(directory, _FOLDER)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def sweep(connection: DuckDBPyConnection, directory: str) -> None:
    """Remove the files that are no part of the store."""
    known = {row[0] for row in connection.execute("SELECT file FROM months").fetchall()}
    folder = _folder(directory)
    for name in os.listdir(folder):
        if name not in known:
            remove(directory, [name])


def sweep_copies(directory: str) -> None:
    """Remove what a backup or a restore has left behind."""
    for name in (COPY, INCOMING):
        shutil.rmtree(os.path.join(directory, name), ignore_errors=True)


def link(connection: DuckDBPyConnection, directory: str) -> list[str]:
    """Link the files of the closed months into the folder of a copy; return their names."""
    target = os.path.join(directory, COPY, _FOLDER)
    os.makedirs(target, mode=0o700)
    names = [row[0] for row in connection.execute("SELECT file FROM months").fetchall()]
    for name in names:
        link_or_copy(os.path.join(_folder(directory), name), os.path.join(target, name))
    return names


def link_or_copy(source: str, target: str) -> None:
    """A closed month never changes, so a second name for its file is enough."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def remove(directory: str, names: list[str]) -> None:
    """Remove files that the table no longer names."""
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(_folder(directory), name))


def _write(connection: DuckDBPyConnection, directory: str, rows: str) -> str:
    """Write the rows of a query into a new file, durably; return its name."""
    name = f"{clock.random_id()}.parquet"
    path = os.path.join(_folder(directory), name)
    quoted = path.replace("'", "''")
    connection.execute(
        f"COPY (SELECT * FROM ({rows}) ORDER BY install_id, run_id, received) "
        f"TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)"
    ).fetchall()
    os.chmod(path, 0o600)
    for synced in (path, os.path.dirname(path)):
        descriptor = os.open(synced, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return name


def close_months(connection: DuckDBPyConnection, directory: str, now: int) -> int:
    """Move the months to which nothing can arrive any more into files, in the caller's
    transaction; return how many.
    """
    rows = connection.execute(
        "SELECT DISTINCT CAST(date_trunc('month', day) AS DATE) FROM hot_events ORDER BY 1"
    ).fetchall()
    today = date(1970, 1, 1) + timedelta(days=now // DAY)
    closed = [month for (month,) in rows if today - _next(month) >= timedelta(days=SETTLE_DAYS)]
    if closed:
        rollups.fold(connection)
    for month in closed:
        where = f"day >= DATE '{month}' AND day < DATE '{_next(month)}'"
        name = _write(connection, directory, f"SELECT * FROM hot_events WHERE {where}")
        connection.execute(
            f"INSERT INTO months SELECT ?, ?, count(*) FROM hot_events WHERE {where}",
            [month, name],
        ).fetchall()
        connection.execute(f"DELETE FROM hot_events WHERE {where}").fetchall()
    if closed:
        refresh_views(connection, directory)
    return len(closed)


def _next(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def retain(connection: DuckDBPyConnection, directory: str, now: int) -> list[str]:
    """Take months beyond the retention out of the store, in the caller's transaction; return their
    files, which the caller removes after it.
    """
    oldest = date(1970, 1, 1) + timedelta(days=now // DAY)
    for _ in range(RETENTION_MONTHS):
        oldest = (oldest.replace(day=1) - timedelta(days=1)).replace(day=1)
    rows = connection.execute("SELECT file FROM months WHERE month < ?", [oldest]).fetchall()
    if rows:
        connection.execute("DELETE FROM months WHERE month < ?", [oldest]).fetchall()
        refresh_views(connection, directory)
    return [row[0] for row in rows]


def erase(connection: DuckDBPyConnection, directory: str, install_id: str) -> list[str]:
    """Rewrite the files that hold events of an install, in the caller's transaction; return the
    old ones, which the caller removes after it.
    """
    old: list[str] = []
    for month, name in connection.execute("SELECT month, file FROM months").fetchall():
        path = os.path.join(_folder(directory), name).replace("'", "''")
        rows = connection.execute(
            f"SELECT count(*) FROM read_parquet('{path}') WHERE install_id = ?",
            [install_id],
        ).fetchall()
        if not rows[0][0]:
            continue
        kept = f"SELECT * FROM read_parquet('{path}') WHERE install_id <> '{install_id}'"
        new = _write(connection, directory, kept)
        connection.execute("DELETE FROM months WHERE file = ?", [name]).fetchall()
        connection.execute(
            f"INSERT INTO months SELECT ?, ?, count(*) FROM ({kept})",
            [month, new],
        ).fetchall()
        old.append(name)
    if old:
        refresh_views(connection, directory)
    return old
