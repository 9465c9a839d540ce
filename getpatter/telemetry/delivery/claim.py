"""A claim: the exclusive hold of one process on a name, gone with the process.

An advisory lock on a file of that name. POSIX only: where there are no such locks there are no
claims, and what needs one does without.

A host may close every descriptor there is, and open files of its own under the same numbers; and a
process may be copied without Python's knowledge. So a descriptor counts as ours only in the process
that opened it, and while it is the file that was opened.
"""

import os
from contextlib import suppress

from getpatter.telemetry import _files
from getpatter.telemetry._locks import open_lock

try:
    # Now, with all that the worker loads: a fork in the middle of loading it later would leave the
    # child waiting for it.
    import fcntl
except ImportError:  # Windows
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Claim"]

# Someone else may remove the file between our opening and our locking it, a few times in a row.
_ATTEMPTS = 5


class Claim:
    """A claim that is held. `end` gives it back; the end of the process does, too."""

    __slots__ = ("_descriptor", "_identity", "_path", "_process")

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))
        self._process = os.getpid()

    @classmethod
    def take(cls, path: str) -> "Self | None":
        """Take the claim on `path`; None if someone else has it, or it cannot be had."""
        if not _HAS_LOCKS:
            return None
        for _ in range(_ATTEMPTS):
            try:
                descriptor = open_lock(path)
            except OSError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                claim = cls(path, descriptor)
                if claim.is_held:
                    return claim
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError:
                os.close(descriptor)
                _files.remove(path)  # there are no locks here, and each run would leave a file
                return None
            os.close(descriptor)  # what we locked has been removed: lock what is there now
        return None

    @property
    def is_held(self) -> bool:
        """Whether it is still this process's: the file is open, and is the one at its path."""
        if not self.is_open or self._process != os.getpid():
            return False
        try:
            return _identity(os.lstat(self._path)) == self._identity
        except OSError:
            return False

    def end(self, *, remove: bool = False) -> None:
        """Give the claim back, and with `remove` the file, too."""
        try:
            if remove and self.is_held:
                os.unlink(self._path)
            if self._process == os.getpid() and self.is_open:
                # Not left to the closing: a child forked meanwhile may have the file open, too.
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close our descriptor alone: in a `fork` child, where the claim is the parent's."""
        if self.is_open:
            with suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether our descriptor still is the file that we opened."""
        try:
            return self._descriptor >= 0 and _identity(os.fstat(self._descriptor)) == self._identity
        except OSError:
            return False


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
