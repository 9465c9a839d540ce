"""Opens the database file of a store: locked, configured, of our version, with its views.

Nothing is fetched: extensions are neither installed nor loaded, files outside the data directory
cannot be read, and the configuration is locked. All exceptions are `StoreError`, in one line.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from importlib import resources
from typing import TYPE_CHECKING

import duckdb

from getpatter.collector import clock
from getpatter.collector.limits import CHECKPOINT_BYTES, DUCKDB_MEMORY
from getpatter.collector.store import migrate, rollups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

__all__ = [
    "HOT",
    "StoreError",
    "connect",
    "invalidates",
    "lock",
    "open_database",
    "refresh_views",
    "rolled_back",
]

HOT = "hot.duckdb"
_LOCK = "lock"

#: What an event weighs is 1 / kept. Clients without a key stamp the rate on errors, too, though
#: they always keep them.
_VIEW = """
CREATE OR REPLACE VIEW {name} AS SELECT *, CASE
  WHEN legacy AND (outcome = 'error' OR error_code IS NOT NULL) THEN 1.0
  ELSE coalesce(sample_rate, 1.0)
END AS kept FROM ({rows}) AS raw
"""


class StoreError(Exception):
    """The store cannot be used; the message says why, in one line, with nothing of its content."""


def lock(directory: str) -> int:
    """Take the store for this process; return the open lock. StoreError if another one has it."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    descriptor = os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        message = f"another process uses the store in {directory}"
        raise StoreError(message) from None
    return descriptor


def connect(directory: str, name: str = HOT) -> DuckDBPyConnection:
    """Return a connection to a database file of `directory`, which can reach nothing else."""
    connection = duckdb.connect(
        os.path.join(directory, name),
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            "checkpoint_threshold": CHECKPOINT_BYTES,
            "memory_limit": DUCKDB_MEMORY,
            "preserve_insertion_order": "false",
            "temp_directory": os.path.join(directory, "temporary"),
            "threads": "2",
        },
    )
    quoted = directory.replace("'", "''")
    for statement in (
        f"SET allowed_directories = ['{quoted}/']",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement).fetchall()
    return connection


def open_database(directory: str) -> tuple[DuckDBPyConnection, list[str]]:
    """Return a connection to the store in `directory`, which is made if there is none, and what
    is to be said of it, a line each.
    """
    warnings: list[str] = []
    try:
        connection = connect(directory)
    except duckdb.Error as error:
        if not _set_aside_wal(directory):
            message = f"the store in {directory} cannot be opened ({type(error).__name__})"
            raise StoreError(message) from None
        warnings.append(
            "the write-ahead log could not be read and was set aside as "
            f"{HOT}.wal.unreadable: what was acknowledged since the last checkpoint may be missing"
        )
        try:
            connection = connect(directory)
        except duckdb.Error as again:
            message = f"the store in {directory} cannot be opened ({type(again).__name__})"
            raise StoreError(message) from None
    try:
        _prepare(connection, directory)
    except BaseException:
        connection.close()
        raise
    return connection, warnings


def _set_aside_wal(directory: str) -> bool:
    wal = os.path.join(directory, f"{HOT}.wal")
    try:
        if os.path.getsize(wal) == 0:
            return False
        os.replace(wal, f"{wal}.unreadable")
    except OSError:
        return False
    return True


def _prepare(connection: DuckDBPyConnection, directory: str) -> None:
    try:
        is_new = not connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'"
        ).fetchall()
        connection.execute("BEGIN").fetchall()
        if is_new:
            text = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
            connection.execute(text).fetchall()
            connection.execute("INSERT INTO meta VALUES ('made', ?)", [str(clock.now())]).fetchall()
        version = int(read_meta(connection, "version"))
        if version > migrate.VERSION:
            message = (
                f"the store in {directory} has version {version}, and this getpatter knows "
                f"{migrate.VERSION} at most: use a newer one"
            )
            raise StoreError(message)
        if migrate.upgrade(connection, version) < migrate.VERSION:
            message = f"the store in {directory} has version {version}, which cannot be upgraded"
            raise StoreError(message)
        refresh_views(connection, directory)
        connection.execute("COMMIT").fetchall()
    except duckdb.Error as error:
        message = f"the store in {directory} cannot be used ({type(error).__name__})"
        raise StoreError(message) from None


def read_meta(connection: DuckDBPyConnection, name: str) -> str:
    """Return a value of the table `meta`."""
    rows = connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchall()
    return str(rows[0][0])


def refresh_views(connection: DuckDBPyConnection, directory: str) -> None:
    """Define the views anew: `hot` over the open weeks, `events` over the closed months, too."""
    files = [row[0] for row in connection.execute("SELECT file FROM months ORDER BY 1").fetchall()]
    months = ""
    if files:
        paths = ", ".join(
            "'" + os.path.join(directory, "months", name).replace("'", "''") + "'" for name in files
        )
        months = f" UNION ALL BY NAME SELECT * FROM read_parquet([{paths}])"
    hot = "SELECT * FROM hot_events"
    connection.execute(_VIEW.format(name="hot", rows=hot)).fetchall()
    connection.execute(_VIEW.format(name="events", rows=f"{hot}{months}")).fetchall()
    for name in rollups.NAMES:
        connection.execute(rollups.view(connection, name)).fetchall()


@contextmanager
def rolled_back(connection: DuckDBPyConnection) -> Iterator[None]:
    """End an open transaction if the block fails; leave the error as it is."""
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # none is open, or nothing works any more
            connection.execute("ROLLBACK").fetchall()
        raise


def invalidates(error: Exception) -> bool:
    """Return whether the database has to be reopened after `error`."""
    return isinstance(error, duckdb.FatalException | duckdb.InternalException | duckdb.IOException)
