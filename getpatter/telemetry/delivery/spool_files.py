"""The files of a spool, of all processes: what is there, and what a file says.

Reads, and takes nothing over. What one process writes and holds is `Spool`'s business.
"""

import os

from getpatter.telemetry import _files
from getpatter.telemetry.delivery import spool_format
from getpatter.telemetry.delivery.claim import Claim
from getpatter.telemetry.delivery.limits import SPOOL_BYTES
from getpatter.telemetry.places import SPOOL

__all__ = [
    "DAMAGED",
    "ENDING",
    "FOREIGN",
    "GONE",
    "LATER",
    "count",
    "ending",
    "endpoints",
    "has_ended",
    "listed",
    "read",
    "waiting",
]

# Why a file gives no batch.
#: There is none.
GONE = "gone"
#: It cannot be opened or read now: no descriptor, no memory, a device that fails.
LATER = "later"
#: It was read whole, and is no batch.
DAMAGED = "damaged"
#: It is for another endpoint, of a later version, or no file of ours at all.
FOREIGN = "foreign"

#: What stands behind the name of an owner that is about to end.
ENDING = ".ending"


def endpoints(path: str) -> set[str]:
    """Return the endpoints of the batches in the spool at `path`, as far as they can be read."""
    found: dict[str, str | None] = {}
    for name in listed(path):
        owner = spool_format.owner_of(name)
        if owner is None or found.get(owner) is not None:
            continue  # an owner writes for one endpoint
        raw = read(os.path.join(path, name))
        content = None if isinstance(raw, str) else spool_format.parsed(raw)
        found[owner] = None if content is None else content.endpoint
    return {endpoint for endpoint in found.values() if endpoint is not None}


def ending(path: str) -> list[str]:
    """Return the owners in the spool at `path` that say they are about to end."""
    names = listed(path)
    return [name.removesuffix(ENDING) for name in names if name.endswith(ENDING)]


def has_ended(path: str, owner: str) -> bool:
    """Return whether an owner in that list has ended; then its mark is removed."""
    claim = Claim.take(os.path.join(path, f"{owner}.lock"))
    if claim is None:
        return False
    _files.remove(os.path.join(path, owner + ENDING))
    claim.end()
    return True


def waiting(directory: str) -> int:
    """Return how many events are in the spool of `directory`, of all processes."""
    path = os.path.join(directory, SPOOL)
    names = [name for name in listed(path) if spool_format.owner_of(name)]
    return sum(count(os.path.join(path, name)) for name in names)


def read(path: str) -> bytes | str:
    """Return the whole content of a file, or why not."""
    try:
        content = _files.read_regular(path, SPOOL_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except (OSError, MemoryError):
        return LATER
    return FOREIGN if content is None else content


def count(path: str) -> int:
    """Return how many events the file of a batch says it holds; one, if it does not."""
    try:
        content = _files.read_regular(path, spool_format.HEAD_BYTES, whole=False)
    except (OSError, MemoryError):
        return 0
    return 0 if content is None else spool_format.count(content)


def listed(path: str) -> list[str]:
    """Return the names of the files at `path`; none if it cannot be looked into."""
    try:
        return os.listdir(path)
    except OSError:
        return []
