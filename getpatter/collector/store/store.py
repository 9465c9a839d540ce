"""The store: `append` writes groups of batches, `query` reads. What both promise survives a kill.

Group commits hold one lock, folds another; what changes both or replaces the file holds both, in
the order fold, write. Queries run beside all of them, on cursors of their own. After an error that
invalidates the database it is reopened once, and what the failed commit has made durable is
recognised by its keys. If that fails too, the process has to end: `StoreError`.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from getpatter.collector import clock
from getpatter.collector.batch import BatchAnswer, ReceivedBatch
from getpatter.collector.store import months, rollups
from getpatter.collector.store.append import (
    refuse_erased,
    write_events,
    write_losses,
    write_refusals,
)
from getpatter.collector.store.database import (
    StoreError,
    invalidates,
    lock,
    open_database,
    rolled_back,
)
from getpatter.collector.store.key_tables import KeyTables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from duckdb import DuckDBPyConnection

    from getpatter.collector.batch import RefusalKind

__all__ = ["Rows", "Store"]


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer to a query."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Store:
    """The data directory of a collector. `warnings` are messages about its opening."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lock = lock(directory)
        self._fold = threading.RLock()
        self._write = threading.RLock()
        self._idle = threading.Condition()
        self.copying = threading.Lock()  # held, before any other, by what copies the database
        self._queries = 0
        self._generation = 0  # how often the database was opened
        self.warnings: list[str] = []
        try:
            months.sweep_copies(directory)
            self._open()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> None:
        self.connection, warnings = open_database(self.directory)
        self._generation += 1
        self.warnings += warnings
        months.sweep(self.connection, self.directory)
        self._keys = KeyTables(self.connection, clock.now())
        rows = self.connection.execute(
            "SELECT greatest(folded, (SELECT max(commit_no) FROM hot_events)) FROM folds"
        ).fetchall()
        self._commit_no = int(rows[0][0])  # never one that has been folded
        rows = self.connection.execute("SELECT digest FROM receipts").fetchall()
        self._erased = {row[0] for row in rows}
        rows = self.connection.execute(
            "SELECT DISTINCT sdk_version FROM runs WHERE sdk_version IS NOT NULL LIMIT 10000"
        ).fetchall()
        #: Releases of which an event was taken: only these are named in what is counted.
        self.releases = {row[0] for row in rows}

    def close(self) -> None:
        """Write everything into the database file and let go of the store."""
        with self.alone():
            self.connection.close()
        os.close(self._lock)

    # Writing

    def append(
        self, batches: list[ReceivedBatch], refusals: Mapping[RefusalKind, int] | None = None
    ) -> list[BatchAnswer]:
        """Keep `batches`, durably and each once; return the answers in the same order.

        `refusals` are counts of requests that were refused as a whole.
        """
        generation = self._generation
        try:
            return self._write_group(batches, refusals or {})
        except Exception as error:
            if not invalidates(error):
                raise
        self._reopen(generation)
        # What the failed commit made durable is found by its keys.
        return self._write_group(batches, refusals or {})

    def _write_group(
        self, batches: list[ReceivedBatch], refusals: Mapping[RefusalKind, int]
    ) -> list[BatchAnswer]:
        with self._write, rolled_back(self.connection):
            return self._append(batches, refusals)

    def reopen(self) -> None:
        """Close the database and open it again."""
        self._reopen(self._generation)

    def _reopen(self, generation: int) -> None:
        with self.alone():
            if self._generation != generation:
                return  # the first caller has done it
            with suppress(duckdb.Error):  # it is invalid: what matters is that its file is let go
                self.connection.close()
            self._open()

    def _append(
        self, batches: list[ReceivedBatch], refusals: Mapping[RefusalKind, int]
    ) -> list[BatchAnswer]:
        now = clock.now()
        found = self._keys.find((batch.key for batch in batches), now)
        answers: list[BatchAnswer] = []
        fresh: list[ReceivedBatch] = []
        fresh_answers: list[BatchAnswer] = []
        first: dict[tuple[int, int, bool], BatchAnswer] = {}
        for batch in batches:
            same = batch.key.high, batch.key.low, batch.key.is_legacy
            answer = found.get(batch.key) or first.get(same)
            if answer is None:
                answer = refuse_erased(batch, self._erased)
                first[same] = BatchAnswer(answer.accepted, answer.refused, is_repeated=True)
                fresh.append(batch)
                fresh_answers.append(answer)
            answers.append(answer)
        if fresh or refusals:
            self._commit(fresh, fresh_answers, refusals, now)
        return answers

    def _commit(
        self,
        batches: list[ReceivedBatch],
        answers: list[BatchAnswer],
        refusals: Mapping[RefusalKind, int],
        now: int,
    ) -> None:
        number = self._commit_no + 1
        connection = self.connection
        connection.execute("BEGIN").fetchall()
        write_events(connection, batches, number)
        write_losses(connection, batches)
        self._keys.write(batches, answers)
        write_refusals(connection, batches, refusals, now)
        connection.execute("COMMIT").fetchall()
        self._commit_no = number
        self._keys.committed(batches, now)
        if len(self.releases) < 10_000:  # what is beyond is nobody's release
            self.releases.update(e["sdk_version"] for b in batches for _, e in b.events)

    # Reading

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Return what `sql` finds; values go in as `$name`, never into the text.

        `fold` first, and the roll-ups say what has been acknowledged by then.
        """
        with self._reading() as connection:
            cursor = connection.cursor()
            try:
                cursor.execute(sql, dict(parameters) if parameters else None)
                columns = tuple(column[0] for column in cursor.description or ())
                return Rows(columns, cursor.fetchall())
            finally:
                cursor.close()

    @contextmanager
    def _reading(self) -> Iterator[DuckDBPyConnection]:
        with self._idle:
            self._queries += 1
            connection = self.connection
        try:
            yield connection
        finally:
            with self._idle:
                self._queries -= 1
                self._idle.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold back everything that writes or reads: for what replaces the database file."""
        with self._fold, self._write, self._idle:
            while self._queries:
                self._idle.wait()
            yield

    @contextmanager
    def snapshot(self) -> Iterator[tuple[DuckDBPyConnection, list[str]]]:
        """Give a transaction that sees the store as of now, and the files of its closed months,
        linked into a folder that `months.sweep_copies` removes. Writing goes on meanwhile.
        """
        with ExitStack() as stack:
            with self._fold:  # no month closes, and nothing is erased, until the files are linked
                connection = stack.enter_context(self._reading())
                cursor = stack.enter_context(closing(connection.cursor()))
                cursor.execute("BEGIN").fetchall()
                files = months.link(cursor, self.directory)
            yield cursor, files

    # Maintenance

    @contextmanager
    def transaction(self) -> Iterator[DuckDBPyConnection]:
        """Write several statements, all or none; nothing else is written meanwhile."""
        generation = self._generation
        with self._fold, self._write:
            try:
                with rolled_back(self.connection):
                    self.connection.execute("BEGIN").fetchall()
                    yield self.connection
                    self.connection.execute("COMMIT").fetchall()
            except Exception as error:
                if invalidates(error):
                    self._reopen(generation)
                raise

    def fold(self) -> None:
        """Bring the roll-ups up to what has been acknowledged. Commits go on meanwhile."""
        self._roll_up(rollups.fold)

    def merge(self) -> None:
        """Sum the parts of the roll-ups up. Commits go on meanwhile."""
        self._roll_up(rollups.merge)

    def _roll_up(self, step: Callable[[DuckDBPyConnection], None]) -> None:
        generation = self._generation
        with self._fold:
            cursor = self.connection.cursor()
            try:
                with rolled_back(cursor):
                    cursor.execute("BEGIN").fetchall()
                    step(cursor)
                    cursor.execute("COMMIT").fetchall()
            except Exception as error:
                if invalidates(error):
                    self._reopen(generation)
                raise
            finally:
                cursor.close()

    def tidy(self) -> None:
        """Drop the keys that are no longer honoured; make one row of counts of the same thing."""
        with self.transaction() as connection:
            self._keys.drop(self._keys.expired(clock.now()))
            rollups.sum_up(connection, "losses")
            rollups.sum_up(connection, "refusals")

    def rebuild(self) -> None:
        """Make the roll-ups anew of the raw events."""
        with self.transaction() as connection:
            rollups.rebuild(connection)

    def add_tombstone(self, mark: str) -> None:
        """Refuse from now on what the install with this digest sends."""
        self._erased.add(mark)

    @property
    def erasures(self) -> int:
        """How many installs have been erased."""
        return len(self._erased)

    def is_usable(self) -> bool:
        """Return whether a commit works."""
        try:
            with self._write, rolled_back(self.connection):
                self.connection.execute("UPDATE meta SET value = value").fetchall()
        except (duckdb.Error, StoreError):
            return False
        return True
