"""What operators do with a store: `status`, `erase`, `compact`, `backup`, `restore`.

Each works on an open store, be it the running collector's or the command's own.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import duckdb

from getpatter.collector import erasure
from getpatter.collector.control import ControlError
from getpatter.collector.store import Store, StoreError
from getpatter.collector.store.database import HOT, lock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["backup", "compact", "erase", "restore", "status"]

_SNAPSHOT = "snapshot.duckdb"


def status(store: Store) -> dict[str, Any]:
    """Return plain facts about the store."""
    hot = os.path.join(store.directory, HOT)
    rows = store.query(
        "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM hot_events),"
        " (SELECT count(*) FROM months), (SELECT count(*) FROM receipts),"
        " (SELECT count(*) FROM receipts WHERE erased IS NULL),"
        " (SELECT coalesce(sum(n), 0) FROM refusals)"
    ).rows[0]
    names = ("events", "hot_events", "closed_months", "erasures", "pending_erasures", "refusals")
    sizes = {"hot_bytes": os.path.getsize(hot)}
    return {"data": store.directory, **dict(zip(names, map(int, rows), strict=True)), **sizes}


def erase(store: Store, install_id: str) -> dict[str, Any]:
    """Erase an install."""
    receipt = erasure.erase(store, install_id)
    return {"receipt": receipt, "state": erasure.receipt_state(store, receipt)}


def compact(store: Store) -> dict[str, Any]:
    """Rewrite the database file: deleted rows leave the disk."""
    _need_room(store)
    before, after = erasure.rewrite(store)
    return {"before": before, "after": after}


def _need_room(store: Store) -> None:
    disk = os.statvfs(store.directory)
    if disk.f_bavail * disk.f_frsize < 2 * os.path.getsize(os.path.join(store.directory, HOT)):
        message = "a second copy of the store needs more free space than there is"
        raise ControlError(message)


def backup(store: Store, target: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Copy the store to `target`, an empty or new directory, while it runs."""
    if os.path.isdir(target) and os.listdir(target):
        message = f"{target} is not empty"
        raise ControlError(message)
    _need_room(store)
    snapshot = os.path.join(store.directory, _SNAPSHOT)
    say("writing a snapshot")
    try:
        # In one go: a month that closes in between would stand in neither, or in both.
        with store.alone():
            erasure.snapshot(store, snapshot)
            files = [
                row[0] for row in store.connection.execute("SELECT file FROM months").fetchall()
            ]
            os.makedirs(os.path.join(target, "months"), mode=0o700, exist_ok=True)
            for name in files:
                source = os.path.join(store.directory, "months", name)
                _link_or_copy(source, os.path.join(target, "months", name))
        say("copying it")
        shutil.copyfile(snapshot, os.path.join(target, HOT))
        os.chmod(os.path.join(target, HOT), 0o600)
    except OSError as error:
        message = f"{target}: {error.strerror or type(error).__name__}"
        raise ControlError(message) from None
    finally:
        if os.path.exists(snapshot):
            os.unlink(snapshot)
    return {"target": target, "months": len(files)}


def _link_or_copy(source: str, target: str) -> None:
    """A closed month never changes, so a second name for it is enough."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def restore(source: str, directory: str) -> dict[str, Any]:
    """Put the backup in `source` in the place of the store in `directory`, which nobody uses.

    The erasures of the store that was there are applied before the backup takes its place. A kill
    at any moment leaves the old store or the new one.
    """
    if not os.path.isfile(os.path.join(source, HOT)):
        message = f"{source} is not a backup: it has no {HOT}"
        raise StoreError(message)
    held = lock(directory)
    try:
        marks = _erasures(directory)
        incoming = os.path.join(directory, "incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(source, incoming)
        facts = _prepare(incoming, marks or [])
        _take(incoming, directory)
    finally:
        os.close(held)
    return {**facts, "are_erasures_known": marks is not None}


def _erasures(directory: str) -> list[erasure.Mark] | None:
    """Return the erasures of the store in `directory`; None if it cannot be read."""
    if not os.path.exists(os.path.join(directory, HOT)):
        return []
    try:
        return erasure.marks_of(directory)
    except duckdb.Error:
        return None  # it may be for that that a backup is restored


def _prepare(incoming: str, marks: list[erasure.Mark]) -> dict[str, Any]:
    store = Store(incoming)
    try:
        erased = erasure.erase_marked(store, marks)
        if erasure.is_pending(store):
            erasure.rewrite(store)
        return {"events": status(store)["events"], "erased": erased}
    finally:
        store.close()


def _take(incoming: str, directory: str) -> None:
    """Move the files of a closed store. The database file is last: it names the months."""
    folder = os.path.join(directory, "months")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name in os.listdir(os.path.join(incoming, "months")):
        os.replace(os.path.join(incoming, "months", name), os.path.join(folder, name))
    wal = os.path.join(directory, f"{HOT}.wal")
    if os.path.exists(wal):
        os.unlink(wal)  # of the store that goes
    os.replace(os.path.join(incoming, HOT), os.path.join(directory, HOT))
    shutil.rmtree(incoming)
