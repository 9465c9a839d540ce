"""The spool: batches on disk, for this run, a later start or the detached sender.

One file a batch, whole or not there, only for this user, bound to its endpoint. Every process
writes under a name of its own, its owner, and holds a lock on that name while it lives: so a batch
belongs to one process at a time, and an orphan, whose owner has exited, can be adopted. Decides
nothing, counts nothing, and never raises OSError: what becomes of a batch is the backlog's to say.
"""

import errno
import os
import re

from getpatter.telemetry import _clock, _files
from getpatter.telemetry.delivery import spool_format
from getpatter.telemetry.delivery.claim import Claim
from getpatter.telemetry.delivery.claims import Claims
from getpatter.telemetry.delivery.limits import CLAIMS, SPOOL_BYTES, SPOOL_EVENTS, SPOOL_SECONDS
from getpatter.telemetry.delivery.spool_files import (
    DAMAGED,
    ENDING,
    FOREIGN,
    count,
    listed,
    read,
)
from getpatter.telemetry.places import ASIDE, SPOOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from getpatter.telemetry.delivery.batch import Batch
    from getpatter.telemetry.delivery.spool_format import Content

__all__ = ["Spool"]

_LOCK = re.compile("([0-9a-f]{16})[.]lock")
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR})


class Spool:
    """The spool in the state directory `directory`, as one process uses it for one `endpoint`.

    Owned by the backlog.
    """

    __slots__ = ("_claims", "_endpoint", "_not_ours", "_sizes", "path")

    def __init__(self, directory: str, endpoint: str) -> None:
        self.path = os.path.join(directory, SPOOL)
        self._endpoint = endpoint
        self._claims = Claims(self.path)
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
        owner = spool_format.owner_of(place or beside or "") or self._claims.own
        if not self._claims.may_write(owner):
            return None
        if place is None:
            closed = _clock.wall() - max(0.0, now - batch.closed_at)
            place = spool_format.batch_name(batch, closed, owner)
        try:
            _files.replace(os.path.join(self.path, place), content)
        except OSError:
            return None  # a full or read-only disk, or the directory has gone
        self._sizes[place] = (len(content), len(batch.events))
        return place

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
        age = max(0.0, _clock.wall() - spool_format.closed_at(place))
        return content.batch(spool_format.key_of(place), now - age)

    def content(self, place: str) -> "Content | str":
        """Return what the file at `place` holds, for whatever endpoint, or why nothing."""
        return self._content(place)

    def _content(self, place: str) -> "Content | str":
        found = read(os.path.join(self.path, place))
        if isinstance(found, str):
            return found
        content = spool_format.parsed(found)
        if content is None:
            return DAMAGED
        return content if content.is_ours else FOREIGN

    def count(self, place: str) -> int:
        """Return how many events the file at `place` says it holds; 0 if it cannot be read."""
        return count(os.path.join(self.path, place))

    def age(self, place: str) -> float:
        """Return how long ago the batch at `place` was closed, in seconds."""
        return _clock.wall() - spool_format.closed_at(place)

    def is_there(self, place: str) -> bool:
        """Return whether the file is there, or may be."""
        return _files.exists(os.path.join(self.path, place))

    # removing

    def remove(self, place: str) -> bool:
        """Remove a batch of an owner that we hold; return whether it was there, or may still be."""
        if not self.holds(place):
            return True
        self._sizes.pop(place, None)
        error = _files.remove(os.path.join(self.path, place), missing=False)
        return error is None or error.errno not in _NO_FILE

    def set_aside(self, place: str) -> bool:
        """Put away what is no batch; return whether that could be done."""
        path = os.path.join(self.path, place)
        try:
            os.rename(path, path + ASIDE)
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
            is_orphan = not self._claims.holds(owner)
            if is_orphan and not self._claims.adopt(owner):
                continue  # another process has it, and counts it
            yield name, "expired" if is_old else "spool_full"
            if is_orphan:
                self._give_back(owner)
            if name not in self._sizes:  # it was removed
                size, events = size - its_size, events - its_events

    def _size(self, name: str) -> tuple[int, int]:
        """Return how many bytes and events a file holds, as far as can be known."""
        if name not in self._sizes:
            path = os.path.join(self.path, name)
            try:
                size = os.lstat(path).st_size
            except OSError:
                return 0, 0
            self._sizes[name] = (size, count(path))
        return self._sizes[name]

    # claims

    def check(self) -> str | None:
        """Return what became of our own claim, if it is no longer held; it is taken anew then."""
        return self._claims.check()

    def holds(self, place: str) -> bool:
        """Return whether the batch at `place` is this process's to send and to remove."""
        return self._claims.holds(spool_format.owner_of(place))

    def adopt(self) -> list[str]:
        """Take over the batches of an owner that has exited; return their places, the oldest
        first, none if there is no such owner.
        """
        claims = self._claims
        seen = {claims.own, *self._not_ours, *claims.adopted}
        for name in self._names():
            owner = spool_format.owner_of(name)
            if owner is None or owner in seen or len(claims.adopted) >= CLAIMS:
                continue
            seen.add(owner)
            if not claims.adopt(owner):
                continue
            if self._is_for_us(name):
                return self._places(owner)
            self._not_ours.add(owner)
            claims.give_back(owner, remove=False)
        return []

    def _is_for_us(self, name: str) -> bool:
        content = self._content(name)
        if isinstance(content, str):
            return content != FOREIGN
        return content.endpoint == self._endpoint

    def _places(self, owner: str) -> list[str]:
        """Return the batches of an owner, the oldest first."""
        return [name for name in self._names() if spool_format.owner_of(name) == owner]

    def _give_back(self, owner: str) -> None:
        """Give back the name of an adopted owner, and remove it if it stands for nothing."""
        self._claims.give_back(owner, remove=not self._places(owner))

    def keep(self, owners: "set[str]") -> None:
        """Give back every adopted name but these."""
        for owner in self._claims.adopted.keys() - owners:
            self._give_back(owner)

    # the end

    def tidy(self) -> None:
        """Give back the adopted names, and remove what stands for nothing any more."""
        self._tidied()

    def _tidied(self) -> "set[str]":
        """Do so, and return the owners of the batches that are left."""
        names = listed(self.path)
        used = {owner for owner in map(spool_format.owner_of, names) if owner is not None}
        for owner in list(self._claims.adopted):
            self._claims.give_back(owner, remove=owner not in used)
        self._not_ours.clear()
        self._sizes.clear()
        for name in names:
            lock = _LOCK.fullmatch(name)
            if lock and lock[1] not in used and lock[1] != self._claims.own:
                free = Claim.take(os.path.join(self.path, name))
                if free is not None:
                    _files.remove(os.path.join(self.path, lock[1] + ENDING))
                    free.end(remove=True)
            self._remove_old(name)
        return used

    def _remove_old(self, name: str) -> None:
        """Remove what was set aside, or left by a writer that was killed, when it is too old."""
        if not (name.endswith(ASIDE) or _files.is_temporary(name)):
            return
        path = os.path.join(self.path, name)
        try:
            if _clock.wall() - os.lstat(path).st_mtime > SPOOL_SECONDS:
                os.unlink(path)
        except OSError:
            return

    def release(self) -> None:
        """Give back all claims: a process that begins from now on may adopt our batches."""
        used = self._tidied()
        self._claims.release(remove=self._claims.own not in used)

    def say_ending(self) -> bool:
        """Have a sender wait for the end of this process; answer whether it has a reason to."""
        if not self._claims.is_begun:
            return False
        try:
            _files.write(os.path.join(self.path, self._claims.own + ENDING), b"")
        except OSError:
            return False
        return True

    def drop_inherited(self) -> None:
        """Close what a `fork` child has of its parent's claims; they stay the parent's."""
        self._claims.drop_inherited()

    def _names(self) -> list[str]:
        """Return the names of the batches, the oldest first."""
        return sorted(name for name in listed(self.path) if spool_format.owner_of(name))
