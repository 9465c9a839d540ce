"""Files: how the small files of an install are read, written, replaced and removed.

Every write is whole or not there; a reader takes only a regular file of this user. Decides nothing
about what a file means, and has no state.
"""

import errno
import os
import stat
import sys

from getpatter.telemetry._descriptors import open_file

__all__ = [
    "create",
    "exists",
    "is_temporary",
    "narrow",
    "read",
    "read_all",
    "read_now",
    "read_regular",
    "remove",
    "replace",
    "write",
]

# No file of ours is longer; what is longer is not ours.
FILE_BYTES = 256
# Before and after what makes its name unique: nobody else's file in a shared place is like that.
_TEMPORARY = (".getpatter-", ".tmp")


def is_temporary(name: str) -> bool:
    return name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1])


def _temporary(path: str, content: bytes, modified: float | None) -> str:
    """Write a file under a name of its own beside `path`. Raises OSError; then none is left."""
    name = f"{_TEMPORARY[0]}{os.getpid()}-{os.urandom(4).hex()}{_TEMPORARY[1]}"
    temporary = os.path.join(os.path.dirname(path), name)
    try:
        write(temporary, content, os.O_EXCL)
        if modified is not None:
            os.utime(temporary, (modified, modified))
    except OSError:
        remove(temporary)
        raise
    return temporary


def replace(path: str, content: bytes, modified: float | None = None) -> None:
    """Put a whole file at `path`, whatever is there. Raises OSError; then nothing has changed."""
    temporary = _temporary(path, content, modified)
    try:
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise


def create(path: str, content: bytes, modified: float | None = None) -> None:
    """Put a whole file at `path` where none is. Raises FileExistsError, or OSError or
    AttributeError where there are no hard links.
    """
    temporary = _temporary(path, content, modified)
    try:
        os.link(temporary, path)
    finally:
        remove(temporary)


def narrow(path: str) -> None:
    """Make a file of this user readable by nobody else, if it is there."""
    try:
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
            os.chmod(path, 0o600)
    except OSError:
        return  # someone else's, or away


def exists(path: str) -> bool:
    """Return whether something is at `path`; what cannot be looked at counts as present."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read(path: str) -> bytes | None:
    """Return the content of a small file of ours; None if there is none, or not now."""
    try:
        return read_regular(path, FILE_BYTES)
    except (OSError, ValueError):
        return None


def read_regular(path: str, limit: int, *, whole: bool = True) -> bytes | None:
    """Return the content of a regular file of this user, None for anything else at that path.

    At most `limit` bytes: a longer file is none of ours, unless only its beginning is asked for.
    Raises OSError if there is nothing, or if it cannot be opened or read now.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            return None
        raise
    try:
        found = os.fstat(descriptor)
        mine = sys.platform == "win32" or found.st_uid == os.geteuid()
        if not (stat.S_ISREG(found.st_mode) and mine) or (whole and found.st_size > limit):
            return None
        return read_all(descriptor, min(limit, found.st_size))
    finally:
        os.close(descriptor)


def read_all(descriptor: int, size: int) -> bytes:
    """Return what is in an open file, at most so much. A system call may come back early, and half
    a file could hide what counts. Raises OSError.
    """
    content = b""
    while len(content) < size and (piece := os.read(descriptor, size - len(content))):
        content += piece
    return content


def read_now(path: str) -> bytes | None:
    """Return the content of a small file of ours; None if it is not there, or is not ours.

    Raises OSError for one that is there and cannot be read now (no descriptor is left, the disk
    fails): that is not the same as none.
    """
    try:
        return read_regular(path, FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise


def write(path: str, content: bytes, exclusive: int = 0) -> None:
    flags = os.O_WRONLY | os.O_CREAT | exclusive | getattr(os, "O_NOFOLLOW", 0)
    descriptor = open_file(path, flags)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, "the disk is full")
    finally:
        os.close(descriptor)


def remove(path: str, *, missing: bool = True) -> OSError | None:
    """Remove a file; answer why that failed. `missing`: one that is not there is as good."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        return None if missing else error
    except OSError as error:
        return error
    return None
