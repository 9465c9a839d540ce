"""Shown: which notice this install has been shown, and when: the file `notice`, and its one owner.

What is collected since a version that was shown, and how long a notice must have been there, is
others' business.
"""

import os

from getpatter.telemetry import _clock
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.places import NOTICE, NOTICE_LOCK, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.telemetry.state_files import StateFiles

__all__ = ["ShownNotice"]


class _Shown:
    """What the file holds: the schema version whose notice was shown, when it first was, and the
    version of the one before it, if there was one.
    """

    __slots__ = ("before", "since", "version")

    def __init__(self, version: int, since: float, before: int | None) -> None:
        self.version = version
        self.since = since
        self.before = before

    @classmethod
    def parse(cls, content: bytes) -> "_Shown":
        """Read the file. One that does not say counts as the oldest version, shown long ago."""
        from getpatter.telemetry._changes import OLDEST  # a plain start does not need it

        words = [number(word) for word in content.split()]
        if not words or len(words) > 3 or None in words:
            return cls(OLDEST, float("-inf"), None)
        version, since, before = [*words, None, None][:3]
        return cls(
            max(version or 0, OLDEST),
            float("-inf") if since is None else since,
            before and max(before, OLDEST),
        )

    def content(self) -> bytes:
        """Return what to write."""
        words = (self.version, int(self.since), self.before)
        return b" ".join(b"%d" % word for word in words if word is not None)

    def age(self) -> float:
        """Return how long ago it was shown, in seconds; 0 where the clock was set back since."""
        return max(0.0, _clock.wall() - self.since)


class ShownNotice:
    """The notice that was shown last to the install whose files are in `files`."""

    __slots__ = ("_files",)

    def __init__(self, files: "StateFiles") -> None:
        self._files = files

    def is_known(self) -> bool:
        """Return whether the notice is known to have been shown to this install."""
        # What cannot be looked at is no: showing it twice is the lesser evil.
        return self._files.directory is not None and os.path.lexists(self._files.path(NOTICE))

    def version(self) -> int | None:
        """Return the schema version whose notice was shown; None if none is known to have been."""
        shown = self._read()
        return None if shown is None else shown.version

    def age(self) -> float | None:
        """Return how long ago this version's notice was first shown, in seconds; None: it was not.

        Infinite for one of which only that is known. A clock that was set back makes it 0.
        """
        shown = self._read()
        if shown is None or shown.version < SCHEMA_VERSION:
            return None
        return shown.age()

    def told_version(self, grace: float) -> int | None:
        """Return the schema version that may leave where a notice counts after `grace` seconds:
        the one that was shown last, or else the one before it; None for none.
        """
        shown = self._read()
        if shown is None or shown.age() >= grace:
            return None if shown is None else shown.version
        return shown.before

    def _read(self) -> "_Shown | None":
        if not self.is_known():
            return None
        return _Shown.parse(self._files.read(NOTICE) or b"")

    def remember(self) -> None:
        """Remember that the notice of this version was shown now, unless it was before."""
        last = self._read()
        if last is not None and last.version >= SCHEMA_VERSION:
            return
        if self._files.can_write:
            before = None if last is None else last.version
            shown = _Shown(SCHEMA_VERSION, _clock.wall(), before)
            self._files.replace(NOTICE, shown.content())

    def show_once(self, show: "Callable[[int | None], bool]") -> int | None:
        """Have the notice shown unless this version's has been; return the version shown last.

        `show` gets the version whose notice was the last, and answers whether it could show this
        one's. However many ask at once, one shows it, as far as there are file locks. It waits, so
        the lock is one that nobody else ever needs.
        """
        if not self._files.can_write:
            return self._show(show)
        with self._files.lock(NOTICE_LOCK):
            return self._show(show)

    def _show(self, show: "Callable[[int | None], bool]") -> int | None:
        last = self.version()
        if last is not None and last >= SCHEMA_VERSION:
            return last
        if not show(last):
            return last
        self.remember()
        return SCHEMA_VERSION
