"""Places: the directories where state can be, and whether an opt-out is stored in one of them.

Found once and made absolute: the program may change its directory or its HOME later. Reads only.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPT_OUT", "Places"]

OPT_OUT = "telemetry-disabled"


class Places:
    """Where state can be: the one directory in use, and all where earlier installs left theirs.

    `override` is the directory that was named, None if none was; `default` the one for who names
    none. `problem` says why no directory is in use.
    """

    __slots__ = ("default", "earlier", "override", "problem")

    def __init__(
        self,
        override: str | None,
        default: str | None,
        earlier: tuple[str, ...],
        problem: str | None = None,
    ) -> None:
        self.override = override
        self.default = default
        self.earlier = earlier
        self.problem = problem

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
        default = _default_directory()
        problem = "there is no home directory" if default is None else None
        if override is not None:
            override = _absolute(override)
            problem = None if override is not None else "the working directory is gone"
        return cls(
            override,
            default,
            tuple(place for place in dict.fromkeys(earlier) if place != default),
            problem,
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
        for place in self.all:
            marker = os.path.join(place, OPT_OUT)
            try:
                os.lstat(marker)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError):
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
    import platformdirs  # not reached, and not loaded, when telemetry is off

    try:
        place = platformdirs.user_state_dir("getpatter", appauthor=False)
    except (RuntimeError, KeyError, OSError):
        # No home directory: HOME unset and a user id that nobody knows.
        return None
    return place if os.path.isabs(place) else None
