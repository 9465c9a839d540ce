"""Locks: advisory locks on files, gone with the process that holds them.

There are none on Windows, and on some file systems: then nobody holds one, and nobody waits.
"""

import errno
import os
import time

__all__ = ["Lock", "open_lock"]

# What says that someone else holds a lock.
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})


class Lock:
    """An advisory lock on a file, waited for at most half a second; gone with its process."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> bool:
        try:
            import fcntl  # not on Windows, and only the repair needs it

            self._descriptor = open_lock(self._path)
        except (ImportError, OSError):
            return False
        for attempt in range(51):
            if attempt:
                time.sleep(0.01)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _HELD:
                    return False  # there are no locks here, and waiting brings none
                continue
            return True
        return False

    def __exit__(self, *_: object) -> None:
        if self._descriptor < 0:
            return
        try:
            import fcntl

            # Not left to the closing: a child forked meanwhile has the file open too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except (ImportError, OSError):
            pass
        os.close(self._descriptor)


def open_lock(path: str) -> int:
    """Open a file to lock, and make it if need be. Raises OSError.

    Never as one of the standard streams: of a host that has closed them, what it writes there
    would end up in the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if descriptor > 2:
        return descriptor
    import fcntl

    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)
