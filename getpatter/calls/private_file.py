"""A private file: one that only this user reads, opened for a moment and never held.

Nothing of it is kept between two uses: a host that closes descriptors that are not its own closes
none of ours, and no file takes the number of one that the host still uses.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from getpatter.telemetry._descriptors import close, identity, open_file

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["PrivateFile"]

_MODE = 0o600
# Not through a link that another may have put there, and never waiting for who reads a FIFO.
_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
)
# So often, with a pause in between, a lock that another process holds is tried: a quarter of a
# second, and many times what one writes in.
_ATTEMPTS = 250
_PAUSE_SECONDS = 0.001


class PrivateFile:
    """A file at `path`, open within `with`. Raises OSError for what is not this user's alone:
    a link, a FIFO, a device, a file of somebody else.
    """

    def __init__(self, path: str, flags: int = 0) -> None:
        self._path = path
        self._flags = flags
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None
        #: Whether other processes are kept from it.
        self.is_locked = False
        self.size = 0

    def __enter__(self) -> Self:
        descriptor = open_file(self._path, _FLAGS | self._flags)
        try:
            self.size = _checked(descriptor, self._path).st_size
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._identity = identity(descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.is_locked and identity(self._descriptor) == self._identity:
                # Not left to closing: a child that was forked meanwhile has it open, too.
                _lock(self._descriptor, is_wanted=False)
        finally:
            close(self._descriptor, self._identity)

    def lock(self) -> bool:
        """Keep other processes from this file until it is closed; return False if one keeps us
        from it for too long. Where there are no locks, nobody is kept from it.
        """
        for _ in range(_ATTEMPTS):
            if identity(self._descriptor) != self._identity:
                return False  # the host has closed it
            try:
                self.is_locked = _lock(self._descriptor, is_wanted=True)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
                continue
            except OSError:
                return True  # a file system without them
            self.size = os.fstat(self._descriptor).st_size
            return True
        return False

    def is_at_path(self) -> bool:
        """Return whether it is still this file that the path names, and still open."""
        try:
            there = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == self._identity == identity(self._descriptor)

    def write(self, content: bytes) -> int:
        """Write at once, or with `os.O_APPEND` at the end; return how much could be written."""
        return os.write(self._descriptor, content)

    def replace(self, content: bytes) -> None:
        """Write this in the place of what is there."""
        os.ftruncate(self._descriptor, 0)
        while content:
            content = content[self.write(content) :]

    def last_byte(self) -> bytes:
        """Return the last byte, nothing of an empty file."""
        if not self.size:
            return b""
        os.lseek(self._descriptor, self.size - 1, os.SEEK_SET)
        return os.read(self._descriptor, 1)


def _checked(descriptor: int, path: str) -> os.stat_result:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "this is no regular file", path)
    if os.name == "nt":
        return found  # who may read it is a matter of the directory there
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "this file belongs to another user", path)
    if stat.S_IMODE(found.st_mode) != _MODE:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, _MODE)
        found = os.fstat(descriptor)
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(errno.EPERM, "others can read this file, despite its mode", path)
    return found


def _lock(descriptor: int, *, is_wanted: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        return False  # a system without them
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if is_wanted else fcntl.LOCK_UN)
    return is_wanted
