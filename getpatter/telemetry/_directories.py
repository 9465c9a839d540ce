"""Directories: how those of an install are made private, and which may hold files of ours.

Decides nothing about what a file means, and has no state.
"""

import os
import stat
import sys

__all__ = ["is_of_this_user", "make_directories", "make_directory", "problem_of"]


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


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True
