"""Places: where state can be, what its files are called, and whether an opt-out is among them.

Found once and made absolute: the program may change its directory or its HOME later. Reads only.
"""

import os

from getpatter.telemetry import _dependency, _files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPT_OUT", "Places", "is_of_earlier_version", "number", "stored_date", "stored_id"]

OPT_OUT = "telemetry-disabled"
INSTALL_ID = "install-id"
INSTALL_DATE = "install-date"
FIRST_RUN = "first-run"
VERSION = "version"
NOTICE = "notice"
NOTICE_LOCK = "notice.lock"
LEDGER = "ledger"
#: No ledger is longer, in bytes: some weeks of an ordinary program.
LEDGER_BYTES = 262_144
RETAINED = "retained-id"
SPOOL = "spool"
#: The directory of the calls that were reported, see `reported`.
REPORTED = "calls"
#: What the sender at work holds a lock on, in the spool.
SENDER = "sender.lock"
#: What a file of the spool that cannot be used is called from then on.
ASIDE = ".aside"

_HEX = frozenset("0123456789abcdef")


class Places:
    """Where state can be: the one directory in use, and all where earlier installs left theirs.

    `override` is the directory that was named, None if none was; `default` the one for who names
    none. `problem` says why no directory is in use, `unknown` why a place is missing here that may
    hold an opt-out.
    """

    __slots__ = ("_unknown", "default", "earlier", "override", "problem")

    def __init__(
        self,
        override: str | None,
        default: str | None,
        earlier: tuple[str, ...],
        problem: str | None = None,
        unknown: str | None = None,
    ) -> None:
        self.override = override
        self.default = default
        self.earlier = earlier
        self.problem = problem
        self._unknown = unknown

    @classmethod
    def of(cls, environ: "Mapping[str, str]") -> "Places":
        """Find the places for `environ`; `default` is None where there is no home directory."""
        override = environ.get("PATTER_TELEMETRY_STATE_DIR") or None
        earlier = []
        xdg = environ.get("XDG_STATE_HOME", "")
        if os.path.isabs(xdg):
            earlier += [os.path.join(xdg, "getpatter"), xdg]
        # Both: on Windows they differ, and earlier versions knew the second only.
        for home in (environ.get("HOME", ""), os.path.expanduser("~")):
            if os.path.isabs(home):
                earlier.append(os.path.join(home, ".getpatter"))
        default = unknown = None
        try:
            default = _default_directory()
        except ImportError as error:
            unknown = f"the system's place for state cannot be known: {error}"
        problem = "there is no home directory" if default is None else None
        if override is not None:
            override = _absolute(override)
            problem = None if override is not None else "the working directory is gone"
        return cls(
            override,
            default,
            tuple(place for place in dict.fromkeys(earlier) if place != default),
            unknown or problem,
            unknown,
        )

    @property
    def directory(self) -> str | None:
        """The state directory in use, whatever is there; None if there is none."""
        return None if self.problem is not None else self.override or self.default

    @property
    def own(self) -> tuple[str, ...]:
        """The places that this version writes to."""
        return tuple(place for place in (self.override, self.default) if place is not None)

    @property
    def all(self) -> tuple[str, ...]:
        """Every known place, the one in use first."""
        named = (self.override, self.default, *self.earlier)
        return tuple(dict.fromkeys(place for place in named if place is not None))

    def opt_out(self) -> str | None:
        """Return where an opt-out is stored, or why that cannot be known; None if there is none.

        A place that cannot be looked into counts as an opt-out.
        """
        return self.stored_opt_out() or self._unknown

    def stored_opt_out(self, *, is_certain: bool = False) -> str | None:
        """Return the same of the places that are known; `is_certain`: only what was seen there."""
        for place in self.all:
            marker = os.path.join(place, OPT_OUT)
            try:
                os.lstat(marker)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError):
                if is_certain:
                    continue
                return f"{marker} cannot be looked at"
            return f"stored in {marker}"
        return None


def _absolute(path: str) -> str | None:
    """Return the absolute path; None for a relative one whose working directory is gone."""
    try:
        return os.path.abspath(path)
    except OSError:
        return None


def _default_directory() -> str | None:
    """Return the state directory of who names none. Raises ImportError where platformdirs cannot
    say.
    """
    # Not reached, and not loaded, when telemetry is off.
    platformdirs = _dependency.load("platformdirs", "unix.py")
    try:
        place = platformdirs.user_state_dir("getpatter", appauthor=False)
    except (RuntimeError, KeyError, OSError):
        # No home directory: HOME unset and a user id that nobody knows.
        return None
    except Exception as error:
        message = f"platformdirs cannot be used ({type(error).__name__})"
        raise ImportError(message) from error
    return place if isinstance(place, str) and os.path.isabs(place) else None


def stored_id(place: str | None) -> str | None:
    """Return the install ID that is stored in a place; None if none is, or it is damaged.

    Raises OSError where there is one that cannot be read now.
    """
    content = None if place is None else _files.read_now(os.path.join(place, INSTALL_ID))
    text = (content or b"").decode("ascii", "replace").strip()
    return text if len(text) == 32 and _HEX.issuperset(text) else None


def stored_date(place: str) -> float | None:
    """Return the install date that is stored in a place; None if none is, or it is damaged.

    Raises OSError where there is one that cannot be read now.
    """
    return number(_files.read_now(os.path.join(place, INSTALL_DATE)) or b"")


def is_of_earlier_version(place: str) -> bool:
    """Return whether a version ran in a place that kept no log, nor which notice it had shown.

    Raises OSError where that cannot be read now.
    """
    first_run = _files.read_now(os.path.join(place, FIRST_RUN))
    is_theirs = first_run is not None and not first_run.isdigit()
    # This version stores a date with each id, and keeps both in one place only.
    return is_theirs or (stored_id(place) is not None and stored_date(place) is None)


def number(text: bytes) -> int | None:
    """Return the number that a file of ours says. Ten digits reach, as a date, the year 2286; a
    longer number is damage.
    """
    return int(text) if text.isdigit() and len(text) <= 10 else None
