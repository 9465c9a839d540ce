"""Settings: what the environment and a `.env` file say, read and nothing more.

The one file that reads `os.environ`, which it never writes to. All functions take the mapping; the
process environment is only the default at the edge.
"""

import os

from getpatter.telemetry import unattended
from getpatter.telemetry._plain import is_one_slip_from
from getpatter.telemetry.unattended import ci_variable, is_truthy, test_runner, test_variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry._dotenv import Dotenv

__all__ = [
    "CONSENT_VARIABLES",
    "GRACE",
    "OPT_OUTS",
    "Settings",
    "ci_variable",
    "closest_variable",
    "dotenv_path",
    "is_ci",
    "is_test",
    "is_truthy",
    "parse_grace",
    "parse_sample_rate",
    "process_environment",
    "read_dotenv",
    "sample_rate",
    "test_runner",
    "test_variable",
    "unknown_variables",
]

_DECIMAL = frozenset("0123456789+-.eE")

#: The variables that may say off.
OPT_OUTS = ("DO_NOT_TRACK", "PATTER_TELEMETRY", "PATTER_TELEMETRY_DISABLED")

# An untrusted working directory must not redirect data or move state: only these count in `.env`.
DOTENV_VARIABLES = (*OPT_OUTS, "PATTER_TELEMETRY_SAMPLE", "PATTER_TELEMETRY_DEBUG")

#: All that consent asks the environment for, and what it then allows.
CONSENT_VARIABLES = (
    *DOTENV_VARIABLES,
    *unattended.VARIABLES,
    "PATTER_TELEMETRY_GRACE",
    "PATTER_TELEMETRY_STATE_DIR",
)

# What the telemetry reads by a name of its own.
_OWN_VARIABLES = frozenset(
    {*DOTENV_VARIABLES, "PATTER_TELEMETRY_ENDPOINT", "PATTER_TELEMETRY_STATE_DIR"}
    | {"PATTER_TELEMETRY_EXIT", "PATTER_TELEMETRY_GRACE"}
)
# What only our variables have in their names beside `PATTER`, slips of the pen included.
_LIKE_TELEMETRY = ("TELEM", "TELM", "TLEM")
# How long a name is that is one slip of the pen from one of them.
_LENGTHS = frozenset(len(name) + more for name in _OWN_VARIABLES for more in (-1, 0, 1))

#: Time to read the notice and to say no, in seconds.
GRACE = 30.0


def process_environment() -> "Mapping[str, str]":
    """Return the environment of this process, live and not to be written to."""
    return os.environ  # noqa: TID251 - the one place


def unknown_variables(values: "Mapping[str, str]") -> dict[str, str]:
    """Return the variables that look like ours and are none: most likely a slip of the pen."""
    return {name: values[name] for name in list(values) if _is_like_ours(name)}


def _is_like_ours(name: str) -> bool:
    upper = name.upper()
    is_like = "PATTER" in upper and any(part in upper for part in _LIKE_TELEMETRY)
    if not is_like and len(name) in _LENGTHS:
        is_like = any(is_one_slip_from(known, upper) for known in _OWN_VARIABLES)
    return is_like and name not in _OWN_VARIABLES


def closest_variable(name: str) -> str:
    """Return the variable of ours that was most likely meant by `name`."""
    from difflib import get_close_matches  # only who mistypes loads it

    return get_close_matches(name.upper(), sorted(_OWN_VARIABLES), 1, 0.0)[0]


def is_ci() -> bool:
    """Return whether this process runs in a known CI system."""
    return ci_variable(process_environment()) is not None


def is_test() -> bool:
    """Return whether this process is a test run."""
    return test_variable(process_environment()) is not None or test_runner() is not None


def parse_sample_rate(value: str | None) -> tuple[float, bool]:
    """Return the rate that `value` asks for, and whether it could be understood.

    `0.1`, `0,1` and `10%` are the same. Unset and empty are 1.0. So is what is not a number in
    [0, 1]: a typo must not lose data.
    """
    text = (value or "").strip()
    if not text:
        return 1.0, True
    is_percent = text.endswith("%")
    # A decimal comma, as half the world writes it; with a point beside it, it is no decimal.
    number = text.removesuffix("%").rstrip().replace(",", ".")
    try:
        # Plain decimals only: float() also takes `1_0`, `nan` and digits of other scripts, which
        # clients in other languages read differently.
        rate = float(number) if _DECIMAL.issuperset(number) else -1.0
    except ValueError:
        return 1.0, False
    if is_percent:
        rate /= 100
    # abs: no negative zero, which a header would show as `-0.0`.
    return (abs(rate), True) if 0.0 <= rate <= 1.0 else (1.0, False)


def parse_grace(value: str | None) -> tuple[float, bool]:
    """Return the pause after the notice that `value` asks for, and whether it was understood.

    Unset, empty and what is not a finite number of seconds from 0 on are 0: it can only lengthen.
    """
    text = (value or "").strip()
    try:
        seconds = float(text or 0) if _DECIMAL.issuperset(text) else -1.0
    except ValueError:
        return 0.0, False
    return (abs(seconds), True) if 0.0 <= seconds < float("inf") else (0.0, False)


def sample_rate() -> float:
    """Return the rate in [0, 1] at which runs keep their sampleable events; 1.0 unless set."""
    return Settings.load().sample_rate


def dotenv_path() -> str:
    """Return the absolute path of the working directory's `.env`; empty if that is gone."""
    try:
        return os.path.abspath(".env")
    except OSError:
        return ""


def read_dotenv(path: str) -> dict[str, str]:
    """Return the variables that the file at `path` sets; nothing for a file that cannot be read.

    A line that cannot be parsed loses itself only. Nothing is interpolated, logged or set.
    """
    file = _read(path)
    return {} if file is None else file.values


def _read(
    path: str, names: "tuple[str, ...]" = (), last: "Dotenv | None" = None
) -> "Dotenv | None":
    """Read the file at `path`; None if it is not there, for which nothing is loaded."""
    try:
        if last is None:
            os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError:
        pass  # it may be there
    from getpatter.telemetry import _dotenv

    return _dotenv.read(path, names, last)


class Settings:
    """What the environment and `.env` say, resolved once: the environment wins.

    That an opt-out in either is an opt-out is consent's business, which reads both mappings, and
    `file`: what is unclear in `.env`, or why it cannot be read.
    """

    __slots__ = ("dotenv", "environ", "file")

    def __init__(
        self,
        environ: "Mapping[str, str]",
        dotenv: "Mapping[str, str]",
        file: "Dotenv | None" = None,
    ) -> None:
        self.environ = environ
        self.dotenv = dotenv
        self.file = file

    @classmethod
    def load(
        cls,
        environ: "Mapping[str, str] | None" = None,
        dotenv: str | None = None,
        last: "Dotenv | None" = None,
    ) -> "Settings":
        """Read the `.env` at `dotenv` beside `environ`. Default: the process's, and that of the
        working directory; an empty path is none. `last`: the `file` of an earlier reading.
        """
        chosen = process_environment() if environ is None else environ
        path = dotenv_path() if dotenv is None else dotenv
        file = _read(path, OPT_OUTS, last) if path else None
        found = {} if file is None else file.values
        kept = {name: found[name] for name in DOTENV_VARIABLES if name in found}
        return cls(chosen, kept | unknown_variables(found), file)

    def get(self, name: str) -> str | None:
        """Return the value of `name`; a variable that is set but empty counts as set."""
        value = self.environ.get(name)
        return self.dotenv.get(name) if value is None else value

    @property
    def sample_rate(self) -> float:
        """The rate in [0, 1]; see `parse_sample_rate`."""
        return parse_sample_rate(self.get("PATTER_TELEMETRY_SAMPLE"))[0]

    @property
    def debug(self) -> bool:
        """Whether to print what would be sent, and send and change nothing."""
        return is_truthy(self.get("PATTER_TELEMETRY_DEBUG"))

    def grace(self, is_loopback: bool) -> float:  # noqa: FBT001 - its name is in the call's
        """Return for how many seconds after the notice nothing leaves.

        The environment may lengthen it. An endpoint on loopback has none of its own: what goes
        there does not leave the machine.
        """
        asked, _ = parse_grace(self.environ.get("PATTER_TELEMETRY_GRACE"))
        return asked if is_loopback else max(asked, GRACE)

    @property
    def endpoint(self) -> str | None:
        """The endpoint that the environment names; empty is unset. Never from `.env`."""
        return self.environ.get("PATTER_TELEMETRY_ENDPOINT") or None
