"""Locks: advisory locks on files, gone with the process that holds them.

There are none on Windows, and on some file systems: then nobody holds one, and nobody waits.
"""

import errno
import os
import time

from getpatter.telemetry._descriptors import close, identity, open_file

__all__ = ["Lock", "open_lock"]

# What says that someone else holds a lock.
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})


class Lock:
    """An advisory lock on a file, waited for at most half a second; gone with its process."""

    __slots__ = ("_descriptor", "_identity", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None

    def __enter__(self) -> bool:
        try:
            import fcntl  # not on Windows, and only the repair needs it

            self._descriptor = open_lock(self._path)
        except (ImportError, OSError):
            return False
        self._identity = identity(self._descriptor)
        for attempt in range(51):
            if attempt:
                time.sleep(0.01)
                if not self._is_ours():
                    return False  # the host has closed it
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _HELD:
                    return False  # there are no locks here, and waiting brings none
                continue
            return True
        return False

    def __exit__(self, *_: object) -> None:
        if not self._is_ours():
            return
        try:
            import fcntl

            # Not left to the closing: a child forked meanwhile has the file open too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except (ImportError, OSError):
            pass
        close(self._descriptor, self._identity)

    def _is_ours(self) -> bool:
        return self._identity is not None and identity(self._descriptor) == self._identity


def open_lock(path: str) -> int:
    """Open a file to lock, and make it if need be. Raises OSError."""
    return open_file(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
