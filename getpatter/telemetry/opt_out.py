"""The stored opt-out: `disable` stores it and erases what this install keeps, `enable` removes it.

Erases what reading would trust and nothing else: names of ours, in directories of this user, and
through no link. An install ID that was sent is retained apart, see `sent`.
"""

import errno
import os

from getpatter.telemetry import _directories, _files, sent
from getpatter.telemetry.places import (
    ASIDE,
    INSTALL_DATE,
    INSTALL_ID,
    LEDGER,
    OPT_OUT,
    SPOOL,
    VERSION,
    Places,
    is_of_earlier_version,
    stored_id,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ids_sent", "retained", "set_opt_out", "settle"]

# `first-run` and `notice` are no identity: both stay, so that enabling again neither counts the
# install a second time nor repeats the notice.
_IDENTITY = (INSTALL_ID, INSTALL_DATE, VERSION)


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


# what was sent


def ids_sent(environ: "Mapping[str, str]") -> dict[str, list[str]]:
    """Return the install IDs that were sent from here, also those that `disable` has erased within
    the last 30 days: each with its endpoints, among them `sent.ANYWHERE` if some are not known.
    """
    places = Places.of(environ)
    return sent.merged(*(_sent_from(places, place) for place in places.all), retained(environ))


def retained(environ: "Mapping[str, str]") -> dict[str, list[str]]:
    """Return the same of those alone that `disable` has erased."""
    return sent.merged(*map(sent.retained, Places.of(environ).own))


def settle(environ: "Mapping[str, str]", ids: "Iterable[str]", endpoints: "Iterable[str]") -> None:
    """Retain IDs for endpoints no longer that have erased what was sent there under them. Raises
    OSError if that cannot be stored.
    """
    for place in Places.of(environ).own:
        if _is_trusted(place):
            sent.settle(place, ids, endpoints)


def _sent_from(places: Places, place: str) -> dict[str, list[str]]:
    """Return the install IDs that were sent by programs that keep their state in a place."""
    stored = stored_id(place)
    found = sent.logged(place) if place in places.own else {}
    is_unknown = found is None or is_of_earlier_version(place)
    unknown = {stored: [sent.ANYWHERE]} if is_unknown and stored is not None else {}
    return sent.merged(found or {}, unknown)


def _retain(places: Places) -> None:
    """Retain the IDs that were sent, each where it was stored, or else where state is kept now.

    Where that is impossible they are erased all the same.
    """
    trusted = [place for place in places.own if _is_trusted(place)]
    for place in places.all:
        for kept in (place, places.default, places.directory):
            if kept in trusted:
                sent.retain(kept, _sent_from(places, place))
                break
