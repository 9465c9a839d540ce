"""What operators do with a store: `status`, `erase`, `compact`, `backup`, `restore`.

Each works on an open store, be it the running collector's or the command's own.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from getpatter.collector import erasure, tombstones
from getpatter.collector.control import ControlError
from getpatter.collector.store import Store, StoreError, months
from getpatter.collector.store.database import HOT, lock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["backup", "compact", "erase", "restore", "status"]


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
    """Copy the store to `target`, an empty or new directory, while it runs.

    The copy is the store as it was when this began: the database as one transaction sees it, and
    the files of the months that were closed then.
    """
    if os.path.isdir(target) and os.listdir(target):
        message = f"{target} is not empty"
        raise ControlError(message)
    _need_room(store)
    made = os.path.join(store.directory, months.COPY)
    try:
        with store.copying:
            months.sweep_copies(store.directory)
            try:
                say("writing a snapshot")
                with store.snapshot() as (connection, files):
                    erasure.copy_database(connection, os.path.join(made, HOT))
                say("copying it")
                _copy(made, target, files)
            finally:
                months.sweep_copies(store.directory)
    except OSError as error:
        message = f"{target}: {error.strerror or type(error).__name__}"
        raise ControlError(message) from None
    return {"target": target, "months": len(files)}


def _copy(made: str, target: str, files: list[str]) -> None:
    os.makedirs(os.path.join(target, "months"), mode=0o700, exist_ok=True)
    for name in files:
        months.link_or_copy(
            os.path.join(made, "months", name), os.path.join(target, "months", name)
        )
    # The database file is last: a folder without it is no backup.
    partial = os.path.join(target, f"{HOT}.partial")
    shutil.copyfile(os.path.join(made, HOT), partial)
    os.chmod(partial, 0o600)
    os.replace(partial, os.path.join(target, HOT))


def restore(source: str, directory: str, listed: str | None = None) -> dict[str, Any]:
    """Put the backup in `source` in the place of the store in `directory`, which nobody uses.

    The erasures of the store that was there, and those of the file `listed`, are applied before the
    backup takes its place. A kill at any moment leaves the old store or the new one.
    """
    if not os.path.isfile(os.path.join(source, HOT)):
        message = f"{source} is not a backup: it has no {HOT}"
        raise StoreError(message)
    given = tombstones.read(listed) if listed is not None else {}
    held = lock(directory)
    try:
        there = erasure.tombstones_of(directory)
        months.sweep_copies(directory)
        incoming = os.path.join(directory, months.INCOMING)
        shutil.copytree(source, incoming)
        facts = _prepare(incoming, {**given, **(there or {})})
        _take(incoming, directory)
    finally:
        os.close(held)
    return {**facts, "are_erasures_known": there is not None}


def _prepare(incoming: str, erasures: tombstones.Tombstones) -> dict[str, Any]:
    beside = os.path.join(incoming, tombstones.FILE)
    if os.path.exists(beside):  # the backup has been a store in use
        erasures = {**tombstones.read(beside), **erasures}
    tombstones.write(incoming, erasures)
    store = Store(incoming)
    try:
        erased = erasure.catch_up(store)
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
    os.replace(os.path.join(incoming, tombstones.FILE), os.path.join(directory, tombstones.FILE))
    wal = os.path.join(directory, f"{HOT}.wal")
    if os.path.exists(wal):
        os.unlink(wal)  # of the store that goes
    os.replace(os.path.join(incoming, HOT), os.path.join(directory, HOT))
    shutil.rmtree(incoming)
