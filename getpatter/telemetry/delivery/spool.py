"""The spool: batches on disk, for this run, a later start or the detached sender.

One file a batch, whole or not there, only for this user, bound to its endpoint. Every process
writes under a name of its own, its owner, and holds a lock on that name while it lives: so a batch
belongs to one process at a time, and an orphan, whose owner has exited, can be adopted. Decides
nothing, counts nothing, and never raises OSError: what becomes of a batch is the backlog's to say.
"""

import errno
import os
import re
import stat

from getpatter.telemetry import _files, state
from getpatter.telemetry.delivery import spool_format
from getpatter.telemetry.delivery.claim import Claim
from getpatter.telemetry.delivery.limits import CLAIMS, SPOOL_BYTES, SPOOL_EVENTS, SPOOL_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from getpatter.telemetry.delivery.batch import Batch
    from getpatter.telemetry.delivery.spool_format import Content

__all__ = [
    "DAMAGED",
    "FOREIGN",
    "GONE",
    "LATER",
    "LOST",
    "REMOVED",
    "Spool",
    "endpoints",
    "waiting",
]

# Why a file gives no batch.
#: There is none.
GONE = "gone"
#: It cannot be opened or read now: no descriptor, no memory, a device that fails.
LATER = "later"
#: It was read whole, and is no batch.
DAMAGED = "damaged"
#: It is for another endpoint, of a later version, or no file of ours at all.
FOREIGN = "foreign"

# What became of our own claim.
#: Its file was removed, and what was beside it may have been, too; nobody has taken over.
REMOVED = "removed"
#: Its descriptor was closed behind our back, so that anybody may have taken over.
LOST = "lost"

_LOCK = re.compile("([0-9a-f]{16})[.]lock")
# A file that is no batch is left for a person to look at, until it is too old.
_ASIDE = state.ASIDE
# What stands behind the name of an owner that is about to end.
_ENDING = ".ending"
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR})


class Spool:
    """The spool in the state directory `directory`, as one process uses it for one `endpoint`.

    Owned by the backlog.
    """

    __slots__ = ("_adopted", "_claim", "_endpoint", "_not_ours", "_owner", "_sizes", "path")

    def __init__(self, directory: str, endpoint: str) -> None:
        self.path = os.path.join(directory, state.SPOOL)
        self._endpoint = endpoint
        self._owner = os.urandom(8).hex()
        self._claim: Claim | None = None
        self._adopted: dict[str, Claim] = {}
        self._not_ours: set[str] = set()
        # Name → bytes and events, of the files that were looked at.
        self._sizes: dict[str, tuple[int, int]] = {}

    # writing

    def write(
        self, batch: "Batch", now: float, *, place: str | None = None, beside: str | None = None
    ) -> str | None:
        """Store a batch; return its place, None if it cannot be stored. `now` as in `Batch`.

        `place`: it is stored there already, and anew now. `beside`: for the owner of that place.
        """
        content = spool_format.encoded(batch, self._endpoint)
        if len(content) > SPOOL_BYTES:
            return None
        owner = spool_format.owner_of(place or beside or "") or self._owner
        if not self._has(owner):
            return None
        if place is None:
            closed = state.now() - max(0.0, now - batch.closed_at)
            place = spool_format.batch_name(batch, closed, owner)
        try:
            with _files.Temporary(self.path, content) as temporary:
                os.replace(temporary, os.path.join(self.path, place))
        except OSError:
            return None  # a full or read-only disk, or the directory has gone
        self._sizes[place] = (len(content), len(batch.events))
        return place

    def _has(self, owner: str) -> bool:
        """Return whether we hold the name of this owner; take our own if need be."""
        if owner != self._owner:
            return owner in self._adopted and self._adopted[owner].is_held
        if self._claim is None:
            try:
                _files.make_directory(self.path)
            except OSError:
                return False
            if not _is_private(self.path):
                return False
            self._claim = Claim.take(self._lock(owner))
        return self._claim is not None and self._claim.is_held

    def _lock(self, owner: str) -> str:
        return os.path.join(self.path, f"{owner}.lock")

    # reading

    def read(self, place: str, now: float) -> "Batch | str":
        """Return the batch at `place`, or why there is none."""
        content = self._content(place)
        if isinstance(content, str):
            return content
        if content.endpoint != self._endpoint:
            self._not_ours.add(spool_format.owner_of(place) or "")
            return FOREIGN
        return self.batch(content, place, now)

    @staticmethod
    def batch(content: "Content", place: str, now: float) -> "Batch":
        """Return the batch in the content of the file at `place`."""
        age = max(0.0, state.now() - spool_format.closed_at(place))
        return content.batch(spool_format.key_of(place), now - age)

    def content(self, place: str) -> "Content | str":
        """Return what the file at `place` holds, for whatever endpoint, or why nothing."""
        return self._content(place)

    def _content(self, place: str) -> "Content | str":
        found = _read(os.path.join(self.path, place))
        if isinstance(found, str):
            return found
        content = spool_format.parsed(found)
        if content is None:
            return DAMAGED
        return content if content.is_ours else FOREIGN

    def count(self, place: str) -> int:
        """Return how many events the file at `place` says it holds; 0 if it cannot be read."""
        return _count(os.path.join(self.path, place))

    def age(self, place: str) -> float:
        """Return how long ago the batch at `place` was closed, in seconds."""
        return state.now() - spool_format.closed_at(place)

    def is_there(self, place: str) -> bool:
        """Return whether the file is there, or may be."""
        return _files.exists(os.path.join(self.path, place))

    # removing

    def remove(self, place: str) -> bool:
        """Remove a batch of an owner that we hold; return whether it was there, or may still be."""
        owner = spool_format.owner_of(place)
        if owner is None or not self._has_claim(owner):
            return True
        self._sizes.pop(place, None)
        error = _files.remove(os.path.join(self.path, place), missing=False)
        return error is None or error.errno not in _NO_FILE

    def set_aside(self, place: str) -> bool:
        """Put away what is no batch; return whether that could be done."""
        path = os.path.join(self.path, place)
        try:
            os.rename(path, path + _ASIDE)
        except OSError:
            return False
        return True

    def excess(self) -> "Iterator[tuple[str, str]]":
        """Yield the batches, the oldest first, that must go for the rest to be within the bounds,
        each with its reason. Only those that this process holds, or that are orphans: then it holds
        them until the next one is asked for.
        """
        found = [(name, *self._size(name)) for name in self._names()]
        size = sum(size for _, size, _ in found)
        events = sum(events for *_, events in found)
        for name, its_size, its_events in found:
            is_old = self.age(name) > SPOOL_SECONDS
            if not is_old and size <= SPOOL_BYTES and events <= SPOOL_EVENTS:
                continue
            owner = spool_format.owner_of(name) or ""
            claim = None if self._has_claim(owner) else Claim.take(self._lock(owner))
            if claim is None and not self._has_claim(owner):
                continue  # another process has it, and counts it
            if claim is not None:
                self._adopted[owner] = claim
            yield name, "expired" if is_old else "spool_full"
            if claim is not None:
                self.give_back(owner)
            if name not in self._sizes:  # it was removed
                size, events = size - its_size, events - its_events

    def _size(self, name: str) -> tuple[int, int]:
        """Return how many bytes and events a file holds, as far as it can be said."""
        if name not in self._sizes:
            path = os.path.join(self.path, name)
            try:
                size = os.lstat(path).st_size
            except OSError:
                return 0, 0
            self._sizes[name] = (size, _count(path))
        return self._sizes[name]

    # claims

    def check(self) -> str | None:
        """Return what became of our own claim, if it is no longer held; it is taken anew then."""
        claim = self._claim
        if claim is None or claim.is_held:
            return None
        happened = REMOVED if claim.is_open else LOST
        claim.end()
        self._claim = None
        self._has(self._owner)
        return happened

    def _has_claim(self, owner: str) -> bool:
        claim = self._claim if owner == self._owner else self._adopted.get(owner)
        return claim is not None and claim.is_held

    def holds(self, place: str) -> bool:
        """Return whether the batch at `place` is this process's to send and to remove."""
        owner = spool_format.owner_of(place)
        return owner is not None and self._has_claim(owner)

    def adopt(self) -> list[str]:
        """Take over the batches of an owner that has exited; return their places, the oldest
        first, none if there is no such owner.
        """
        seen = {self._owner, *self._not_ours, *self._adopted}
        for name in self._names():
            owner = spool_format.owner_of(name)
            if owner is None or owner in seen or len(self._adopted) >= CLAIMS:
                continue
            seen.add(owner)
            claim = Claim.take(self._lock(owner))
            if claim is None:
                continue
            if self._is_for_us(name):
                self._adopted[owner] = claim
                return self.places(owner)
            self._not_ours.add(owner)
            claim.end()
        return []

    def _is_for_us(self, name: str) -> bool:
        content = self._content(name)
        if isinstance(content, str):
            return content != FOREIGN
        return content.endpoint == self._endpoint

    def places(self, owner: str | None = None) -> list[str]:
        """Return the batches of an owner, our own unless told, the oldest first."""
        chosen = owner or self._owner
        return [name for name in self._names() if spool_format.owner_of(name) == chosen]

    def give_back(self, owner: str) -> None:
        """Give back the name of an adopted owner, and remove it if it stands for nothing."""
        claim = self._adopted.pop(owner, None)
        if claim is not None:
            claim.end(remove=not self.places(owner))

    def keep(self, owners: "set[str]") -> None:
        """Give back every adopted name but these."""
        for owner in self._adopted.keys() - owners:
            self.give_back(owner)

    # the end

    def tidy(self) -> None:
        """Give back the adopted names, and remove what stands for nothing any more."""
        for owner in list(self._adopted):
            self.give_back(owner)
        self._not_ours.clear()
        self._sizes.clear()
        used = {spool_format.owner_of(name) for name in self._names()}
        for name in _listed(self.path):
            lock = _LOCK.fullmatch(name)
            if lock and lock[1] not in used and lock[1] != self._owner:
                free = Claim.take(os.path.join(self.path, name))
                if free is not None:
                    _files.remove(os.path.join(self.path, lock[1] + _ENDING))
                    free.end(remove=True)
            self._remove_old(name)

    def _remove_old(self, name: str) -> None:
        """Remove what was set aside, or left by a writer that was killed, when it is too old."""
        if not (name.endswith(_ASIDE) or _files.is_temporary(name)):
            return
        path = os.path.join(self.path, name)
        try:
            if state.now() - os.lstat(path).st_mtime > SPOOL_SECONDS:
                os.unlink(path)
        except OSError:
            return

    def release(self) -> None:
        """Give back all claims: a process that begins from now on may adopt our batches."""
        self.tidy()
        if self._claim is not None:
            self._claim.end(remove=not self.places())
            self._claim = None

    def say_ending(self) -> bool:
        """Tell a sender to wait for the end of this process; answer whether it has a reason to."""
        if self._claim is None:
            return False
        try:
            _files.write(os.path.join(self.path, self._owner + _ENDING), b"")
        except OSError:
            return False
        return True

    def drop_inherited(self) -> None:
        """Close what a `fork` child has of its parent's claims; they stay the parent's."""
        for claim in (self._claim, *self._adopted.values()):
            if claim is not None:
                claim.close()

    def _names(self) -> list[str]:
        """Return the names of the batches, the oldest first."""
        return sorted(name for name in _listed(self.path) if spool_format.owner_of(name))


def endpoints(path: str) -> set[str]:
    """Return the endpoints of the batches in the spool at `path`, as far as they can be read."""
    found: dict[str, str | None] = {}
    for name in _listed(path):
        owner = spool_format.owner_of(name)
        if owner is None or found.get(owner) is not None:
            continue  # an owner writes for one endpoint
        read = _read(os.path.join(path, name))
        content = None if isinstance(read, str) else spool_format.parsed(read)
        found[owner] = None if content is None else content.endpoint
    return {endpoint for endpoint in found.values() if endpoint is not None}


def ending(path: str) -> list[str]:
    """Return the owners in the spool at `path` that say they are about to end."""
    names = _listed(path)
    return [name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)]


def has_ended(path: str, owner: str) -> bool:
    """Return whether an owner that said so has ended; then it says so no longer."""
    claim = Claim.take(os.path.join(path, f"{owner}.lock"))
    if claim is None:
        return False
    _files.remove(os.path.join(path, owner + _ENDING))
    claim.end()
    return True


def waiting(directory: str) -> int:
    """Return how many events are in the spool of `directory`, whoever they belong to."""
    path = os.path.join(directory, state.SPOOL)
    names = [name for name in _listed(path) if spool_format.owner_of(name)]
    return sum(_count(os.path.join(path, name)) for name in names)


def _read(path: str) -> bytes | str:
    """Return the whole content of a file, or why not."""
    try:
        content = _files.read_regular(path, SPOOL_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except (OSError, MemoryError):
        return LATER
    return FOREIGN if content is None else content


def _count(path: str) -> int:
    """Return how many events the file of a batch says it holds; one, if it does not."""
    try:
        content = _files.read_regular(path, spool_format.HEAD_BYTES, whole=False)
    except (OSError, MemoryError):
        return 0
    return 0 if content is None else spool_format.count(content)


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _is_private(path: str) -> bool:
    """Return whether `path` is a directory of this user alone."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
