"""State: the few small files that an install keeps, and the only code that touches them.

Every write is atomic, so a reader sees a whole file or none; a file that is torn, foreign or
unreadable is as good as missing. A directory that is not this user's alone is not used: identity
is then kept in memory only, and `State.problem` says why. Nothing here decides about consent.
"""

import os

from getpatter.telemetry import _files
from getpatter.telemetry._files import now
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.places import (
    ASIDE,
    FIRST_RUN,
    INSTALL_DATE,
    INSTALL_ID,
    LEDGER,
    NOTICE,
    NOTICE_LOCK,
    SENDER,
    SPOOL,
    VERSION,
    Places,
    stored_id,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ASIDE",
    "LEDGER",
    "SENDER",
    "SPOOL",
    "Places",
    "State",
    "now",
    "opt_out_place",
]

# What released versions have left, readable by all.
_RELEASED = (INSTALL_ID, FIRST_RUN, VERSION)

# What `first-run` holds: the schema version of whoever wrote them.
_VERSION_CONTENT = b"%d" % SCHEMA_VERSION


def opt_out_place(environ: "Mapping[str, str]") -> str | None:
    """Return where an opt-out is stored, or why that cannot be known; None if there is none."""
    return Places.of(environ).opt_out()


class _Shown:
    """What `notice` holds: the schema version whose notice was shown, when it first was, and the
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
        from getpatter.telemetry._changes import OLDEST  # whoever starts does not ask

        words = content.split()
        # Ten digits reach the year 2286; a longer number is damage.
        if not words or len(words) > 3 or not all(w.isdigit() and len(w) <= 10 for w in words):
            return cls(OLDEST, float("-inf"), None)
        version, since, before = [*(int(word) for word in words), None, None][:3]
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
        return max(0.0, now() - self.since)


class State:
    """The files of one install. `directory` is None where identity is kept in memory only.

    With `writable=False` (debug, or no consent) nothing on disk changes.

    Raises OSError only where a file is there and cannot be read now: nothing may be made in its
    place, nor said of it.
    """

    __slots__ = (
        *("_earlier", "_memory_id", "_places", "_seen", "directory", "problem", "writable"),
    )

    def __init__(self, places: Places, memory_id: str, *, writable: bool = True) -> None:
        self._places = places
        self.writable = writable
        self._memory_id = memory_id
        # The file of the install id as it was when that was last read, see `has_erased`.
        self._seen: tuple[int, int, int] | None = None
        # Whoever names a directory means that one alone.
        self._earlier = places.earlier if places.override is None else ()
        directory = places.directory
        self.problem = places.problem
        self.directory: str | None = None
        if directory is not None:
            self.problem = self._adopt(directory, ours=places.override is None)
            self.directory = directory if self.problem is None else None

    def _adopt(self, directory: str, *, ours: bool) -> str | None:
        """Make `directory` usable; answer why it is not. `ours`: nobody else uses this name, so
        that it may be made private.
        """
        try:
            if self.writable:
                _files.make_directories(directory)
            problem = _files.problem_of(directory, may_narrow=ours and self.writable)
        except FileNotFoundError:
            return None  # nothing to read, and nothing will be written
        except (OSError, ValueError, RecursionError):  # RecursionError: thousands of components
            problem = "cannot be used"
        if problem is None and self.writable:
            for name in _RELEASED:
                _files.narrow(os.path.join(directory, name))
        return None if problem is None else f"the state directory {problem}"

    # identity

    def install_id(self, fresh: str) -> str:
        """Return the install id: the stored one, an earlier version's, or `fresh`, now stored.

        32 hex. However many processes ask at once, all get the same. Without a usable directory
        it is this run's own.
        """
        known = stored_id(self.directory)
        if known is not None:
            return known
        chosen, since = fresh, now()
        for place in self._earlier:
            earlier = stored_id(place)
            if earlier is not None:
                chosen = earlier
                since = self._date_in(place) or since
                break
        if self.directory is None or not self.writable:
            return self._memory_id if chosen == fresh else chosen
        return self._make_id(chosen, since, is_new=chosen == fresh) or self._memory_id

    def _make_id(self, chosen: str, since: float, *, is_new: bool) -> str | None:
        """Store an install id and its date; answer the one that is stored then."""
        if not self._create(INSTALL_DATE, f"{since:.0f}".encode()) and is_new:
            since = self._date_in(self.directory) or since
        # Released versions read the date off this file, so that it must tell them the same.
        self._create(INSTALL_ID, chosen.encode(), modified=since)
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
        for name in (INSTALL_ID, INSTALL_DATE, VERSION):
            _files.remove(self._path(name))
        self.writable = False
        return True

    def _repair_id(self, chosen: str, since: float) -> str | None:
        """Replace a damaged install id; one process at a time, and only while it is damaged."""
        with self._lock() as held:
            if not held:
                return stored_id(self.directory)
            stored = stored_id(self.directory)
            if stored is None:
                self._replace(INSTALL_ID, chosen.encode(), since)
                stored = stored_id(self.directory)
            return stored

    def known_id(self) -> str | None:
        """Return the install id that is stored here or was by an earlier version; None if none."""
        ids = (stored_id(place) for place in (self.directory, *self._earlier))
        return next((found for found in ids if found is not None), None)

    def has_erased(self, install: str) -> bool:
        """Return whether an install id that was stored here has been erased, or replaced.

        A directory that is gone altogether, or cannot be looked into, says nothing of the kind.
        """
        if self.directory is None:
            return False
        try:
            found = os.lstat(self._path(INSTALL_ID))
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
        for place in (self.directory, *self._earlier):
            if place is None or stored_id(place) is None:
                continue
            date = self._date_in(place)
            is_ours = place == self.directory and self.writable
            if is_ours and date is not None and self._stored_date(place) is None:
                self._replace(INSTALL_DATE, f"{date:.0f}".encode())
                self._withdrawn()
            return date
        return None

    def _date_in(self, place: str | None) -> float | None:
        if place is None:
            return None
        stored = self._stored_date(place)
        if stored is not None:
            return stored
        try:
            return os.lstat(os.path.join(place, INSTALL_ID)).st_mtime
        except OSError:
            return None

    @staticmethod
    def _stored_date(place: str) -> float | None:
        content = _files.read_now(os.path.join(place, INSTALL_DATE)) or b""
        # Ten digits reach the year 2286; a longer number is damage.
        return float(content) if content.isdigit() and len(content) <= 10 else None

    def age_seconds(self) -> float | None:
        """Return how long ago this install was first seen; None if unknown. A clock that was set
        back makes it 0, never negative. Without `writable` a new install says what it would: 0.
        """
        since = self.install_date()
        if since is None:
            is_new = self.directory is not None and self.known_id() is None
            return 0.0 if is_new and not self.writable else None
        return max(0.0, now() - since)

    # once per install

    def may_be_first_run(self) -> bool:
        """Return whether the first run of this install has not been claimed yet.

        Never True where nothing can be stored: a run that cannot know must not say that it is
        the first.
        """
        return self.directory is not None and not self._exists_anywhere(FIRST_RUN)

    def claim_first_run(self) -> bool:
        """Return True exactly once per install, however many processes ask at once.

        Without `writable` it says what it would, and keeps it.
        """
        if not self.may_be_first_run():
            return False
        # Earlier versions left it empty: so they can be told from this one.
        return self._create(FIRST_RUN, _VERSION_CONTENT) if self.writable else True

    def first_run_state(self) -> str:
        """Return how the first run stands, in words for a person."""
        if self.directory is None:
            return "never said, because no state can be kept"
        return "the next successful start" if self.may_be_first_run() else "was claimed"

    def has_earlier_version(self) -> bool:
        """Return whether a version ran here that did not keep which notice it had shown."""
        for place in (self.directory, *self._earlier):
            if place is None:
                continue
            first_run = _files.read_now(os.path.join(place, FIRST_RUN))
            is_theirs = first_run is not None and not first_run.isdigit()
            # This version stores a date with each id, and keeps both in one place only.
            has_only_id = stored_id(place) is not None and self._stored_date(place) is None
            if is_theirs or has_only_id:
                return True
        return False

    def is_notice_shown(self) -> bool:
        """Return whether the notice is known to have been shown to this install."""
        # Unlike `_exists`, what cannot be looked at is no: showing it twice is the lesser evil.
        return self.directory is not None and os.path.lexists(self._path(NOTICE))

    def notice_version(self) -> int | None:
        """Return the schema version whose notice was shown; None if none is known to have been."""
        shown = self._shown()
        return None if shown is None else shown.version

    def notice_age(self) -> float | None:
        """Return how long ago this version's notice was first shown, in seconds; None: it was not.

        Infinite for one of which only that is known. A clock that was set back makes it 0.
        """
        shown = self._shown()
        if shown is None or shown.version < SCHEMA_VERSION:
            return None
        return shown.age()

    def told_version(self, grace: float) -> int | None:
        """Return the schema version that may leave where a notice counts after `grace` seconds:
        the one that was shown last, or else the one before it; None for none.
        """
        shown = self._shown()
        if shown is None or shown.age() >= grace:
            return None if shown is None else shown.version
        return shown.before

    def _shown(self) -> "_Shown | None":
        if not self.is_notice_shown():
            return None
        return _Shown.parse(_files.read_now(self._path(NOTICE)) or b"")

    def set_notice_shown(self) -> None:
        """Remember that the notice of this version was shown now, unless it was before."""
        last = self._shown()
        if last is not None and last.version >= SCHEMA_VERSION:
            return
        if self.directory is not None and self.writable:
            before = None if last is None else last.version
            self._replace(NOTICE, _Shown(SCHEMA_VERSION, now(), before).content())

    def show_notice_once(self, show: "Callable[[int | None], bool]") -> int | None:
        """Have the notice shown unless this version's has been; return the version shown last.

        `show` gets the version whose notice was the last, and answers whether it could show this
        one's. However many ask at once, one shows it, as far as there are file locks. It waits, so
        the lock is one that nobody else ever needs.
        """
        if self.directory is None or not self.writable:
            return self._show_notice(show)
        with _files.Lock(self._path(NOTICE_LOCK)):
            return self._show_notice(show)

    def _show_notice(self, show: "Callable[[int | None], bool]") -> int | None:
        last = self.notice_version()
        if last is not None and last >= SCHEMA_VERSION:
            return last
        if not show(last):
            return last
        self.set_notice_shown()
        return SCHEMA_VERSION

    def release_first_run(self) -> None:
        """Let a later start be the first: no notice could be shown, so nothing of this one leaves.

        Not where a notice was shown, by whatever version or process: then it has left.
        """
        if self.directory is None or not self.writable or self.is_notice_shown():
            return
        if _files.read_now(self._path(FIRST_RUN)) == _VERSION_CONTENT:
            _files.remove(self._path(FIRST_RUN))

    def swap_version(self, current: str) -> str:
        """Return the version that ran last, "" if none is known, and store `current`."""
        last = ""
        for place in (self.directory, *self._earlier):
            content = None if place is None else _files.read_now(os.path.join(place, VERSION))
            found = (content or b"").decode("ascii", "replace").strip()
            # What is no word in ASCII was not written by us.
            if found and found.isascii() and found.isprintable():
                last = found
                break
        if last != current and self.writable and self.directory is not None:
            self._replace(VERSION, current.encode("ascii", "replace"))
            self._withdrawn()
        return last

    def _exists_anywhere(self, name: str) -> bool:
        places = (self.directory, *self._earlier)
        return any(
            _files.exists(os.path.join(place, name)) for place in places if place is not None
        )

    # writing

    def _lock(self) -> _files.Lock:
        return _files.Lock(self._path("lock"))

    def _path(self, name: str) -> str:
        """Return the path of a file of ours; only for who has a directory."""
        if self.directory is None:
            message = "there is no state directory"
            raise FileNotFoundError(message)
        return os.path.join(self.directory, name)

    def _create(self, name: str, content: bytes, modified: float | None = None) -> bool:
        """Create the file whole, or answer False if it is there already or cannot be made."""
        try:
            with _files.Temporary(self._path(""), content, modified) as temporary:
                os.link(temporary, self._path(name))
        except FileExistsError:
            return False
        except (OSError, AttributeError):
            return self._create_without_links(name, content, modified)
        return True

    def _create_without_links(
        self, name: str, content: bytes, modified: float | None = None
    ) -> bool:
        """Do the same where the file system has no hard links: one process at a time."""
        with self._lock() as held:
            if _files.exists(self._path(name)):
                return False
            if held:
                return self._replace(name, content, modified)
            try:
                # Neither links nor locks: a reader may see the file before its content, which it
                # takes as damaged.
                _files.write(self._path(name), content, os.O_EXCL)
            except OSError:
                return False
            return True

    def _replace(self, name: str, content: bytes, modified: float | None = None) -> bool:
        try:
            with _files.Temporary(self._path(""), content, modified) as temporary:
                os.replace(temporary, self._path(name))
        except OSError:
            return False  # a full or read-only disk: what was there stays
        return True
