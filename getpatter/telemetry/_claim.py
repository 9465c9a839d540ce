"""A claim: the exclusive hold of one process on a name, gone with the process.

An advisory lock on a file of that name. POSIX only: where there are no such locks there are no
claims, and what needs one does without.
"""

import os

from getpatter.telemetry import _files

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

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: str, *, wait: bool = False) -> "Self | None":
        """Take the claim on `path`; None if someone else has it, or it cannot be had.

        `wait` waits, without an end, for whoever has it.
        """
        if not _HAS_LOCKS:
            return None
        how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        for _ in range(_ATTEMPTS):
            try:
                descriptor = _files.open_lock(path)
            except OSError:
                return None
            try:
                fcntl.flock(descriptor, how)
                if _is_at(path, descriptor):
                    return cls(path, descriptor)
            except OSError:
                os.close(descriptor)
                return None
            os.close(descriptor)  # what we locked has been removed: lock what is there now
        return None

    def end(self, *, remove: bool = False) -> None:
        """Give the claim back, and with `remove` the file, too."""
        if self._descriptor < 0:
            return
        try:
            if remove and _is_at(self._path, self._descriptor):
                os.unlink(self._path)
            # Not left to the closing: a child forked meanwhile may have the file open, too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close our descriptor alone: in a `fork` child, where the claim is the parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_at(path: str, descriptor: int) -> bool:
    """Return whether the open file is the one that is at `path`."""
    try:
        there, ours = os.lstat(path), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
