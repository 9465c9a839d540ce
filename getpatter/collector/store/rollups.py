"""Roll-ups: what answers sum up. They add up, so a fold appends and a merge sums.

A roll-up is `rollups/NAME.sql`, which reads `fresh` (events, each with `kept`). Its rows go to the
table NAME_parts, and the view NAME is their sum. Rebuilt from all events, the view is the same.

Of runs a merge leaves one row each in `runs_whole`, so that the view has to sum up only those that
have newer parts: there are too many runs to group them all for each answer.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["NAMES", "erase", "fold", "merge", "rebuild", "sum_up", "view"]

NAMES = ("runs", "calls", "callers", "numbers", "setups", "faults")
#: Those whose rows name an install: an erasure deletes them. From the others it subtracts.
_OF_INSTALLS = ("runs", "callers", "setups", "faults")
_LEAST = frozenset({"day", "rate_low", "first_seen", "first_block", "first_call"})


def _definition(name: str, fresh: str) -> str:
    text = resources.files(__package__).joinpath("rollups", f"{name}.sql").read_text("utf-8")
    return f"WITH fresh AS ({fresh})\n{text}"


def _tables(name: str) -> tuple[str, ...]:
    """Return the tables of a roll-up; the last one takes what a merge has summed up."""
    return (f"{name}_parts", "runs_whole") if name == "runs" else (f"{name}_parts",)


def _columns(connection: DuckDBPyConnection, name: str) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
        "ORDER BY column_index",
        [f"{name}_parts"],
    ).fetchall()


def view(connection: DuckDBPyConnection, name: str) -> str:
    """Return the statement that defines the view `name`."""
    columns = _columns(connection, name)
    if name != "runs":
        keys = ", ".join(column for column, kind in columns if kind != "BIGINT")
        counts = ", ".join(_summed(*column) for column in columns if column[1] == "BIGINT")
        return (
            f"CREATE OR REPLACE VIEW {name} AS SELECT {keys}, {counts} "
            f"FROM {name}_parts GROUP BY {keys} HAVING sum(n) <> 0"
        )
    sums = [_summed(column, kind) for column, kind in columns if column != "run_id"]
    newer = "run_id IN (SELECT run_id FROM runs_parts)"
    return (
        f"CREATE OR REPLACE VIEW runs AS SELECT * FROM runs_whole WHERE NOT {newer} "
        f"UNION ALL BY NAME SELECT run_id, {', '.join(sums)} FROM (SELECT * FROM runs_parts "
        f"UNION ALL BY NAME SELECT * FROM runs_whole WHERE {newer}) AS parts GROUP BY run_id"
    )


def _summed(column: str, kind: str) -> str:
    if kind == "BIGINT":
        return f"CAST(sum({column}) AS BIGINT) AS {column}"
    if kind == "BOOLEAN":
        return f"bool_or({column}) AS {column}"
    return f"{'min' if column in _LEAST else 'max'}({column}) AS {column}"


def fold(connection: DuckDBPyConnection) -> None:
    """Append what has been committed since the last fold, in the caller's transaction."""
    rows = connection.execute(
        "SELECT folded, (SELECT max(commit_no) FROM hot_events) FROM folds"
    ).fetchall()
    folded, newest = rows[0]
    if newest is None or newest <= folded:
        return
    _append(connection, f"SELECT * FROM hot WHERE commit_no > {folded} AND commit_no <= {newest}")
    connection.execute("UPDATE folds SET folded = ?", [newest]).fetchall()


def _append(connection: DuckDBPyConnection, fresh: str) -> None:
    for name in NAMES:
        connection.execute(
            f"INSERT INTO {name}_parts BY NAME {_definition(name, fresh)}"
        ).fetchall()


def merge(connection: DuckDBPyConnection) -> None:
    """Replace the parts by their sums, in the caller's transaction."""
    for name in NAMES:
        connection.execute(f"CREATE TEMP TABLE merged AS SELECT * FROM {name}").fetchall()
        tables = _tables(name)
        for table in tables:
            connection.execute(f"TRUNCATE {table}").fetchall()
        connection.execute(f"INSERT INTO {tables[-1]} BY NAME SELECT * FROM merged").fetchall()
        connection.execute("DROP TABLE merged").fetchall()


def sum_up(connection: DuckDBPyConnection, table: str) -> None:
    """Make one row of the rows of `table` that differ in their count `n` only."""
    connection.execute(
        "CREATE TEMP TABLE summed AS "
        f"SELECT * REPLACE (CAST(sum(n) AS BIGINT) AS n) FROM {table} GROUP BY ALL"
    ).fetchall()
    connection.execute(f"TRUNCATE {table}").fetchall()
    connection.execute(f"INSERT INTO {table} SELECT * FROM summed").fetchall()
    connection.execute("DROP TABLE summed").fetchall()


def rebuild(connection: DuckDBPyConnection) -> None:
    """Make the roll-ups anew of the raw events; days of which none are kept stay as they are."""
    fold(connection)
    oldest = connection.execute("SELECT min(day) FROM events").fetchall()[0][0]
    if oldest is None:
        return
    for name in NAMES:
        for table in _tables(name):
            connection.execute(f"DELETE FROM {table} WHERE day >= ?", [oldest]).fetchall()
    _append(connection, "SELECT * FROM events")


def erase(connection: DuckDBPyConnection, install_id: str) -> None:
    """Take an install out of all roll-ups, in the transaction that deletes its events after it.

    `install_id` has been checked: 32 hexadecimal digits.
    """
    fold(connection)
    fresh = f"SELECT * FROM events WHERE install_id = '{install_id}'"
    for name in NAMES:
        if name in _OF_INSTALLS:
            for table in _tables(name):
                connection.execute(
                    f"DELETE FROM {table} WHERE install_id = ?",
                    [install_id],
                ).fetchall()
        else:
            connection.execute(
                f"INSERT INTO {name}_parts BY NAME "
                f"SELECT * REPLACE (-n AS n) FROM ({_definition(name, fresh)}) AS gone"
            ).fetchall()
