"""State files: the directory of an install, and how files in it are made and replaced.

A directory that is not this user's alone is not used: `directory` is then None, nothing is kept,
and `problem` says why. A file is whole or not there; what it means is others' business.
"""

import os

from getpatter.telemetry import _directories, _files
from getpatter.telemetry._locks import Lock

__all__ = ["StateFiles"]


class StateFiles:
    """The files in `place`, a directory that need not be there yet; None for none, for `problem`.

    `is_ours`: nobody else uses a directory of that name, so that it may be made private. With
    `writable=False` (debug, or no consent) nothing on disk changes.
    """

    __slots__ = ("directory", "problem", "writable")

    def __init__(
        self, place: str | None, problem: str | None, *, is_ours: bool, writable: bool
    ) -> None:
        self.writable = writable
        self.problem = problem
        if place is not None:
            self.problem = self._adopt(place, is_ours=is_ours)
        self.directory = place if self.problem is None else None

    def _adopt(self, place: str, *, is_ours: bool) -> str | None:
        """Make a directory usable; return why it is not."""
        try:
            if self.writable:
                _directories.make_directories(place)
            may_narrow = is_ours and self.writable
            problem = _directories.problem_of(place, may_narrow=may_narrow)
        except FileNotFoundError:
            return None  # nothing to read, and nothing will be written
        except (OSError, ValueError, RecursionError):  # RecursionError: thousands of components
            problem = "cannot be used"
        return None if problem is None else f"the state directory {problem}"

    @property
    def can_write(self) -> bool:
        """Whether there is a directory, and it may be written to."""
        return self.directory is not None and self.writable

    def path(self, name: str) -> str:
        """Return the path of a file of ours; only for who has a directory."""
        if self.directory is None:
            message = "there is no state directory"
            raise FileNotFoundError(message)
        return os.path.join(self.directory, name)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if there is none. Raises OSError if it cannot be read
        now.
        """
        return None if self.directory is None else _files.read_now(self.path(name))

    def remove(self, *names: str) -> None:
        """Remove files, as far as that can be done."""
        for name in names:
            _files.remove(self.path(name))

    def lock(self, name: str = "lock") -> Lock:
        """Return the lock of that name; it is waited for, within a bound."""
        return Lock(self.path(name))

    def replace(self, name: str, content: bytes, modified: float | None = None) -> bool:
        """Put a file in the place of what is there; return whether that could be done."""
        try:
            _files.replace(self.path(name), content, modified)
        except OSError:
            return False  # a full or read-only disk: what was there stays
        return True

    def create(self, name: str, content: bytes, modified: float | None = None) -> bool:
        """Create the file whole; False if it is there already or cannot be made."""
        try:
            _files.create(self.path(name), content, modified)
        except FileExistsError:
            return False
        except (OSError, AttributeError):
            return self._create_without_links(name, content, modified)
        return True

    def _create_without_links(self, name: str, content: bytes, modified: float | None) -> bool:
        """Do the same where the file system has no hard links: one process at a time."""
        with self.lock() as held:
            if _files.exists(self.path(name)):
                return False
            if held:
                return self.replace(name, content, modified)
            try:
                # Neither links nor locks: a reader may see the file before its content, which it
                # takes as damaged.
                _files.write(self.path(name), content, os.O_EXCL)
            except OSError:
                return False
            return True
