"""Reported calls: which calls were reported before, by whichever process of an install.

An empty file per call, whose name is a hash of the carrier's id under the install ID. Used by the
worker alone.
"""

import os

from getpatter.telemetry import _clock, _directories, _files
from getpatter.telemetry.places import REPORTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter.telemetry.state_files import StateFiles

__all__ = ["ReportedCalls", "is_reported"]

# Carriers repeat a callback for minutes; a day is far more.
_SECONDS = 86_400.0
# A directory of more would be slow to read. The oldest go first.
_FILES = 10_000
# Of so many calls one looks for files that are too old.
_PRUNED = 64
_HEX = frozenset("0123456789abcdef")


def is_reported(name: str) -> bool:
    """Return whether a file of that name is one of these."""
    return len(name) == 32 and _HEX.issuperset(name)


class ReportedCalls:
    """The files in `calls/`. Where none can be made, every call counts as not reported."""

    __slots__ = ("_files", "_install")

    def __init__(self, files: "StateFiles", install: str) -> None:
        self._files = files
        self._install = install.encode()

    def claim(self, names: "tuple[str, ...]") -> bool:
        """Return whether none of the names of a call was claimed before; now all of them are."""
        if not self._files.can_write:
            return True
        directory = self._files.path(REPORTED)
        try:
            _directories.make_directory(directory)
            if _directories.problem_of(directory, may_narrow=True) is not None:
                return True
        except OSError:
            return True
        # In one order, so that of two processes one gets all of them.
        hashes = sorted(map(self._hash, names))
        are_new = [_create(os.path.join(directory, name)) for name in hashes]
        if hashes and int(hashes[0], 16) % _PRUNED == 0:
            _prune(directory)
        return all(are_new)

    def _hash(self, name: str) -> str:
        from hashlib import blake2b  # few programs have callbacks of a carrier

        text = name.encode("utf-8", "surrogatepass")
        return blake2b(text, key=self._install, digest_size=16).hexdigest()


def _create(path: str) -> bool:
    """Create an empty file; return whether there was none. On a full disk, say, there was none."""
    try:
        _files.write(path, b"", os.O_EXCL)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _listed(directory: str) -> list[str]:
    try:
        return [
            os.path.join(directory, name) for name in os.listdir(directory) if is_reported(name)
        ]
    except OSError:
        return []


def _prune(directory: str) -> None:
    now = _clock.wall()
    kept = []
    for path in _listed(directory):
        try:
            modified = os.lstat(path).st_mtime
        except OSError:
            continue  # another process removes, too
        if abs(now - modified) > _SECONDS:
            _files.remove(path)
        else:
            kept.append((modified, path))
    for _, path in sorted(kept)[: max(0, len(kept) - _FILES)]:
        _files.remove(path)
