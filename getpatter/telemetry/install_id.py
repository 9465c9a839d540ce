"""Identity: the run id, the install ID and what is known once per install.

Functions over the state of this process's environment, as the host library calls them. Without
consent, and under debug, they answer and write nothing.
"""

import os

from getpatter.telemetry import consent, env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.places import Places
    from getpatter.telemetry.state import State

__all__ = [
    "age_bucket",
    "days_bucket",
    "days_since_install_bucket",
    "install_age_seconds",
    "install_id",
    "is_first_run",
    "is_opted_out",
    "new_id",
    "open_state",
    "previous_version",
    "run_id",
    "set_opt_out",
]

_DAY = 86_400


def new_id() -> str:
    """Return 32 random hex digits."""
    return os.urandom(16).hex()


# The install that this run is of, by state directory.
_INSTALLS: dict[str, str] = {}
# One per process start: made here because `fork` children of that start must share it.
_RUN_ID = new_id()
# In memory only, the run is all that distinguishes installs.
_MEMORY_ID = _RUN_ID[::-1]


def run_id() -> str:
    """Return the id of this process start: 32 hex, shared by its `fork` children."""
    return _RUN_ID


def is_of_this_run(directory: "str | None", install: str) -> bool:
    """Return whether this run is of the install `install` of a state directory.

    False where it began as another one's: an opt-out has erased that id since, and events of this
    run under the new one would tie the two together.
    """
    return directory is None or _INSTALLS.setdefault(directory, install) == install


def open_state(
    environ: "Mapping[str, str] | None" = None,
    *,
    writable: bool | None = None,
    places: "Places | None" = None,
) -> "State":
    """Open the state of `environ`, in `places` where they are known already.

    By default writable only with consent and without debug.
    """
    chosen = env.process_environment() if environ is None else environ
    if writable is None:
        settings = consent.resolve(chosen, None)
        writable = settings is not None and not settings.debug
    from getpatter.telemetry.places import Places
    from getpatter.telemetry.state import State  # a client that is made has no need of it

    found = Places.of(chosen) if places is None else places
    return State(found, _MEMORY_ID, writable=writable)


def install_id() -> str:
    """Return the id of this install: 32 hex, random, made at the first successful start.

    This run's own where it cannot be stored, or not be read now.
    """
    try:
        return open_state().install_id(new_id())
    except OSError:
        return _MEMORY_ID


def previous_version(current: str) -> str:
    """Return the version that ran last ("" if none is known), and store `current` as that."""
    try:
        return open_state().swap_version(current)
    except OSError:
        return ""  # not known now


def install_age_seconds() -> float | None:
    """Return how long ago this install was first seen, in seconds; None if that is unknown."""
    try:
        known = open_state()
        known.install_id(new_id())
        return known.age_seconds()
    except OSError:
        return None


def days_bucket(age: float | None) -> str | None:
    """Return the bucket of an install's age in whole days; None for an unknown age."""
    if age is None:
        return None
    days = int(age // _DAY)
    if days == 0:
        return "0"
    if days <= 7:
        return "1_7"
    return "8_30" if days <= 30 else "30_plus"


def age_bucket(age: float | None) -> str:
    """Return the bucket of an install's age at the time of a call."""
    if age is None:
        return "unknown"
    if age < 3_600:
        return "lt_1h"
    if age < _DAY:
        return "1h_1d"
    return "1d_7d" if age < 7 * _DAY else "gt_7d"


def days_since_install_bucket() -> str | None:
    """Return the bucket of this install's age in whole days; None if it is unknown."""
    return days_bucket(install_age_seconds())


def is_first_run() -> bool:
    """Return True exactly once per install, however many processes ask at once."""
    return open_state().claim_first_run()


def is_opted_out() -> bool:
    """Return whether a stored opt-out is in any known place, or cannot be ruled out."""
    from getpatter.telemetry.places import Places

    return Places.of(env.process_environment()).opt_out() is not None


def set_opt_out(disabled: bool) -> None:  # noqa: FBT001 - the host library passes it by position
    """Store an opt-out and erase the identity, or remove the opt-out everywhere.

    Raises OSError when it could not be stored, or not be removed.
    """
    from getpatter.telemetry import opt_out  # no program but the command asks for it

    opt_out.set_opt_out(env.process_environment(), disabled=disabled)
