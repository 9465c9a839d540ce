"""State: what an install keeps: its id, its date, the version that ran last, its first run.

A file that is torn, foreign or unreadable counts as missing. Without a directory identity is
kept in memory only. Nothing here decides about consent.
"""

import os

from getpatter.telemetry import _clock, _files
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.places import (
    FIRST_RUN,
    INSTALL_DATE,
    INSTALL_ID,
    VERSION,
    Places,
    is_of_earlier_version,
    stored_date,
    stored_id,
)
from getpatter.telemetry.shown import ShownNotice
from getpatter.telemetry.state_files import StateFiles

__all__ = ["State"]

# What released versions have left, readable by all.
_RELEASED = (INSTALL_ID, FIRST_RUN, VERSION)

# What `first-run` holds: the schema version of the program that wrote it.
_VERSION_CONTENT = b"%d" % SCHEMA_VERSION


class State:
    """The state of one install. `memory_id` is its id where none can be stored; with
    `writable=False` (debug, or no consent) nothing on disk changes.

    Raises OSError only where a file is there and cannot be read now: nothing may be made in its
    place, nor reported about it.
    """

    __slots__ = ("_earlier", "_memory_id", "_places", "_seen", "files", "notice")

    def __init__(self, places: Places, memory_id: str, *, writable: bool = True) -> None:
        self._places = places
        self._memory_id = memory_id
        # The file of the install ID as it was when that was last read, see `has_erased`.
        self._seen: tuple[int, int, int] | None = None
        # A directory that is named is the only one that counts.
        is_named = places.override is not None
        self._earlier = () if is_named else places.earlier
        self.files = StateFiles(
            places.directory, places.problem, is_ours=not is_named, writable=writable
        )
        if self.files.can_write:
            for name in _RELEASED:
                _files.narrow(self.files.path(name))
        self.notice = ShownNotice(self.files)

    @property
    def directory(self) -> str | None:
        """The state directory; None where nothing is kept."""
        return self.files.directory

    @property
    def problem(self) -> str | None:
        """Why nothing is kept; None if it is."""
        return self.files.problem

    @property
    def _known(self) -> "tuple[str, ...]":
        """The places that are read, the one in use first."""
        return tuple(place for place in (self.directory, *self._earlier) if place is not None)

    # identity

    def install_id(self, fresh: str) -> str:
        """Return the install ID: the stored one, an earlier version's, or `fresh`, now stored.

        32 hex. However many processes ask at once, all get the same. Without a usable directory
        it is this run's own.
        """
        known = stored_id(self.directory)
        if known is not None:
            return known
        chosen, since = fresh, _clock.wall()
        for place in self._earlier:
            earlier = stored_id(place)
            if earlier is not None:
                chosen = earlier
                since = self._date_in(place) or since
                break
        if not self.files.can_write:
            return self._memory_id if chosen == fresh else chosen
        return self._make_id(chosen, since, is_new=chosen == fresh) or self._memory_id

    def _make_id(self, chosen: str, since: float, *, is_new: bool) -> str | None:
        """Store an install ID and its date; return the one that is stored then."""
        if not self.files.create(INSTALL_DATE, f"{since:.0f}".encode()) and is_new:
            since = self._date_in(self.directory) or since
        # Released versions read the date off this file, so that it must be the same there.
        self.files.create(INSTALL_ID, chosen.encode(), since)
        stored = stored_id(self.directory)
        if stored is None:
            stored = self._repair_id(chosen, since)
        return None if self._withdrawn() else stored

    def _withdrawn(self) -> bool:
        """Return whether an opt-out was stored while we were writing, and if so erase what it may
        have come too early for: `disable` stores it before it erases.
        """
        if self._places.opt_out() is None:
            return False
        self.files.remove(INSTALL_ID, INSTALL_DATE, VERSION)
        self.files.writable = False
        return True

    def _repair_id(self, chosen: str, since: float) -> str | None:
        """Replace a damaged install ID; one process at a time, and only while it is damaged."""
        with self.files.lock() as held:
            if not held:
                return stored_id(self.directory)
            stored = stored_id(self.directory)
            if stored is None:
                self.files.replace(INSTALL_ID, chosen.encode(), since)
                stored = stored_id(self.directory)
            return stored

    def is_stored(self, install: str) -> bool:
        """Return whether an id that `install_id` returned is a stored one."""
        return install != self._memory_id

    def known_id(self) -> str | None:
        """Return the install ID that is stored here or was by an earlier version; None if none."""
        ids = map(stored_id, self._known)
        return next((found for found in ids if found is not None), None)

    def has_erased(self, install: str) -> bool:
        """Return whether an install ID that was stored here has been erased, or replaced.

        A directory that is gone altogether, or cannot be looked into, says nothing of the kind.
        """
        if self.directory is None:
            return False
        try:
            found = os.lstat(self.files.path(INSTALL_ID))
        except (FileNotFoundError, NotADirectoryError):
            return os.path.isdir(self.directory)
        except OSError:
            return False
        seen = (found.st_dev, found.st_ino, found.st_mtime_ns)
        if seen != self._seen:
            stored = stored_id(self.directory)
            if stored is not None and stored != install:
                return True
            self._seen = seen
        return False

    def install_date(self) -> float | None:
        """Return when this install was first seen, seconds since 1970; None if that is unknown.

        Stored since this version; for an install that only has the old `install-id` file, that
        file's modification time, which is stored from now on.
        """
        for place in self._known:
            if stored_id(place) is None:
                continue
            stored = stored_date(place)
            date = self._made(place) if stored is None else stored
            is_ours = place == self.directory and self.files.writable
            if is_ours and date is not None and stored is None:
                self.files.replace(INSTALL_DATE, f"{date:.0f}".encode())
                self._withdrawn()
            return date
        return None

    def _date_in(self, place: str | None) -> float | None:
        stored = None if place is None else stored_date(place)
        return self._made(place) if stored is None else stored

    @staticmethod
    def _made(place: str | None) -> float | None:
        """Return when the install ID in a place was made, by the date of its file."""
        try:
            return None if place is None else os.lstat(os.path.join(place, INSTALL_ID)).st_mtime
        except OSError:
            return None

    def age_seconds(self) -> float | None:
        """Return how long ago this install was first seen; None if unknown. A clock that was set
        back makes it 0, never negative. Without `writable` a new install says what it would: 0.
        """
        since = self.install_date()
        if since is None:
            is_new = self.directory is not None and self.known_id() is None
            return 0.0 if is_new and not self.files.writable else None
        return max(0.0, _clock.wall() - since)

    # once per install

    def may_be_first_run(self) -> bool:
        """Return whether the first run of this install has not been claimed yet.

        Never True where nothing can be stored: a run that cannot know must not say that it is
        the first.
        """
        places = [os.path.join(place, FIRST_RUN) for place in self._known]
        return self.directory is not None and not any(map(_files.exists, places))

    def claim_first_run(self) -> bool:
        """Return True exactly once per install, however many processes ask at once.

        Without `writable` it says what it would, and keeps it.
        """
        if not self.may_be_first_run():
            return False
        # Earlier versions left it empty: so they can be distinguished from this one.
        return self.files.create(FIRST_RUN, _VERSION_CONTENT) if self.files.writable else True

    def release_first_run(self) -> None:
        """Let a later start be the first: no notice could be shown, so nothing of this one leaves.

        Not where a notice was shown, by whatever version or process: then it has left.
        """
        if not self.files.can_write or self.notice.is_known():
            return
        if self.files.read(FIRST_RUN) == _VERSION_CONTENT:
            self.files.remove(FIRST_RUN)

    def has_earlier_version(self) -> bool:
        """Return whether a version ran here that did not keep which notice it had shown."""
        return any(map(is_of_earlier_version, self._known))

    def swap_version(self, current: str) -> str:
        """Return the version that ran last, "" if none is known, and store `current` as that."""
        last = ""
        for place in self._known:
            content = _files.read_now(os.path.join(place, VERSION))
            found = (content or b"").decode("ascii", "replace").strip()
            # What is no word in ASCII was not written by us.
            if found and found.isascii() and found.isprintable():
                last = found
                break
        if last != current and self.files.can_write:
            self.files.replace(VERSION, current.encode("ascii", "replace"))
            self._withdrawn()
        return last
