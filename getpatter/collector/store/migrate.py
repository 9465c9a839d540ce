"""Brings a store of an earlier version to this one: a step a version, all in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

__all__ = ["STEPS", "VERSION", "upgrade"]

#: The version that this module writes.
VERSION = 1

#: Version → the statements that make the next one of it.
STEPS: Mapping[int, str] = {}


def upgrade(connection: DuckDBPyConnection, version: int, steps: Mapping[int, str] = STEPS) -> int:
    """Take the steps from `version` on; return the version that they end at. The caller's
    transaction takes them all, or none.
    """
    while version in steps:
        connection.execute(steps[version]).fetchall()
        version += 1
        connection.execute(
            "UPDATE meta SET value = ? WHERE name = 'version'", [str(version)]
        ).fetchall()
    return version
