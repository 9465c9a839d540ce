"""The spool: batches on disk that have not been delivered, for a later start or the sender.

One file a batch, whole or not there, only for this user, bound to its endpoint. Every process
writes under a name of its own, its owner, and holds a lock on that name while it lives: so a batch
belongs to one process at a time, and the batches of a process that is gone can be adopted. Keeps
to its bounds by giving up the oldest. Decides nothing about consent; never raises OSError.
"""

import json
import os
import re
import stat

from getpatter.telemetry import _files, state
from getpatter.telemetry._claim import Claim
from getpatter.telemetry.delivery import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from getpatter.telemetry.losses import Losses

__all__ = ["EVENTS", "LIMIT", "SECONDS", "Spool", "waiting"]

#: The bounds of a spool, over all processes: bytes, events, and seconds that a batch is kept.
LIMIT = 1_048_576
EVENTS = 1_000
SECONDS = 7 * 86_400

# What a file of ours says it is; a newer version may mean other things by the same names.
_FORMAT = 1
# When it was closed (microseconds since 1970), its key, and its owner.
_NAME = re.compile("([0-9]{16})-([0-9a-f]{32})-([0-9a-f]{16})[.]json")
# How its content begins, so that counting the events of a spool parses none of them.
_HEAD = re.compile(b'{"format":[0-9]{1,9},"count":([0-9]{1,2}),')
_HEAD_BYTES = 40
_LOCK = re.compile("([0-9a-f]{16})[.]lock")
# A file that cannot be read as a batch is left for a person to look at, until it is too old.
_ASIDE = state.ASIDE
# What stands behind the name of an owner that is about to end.
_ENDING = ".ending"
# What stands in a file beside its format and count.
_KINDS: "dict[str, type]" = {
    "endpoint": str,
    "rate": float,
    "version": str,
    "tries": int,
    "report": list,
    "events": list,
}
# Owners that are gone whose batches one process holds at a time: each costs a descriptor.
_ADOPTED = 8


class Spool:
    """The spool in the state directory `directory`, as one process uses it for one `endpoint`.

    `endpoint` None: batches of every endpoint are taken, and none is added. Owned by whoever does
    I/O for its client.
    """

    __slots__ = (
        *("_adopted", "_claim", "_endpoint", "_losses", "_not_ours", "_owner"),
        *("own", "path", "sent"),
    )

    def __init__(self, directory: str, endpoint: str | None, losses: "Losses") -> None:
        self.path = os.path.join(directory, state.SPOOL)
        #: Place → events, of what this process has added and not removed.
        self.own: dict[str, int] = {}
        #: The place of the batch that is being sent: it is not given up meanwhile.
        self.sent: str | None = None
        self._endpoint = endpoint
        self._losses = losses
        self._owner = os.urandom(8).hex()
        self._claim: Claim | None = None
        self._adopted: dict[str, Claim] = {}
        self._not_ours: set[str] = set()

    # adding

    def add(self, batch: Batch, now: float, *, is_sent: bool = False) -> str | None:
        """Store a batch; return its place, None if it cannot be stored. `now` as in `Batch`.

        One that has a place is stored there anew. `is_sent`: it is being sent.
        """
        closed = state.now() - max(0.0, now - batch.closed_at)
        name = batch.place or f"{int(closed * 1e6):016d}-{batch.key}-{self._owner}.json"
        content = json.dumps(
            {
                "format": _FORMAT,
                "count": len(batch.events),
                "endpoint": self._endpoint,
                "rate": float(batch.rate),
                "version": batch.version,
                "tries": batch.tries,
                "report": [[*loss, times] for loss, times in batch.report.items()],
                "events": batch.events,
            },
            separators=(",", ":"),
            allow_nan=False,
        ).encode("ascii")
        if self._endpoint is None or len(content) > LIMIT or not self._own():
            return None
        try:
            with _files.Temporary(self.path, content) as temporary:
                os.replace(temporary, os.path.join(self.path, name))
        except OSError:
            return None  # a full or read-only disk, or the directory has gone
        self.own[name] = len(batch.events)
        if is_sent:
            self.sent = name
        self._keep_to_bounds()
        return name

    def _own(self) -> bool:
        """Have a claim on our own name; answer whether there is one."""
        if self._claim is None:
            try:
                _files.make_directory(self.path)
            except OSError:
                return False
            if not _is_private(self.path):
                return False
            self._claim = Claim.take(os.path.join(self.path, f"{self._owner}.lock"))
        elif not os.path.isdir(self.path):  # removed while we run: begin again
            self._claim.end()
            self._claim = None
            return self._own()
        return self._claim is not None

    def _keep_to_bounds(self) -> None:
        """Give up what is too old, then the oldest until the rest is within the bounds."""
        now, total, events = state.now(), 0, 0
        for name in reversed(self._names()):  # the newest first
            path = os.path.join(self.path, name)
            try:
                total += os.lstat(path).st_size
            except OSError:
                continue
            events += _count(path)
            if name == self.sent:
                continue
            if now - _closed(name) > SECONDS:
                self._lose(name, "expired")
            elif total > LIMIT or events > EVENTS:
                self._lose(name, "spool_full")

    def _lose(self, name: str, reason: str) -> None:
        """Remove a batch and count its events, if nobody else has removed it meanwhile.

        Another process may be sending it at this moment: then it is both delivered and counted
        here, the one case in which a loss is told that was none.
        """
        self.own.pop(name, None)
        path = os.path.join(self.path, name)
        content, count = self._read(name), _count(path)
        if _files.remove(path, missing=False) is not None:
            return
        if content is None or content["format"] != _FORMAT:
            self._losses.count(None, reason, count)
            return
        for event in content["events"]:
            self._losses.count(event.get("event"), reason)

    # taking

    def places(self) -> list[str]:
        """Return the batches that this process may send now, the oldest first: its own, and those
        of processes that are gone, which it adopts.
        """
        return [name for name in self._names() if self._is_claimed(name)]

    def _is_claimed(self, name: str) -> bool:
        match = _NAME.fullmatch(name)
        if match is None or name in self._not_ours:
            return False
        owner = match[3]
        if owner == self._owner or owner in self._adopted:
            return True
        if len(self._adopted) >= _ADOPTED:
            return False
        claim = Claim.take(os.path.join(self.path, f"{owner}.lock"))
        if claim is None:
            return False
        self._adopted[owner] = claim
        return True

    def load(self, place: str, now: float) -> "tuple[Batch, str] | None":
        """Return the batch at `place` and its endpoint; None if it is not to be sent from here.

        What cannot be read as a batch is set aside, and its events are counted; what a newer
        version wrote, or what is for another endpoint, is left alone.
        """
        match = _NAME.fullmatch(place)
        content = self._read(place)
        if match is None or content is None:
            self._set_aside(place)
            return None
        endpoint = content.get("endpoint")
        is_newer = content["format"] != _FORMAT
        if is_newer or self._endpoint not in (None, endpoint):
            self._not_ours.add(place)
            return None
        age = state.now() - _closed(place)
        if age > SECONDS:
            self._lose(place, "expired")
            return None
        report = {(str(event), str(reason)): int(n) for event, reason, n in content["report"]}
        batch = Batch(
            content["events"],
            match[2],
            now - max(0.0, age),
            report,
            rate=content["rate"],
            version=content["version"],
        )
        batch.place = place
        batch.tries = content["tries"]
        return batch, str(endpoint)

    def _read(self, name: str) -> "dict[str, Any] | None":
        """Return the content of a batch file; None for anything that is none."""
        content = _files.read(os.path.join(self.path, name), LIMIT)
        try:
            found = json.loads(content or b"")
        except (ValueError, RecursionError):
            return None
        return found if _is_batch(found) else None

    def _set_aside(self, name: str) -> None:
        self.own.pop(name, None)
        path = os.path.join(self.path, name)
        count = _count(path)
        try:
            os.rename(path, path + _ASIDE)
        except OSError:
            self._not_ours.add(name)
            return
        self._losses.count(None, "internal_error", count)

    def remove(self, place: str) -> None:
        """Remove a batch that was delivered or given up."""
        self.own.pop(place, None)
        _files.remove(os.path.join(self.path, place))

    # the end

    def tidy(self) -> None:
        """Give back the adopted names, and remove those that stand for nothing any more."""
        names = self._names()
        used = {match[3] for match in map(_NAME.fullmatch, names) if match}
        for owner, claim in self._adopted.items():
            claim.end(remove=owner not in used)
        self._adopted.clear()
        for name in self._listed():
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
            if state.now() - os.lstat(path).st_mtime > SECONDS:
                os.unlink(path)
        except OSError:
            return

    def release(self) -> None:
        """Give up our own name: a process that begins from now on may adopt our batches."""
        self.tidy()
        if self._claim is not None:
            used = any(self._owner in name for name in self._names())
            self._claim.end(remove=not used)
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

    def is_anybody_ending(self) -> bool:
        """Return whether a process says that it is ending."""
        return any(name.endswith(_ENDING) for name in self._listed())

    def adopt_ending(self) -> bool:
        """Wait for a process that says it is ending, and adopt its batches; False if none does."""
        for name in self._listed():
            owner = name.removesuffix(_ENDING)
            if owner == name:
                continue
            claim = None
            if owner not in self._adopted:
                claim = Claim.take(os.path.join(self.path, f"{owner}.lock"), wait=True)
            _files.remove(os.path.join(self.path, name))
            if claim is not None:
                self._adopted[owner] = claim
                return True
        return False

    def drop_inherited(self) -> None:
        """Close what a `fork` child has of its parent's claims; they stay the parent's."""
        for claim in (self._claim, *self._adopted.values()):
            if claim is not None:
                claim.close()

    def _names(self) -> list[str]:
        """Return the names of the batches, the oldest first."""
        return sorted(name for name in self._listed() if _NAME.fullmatch(name))

    def _listed(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except OSError:
            return []


def waiting(directory: str) -> int:
    """Return how many events are in the spool of `directory`, whoever they belong to."""
    path = os.path.join(directory, state.SPOOL)
    try:
        names = os.listdir(path)
    except OSError:
        return 0
    return sum(_count(os.path.join(path, name)) for name in names if _NAME.fullmatch(name))


def _closed(name: str) -> float:
    """Return when the batch of that name was closed, in seconds since 1970."""
    return int(name[:16]) / 1e6


def _count(path: str) -> int:
    """Return how many events the file of a batch says it holds; one, if it does not."""
    try:
        with open(path, "rb") as file:
            head = _HEAD.match(file.read(_HEAD_BYTES))
    except OSError:
        return 0
    return int(head[1]) if head else 1


def _is_private(path: str) -> bool:
    """Return whether `path` is a directory of this user alone."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_batch(found: object) -> bool:
    """Return whether this is what `add` wrote, in this version or, as far as it goes, a newer."""
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        return False
    if found["format"] > _FORMAT:
        return True
    if any(not isinstance(found.get(name), kind) for name, kind in _KINDS.items()):
        return False
    events = found["events"]
    rows = found["report"]
    return (
        1 <= len(events) <= 64
        and all(isinstance(event, dict) for event in events)
        and all(isinstance(row, list) and len(row) == 3 and type(row[2]) is int for row in rows)
    )
