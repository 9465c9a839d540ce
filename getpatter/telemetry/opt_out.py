"""The stored opt-out: `disable` stores it and erases what this install keeps, `enable` removes it.

Erases what reading would trust and nothing else: names of ours, in directories of this user, and
through no link. The install id alone is retained apart for 30 days, so that what was sent under it
can still be erased at the collector; nothing but that request ever uses it.
"""

import errno
import os

from getpatter.telemetry import _clock, _directories, _files
from getpatter.telemetry.places import (
    ASIDE,
    INSTALL_DATE,
    INSTALL_ID,
    LEDGER,
    OPT_OUT,
    REPORTED,
    RETAINED,
    SPOOL,
    VERSION,
    Places,
    number,
    stored_id,
)
from getpatter.telemetry.reported import is_reported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["drop_retained_ids", "known_ids", "retained_ids", "set_opt_out"]

# `first-run` and `notice` are no identity: both stay, so that enabling again neither counts the
# install a second time nor repeats the notice.
_IDENTITY = (INSTALL_ID, INSTALL_DATE, VERSION)
# How long an id is retained, in seconds.
_RETAINED_SECONDS = 30 * 86_400


def set_opt_out(environ: "Mapping[str, str]", *, disabled: bool) -> None:
    """Store the opt-out and erase the identity, or remove the opt-out everywhere.

    Stored where this version and where released versions look. Raises OSError if it could be
    stored nowhere, or if something could not be removed; what can be, is removed first.
    """
    places = Places.of(environ)
    if disabled:
        _store_opt_out(places.all)
        _retain(places)
        found = _erasable(places)
    else:
        found = [os.path.join(place, OPT_OUT) for place in places.all]
    problems = [_files.remove(path) for path in found]
    for problem in problems:
        if problem is not None:
            raise problem


def known_ids(environ: "Mapping[str, str]") -> tuple[str, ...]:
    """Return every install id that is stored in a known place, the one in use first."""
    return _known_ids(Places.of(environ))


def _known_ids(places: Places) -> tuple[str, ...]:
    ids = (stored_id(place) for place in places.all)
    return tuple(dict.fromkeys(found for found in ids if found is not None))


def _store_opt_out(places: tuple[str, ...]) -> None:
    """Store the marker wherever that is possible; raise OSError if it is nowhere."""
    problem: OSError = FileNotFoundError(errno.ENOENT, "there is no home directory")
    stored = 0
    for place in places:
        try:
            _directories.make_directories(place)
            _files.write(os.path.join(place, OPT_OUT), b"")
            stored += 1
        except OSError as error:
            problem = error
    if not stored:
        raise problem


def _erasable(places: Places) -> list[str]:
    """Return the paths of what `disable` erases."""
    found = []
    for place in places.all:
        if place in places.own:
            if not _is_trusted(place, may_narrow=place == places.default):
                continue
            found += [os.path.join(place, name) for name in (*_IDENTITY, LEDGER)]
            spool = os.path.join(place, SPOOL)
            if _is_trusted(spool):
                ends = (".json", ASIDE)
                found += [path for path in _listed(spool) if path.endswith(ends)]
                found += _left_behind(spool)
            reported = os.path.join(place, REPORTED)
            if _is_trusted(reported):
                found += [p for p in _listed(reported) if is_reported(os.path.basename(p))]
        elif _directories.is_of_this_user(place):
            # A shared place: what is called `version` there may be someone else's.
            names = (INSTALL_ID,) if stored_id(place) is None else _IDENTITY
            found += [os.path.join(place, name) for name in names]
        else:
            continue
        found += _left_behind(place)
    return found


def _is_trusted(directory: str, *, may_narrow: bool = False) -> bool:
    """Return whether what is in a directory is read, and so may be erased."""
    try:
        return _directories.problem_of(directory, may_narrow=may_narrow) is None
    except FileNotFoundError:
        return False


def _left_behind(place: str) -> list[str]:
    """Return the temporary files of writers that were killed: they may hold an identity."""
    return [path for path in _listed(place) if _files.is_temporary(os.path.basename(path))]


def _listed(place: str) -> list[str]:
    try:
        return [os.path.join(place, name) for name in os.listdir(place)]
    except (OSError, ValueError):
        return []


# the retained id


def _retain(places: Places) -> None:
    """Keep the known ids apart. Where that is impossible they are erased all the same."""
    directory, ids = places.directory, _known_ids(places)
    if directory is None or not ids or not _is_trusted(directory):
        return
    kept = dict.fromkeys((*ids, *_retained(directory)))
    # No more than fit into a file of ours, which is as many as there are places.
    content = " ".join([f"{int(_clock.wall())}", *list(kept)[:5]])
    try:
        _files.replace(os.path.join(directory, RETAINED), content.encode())
    except OSError:
        return


def retained_ids(environ: "Mapping[str, str]") -> tuple[str, ...]:
    """Return the install ids that `disable` has erased here within the last 30 days, for a request
    to erase what was sent under them, and for nothing else. What is older is removed.
    """
    directory = Places.of(environ).directory
    return () if directory is None else _retained(directory)


def _retained(directory: str) -> tuple[str, ...]:
    path = os.path.join(directory, RETAINED)
    try:
        content = _files.read_now(path)
    except OSError:
        return ()  # not known now
    since, *ids = (content or b"").split() or [b""]
    date = number(since)
    # A clock that was set back is no reason to lose it.
    if date is None or abs(_clock.wall() - date) >= _RETAINED_SECONDS:
        _files.remove(path)
        return ()
    return tuple(found.decode("ascii", "replace") for found in ids if len(found) == 32)


def drop_retained_ids(environ: "Mapping[str, str]") -> None:
    """Remove what is retained: what was sent is erased. Raises OSError if it cannot be."""
    directory = Places.of(environ).directory
    problem = None if directory is None else _files.remove(os.path.join(directory, RETAINED))
    if problem is not None:
        raise problem
