"""Files: how the small files of an install are read, written, replaced and removed.

Every write is whole or not there; a reader takes only a regular file of this user. Decides nothing
about what a file means, and has no state.
"""

import errno
import os
import stat
import sys
import time

from getpatter.telemetry._clock import wall

__all__ = [
    "Lock",
    "Temporary",
    "exists",
    "is_of_this_user",
    "is_temporary",
    "make_directories",
    "make_directory",
    "narrow",
    "now",
    "open_lock",
    "problem_of",
    "read",
    "read_now",
    "read_regular",
    "remove",
    "write",
]

# No file of ours is longer; what is longer is not ours.
FILE_BYTES = 256
# What says that someone else holds a lock.
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
# Before and after what makes its name unique: nobody else's file in a shared place is like that.
_TEMPORARY = (".getpatter-", ".tmp")


def is_temporary(name: str) -> bool:
    return name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1])


class Temporary:
    """A file with `content` under a name of its own, gone at the end if it was not moved."""

    __slots__ = ("path",)

    def __init__(self, directory: str, content: bytes, modified: float | None = None) -> None:
        name = f"{_TEMPORARY[0]}{os.getpid()}-{os.urandom(4).hex()}{_TEMPORARY[1]}"
        self.path = os.path.join(directory, name)
        try:
            write(self.path, content, os.O_EXCL)
            if modified is not None:
                os.utime(self.path, (modified, modified))
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_: object) -> None:
        try:
            os.unlink(self.path)
        except OSError:
            return


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


def make_directories(path: str) -> None:
    """Make a directory and its missing parents, each with mode 0700 whatever the umask.

    `os.makedirs` gives only the last one its mode: with a umask of 0, as daemons set it, anyone may
    write to the parents, and what is planted there may be run. Raises OSError; one that exists
    stays as it is.
    """
    missing: list[str] = []
    while path and not _is_there(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        make_directory(directory)


def make_directory(path: str) -> None:
    """Make one directory with mode 0700 whatever the umask; one that exists stays as it is."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    if os.lstat(path).st_mode & 0o700 != 0o700:
        os.chmod(path, 0o700)  # the umask may take the owner's rights as well


def problem_of(path: str, *, may_narrow: bool = False) -> str | None:
    """Return why a directory must not hold files of ours; None if it may: it is this user's, no
    link, and nobody else may write to it. Raises FileNotFoundError if there is none.

    `may_narrow`: one that is open to others is made private.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):  # RecursionError: thousands of components
        return "cannot be used"
    problem = None
    if stat.S_ISLNK(found.st_mode):
        problem = "is a symbolic link"
    elif not stat.S_ISDIR(found.st_mode):
        problem = "is not a directory"
    elif sys.platform == "win32":
        problem = None  # the profile directory is the user's own; ids and modes say nothing there
    elif found.st_uid != os.geteuid():
        problem = "belongs to someone else"
    elif found.st_mode & 0o077 and not (may_narrow and _narrowed(path)):
        others_write = found.st_mode & 0o022
        problem = "can be written to by others (chmod go-w it)" if others_write else None
    return problem


def _narrowed(directory: str) -> bool:
    try:
        os.chmod(directory, 0o700)
    except OSError:
        return False
    return True


def is_of_this_user(path: str) -> bool:
    """Return whether a directory, and a link to it if it is one, is this user's."""
    try:
        found = (os.lstat(path), os.stat(path))
    except (OSError, ValueError):
        return False
    mine = sys.platform == "win32" or all(one.st_uid == os.geteuid() for one in found)
    return mine and stat.S_ISDIR(found[1].st_mode)


def narrow(path: str) -> None:
    """Make a file of this user readable by nobody else, if it is there."""
    try:
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
            os.chmod(path, 0o600)
    except OSError:
        return  # someone else's, or away


def now() -> float:
    """Return the wall clock: seconds since 1970."""
    return wall()


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


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


def exists(path: str) -> bool:
    """Return whether something is at `path`; what cannot be looked at counts as present."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def read(path: str, limit: int = FILE_BYTES) -> bytes | None:
    """Return the content of a regular file of this user of at most `limit` bytes, else None."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        return None
    try:
        found = os.fstat(descriptor)
        mine = sys.platform == "win32" or found.st_uid == os.geteuid()
        if not (stat.S_ISREG(found.st_mode) and mine and found.st_size <= limit):
            return None
        return os.read(descriptor, limit)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_regular(path: str, limit: int, *, whole: bool = True) -> bytes | None:
    """Return the content of a regular file of this user, None for anything else at that path.

    At most `limit` bytes: a longer file is none of ours, unless only its beginning is asked for.
    Raises OSError if there is nothing, or if it cannot be opened or read now.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            return None
        raise
    try:
        found = os.fstat(descriptor)
        mine = sys.platform == "win32" or found.st_uid == os.geteuid()
        if not (stat.S_ISREG(found.st_mode) and mine) or (whole and found.st_size > limit):
            return None
        content = b""
        while len(content) < limit and (piece := os.read(descriptor, limit - len(content))):
            content += piece
        return content
    finally:
        os.close(descriptor)


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
    descriptor = os.open(path, flags, 0o600)
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
