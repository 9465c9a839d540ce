"""The clocks of telemetry, which no library that freezes or moves time can replace in practice.

`monotonic` is for every deadline and pause, `wall` for what is stored. Tests of a host replace
`time.monotonic` and every module's reference to it (freezegun, `unittest.mock`); a deadline on a
clock that stands still never comes. So these are functions of a second instance of the `time`
module, which nobody else knows, made from its specification; this works under a clock that is
frozen already. What changes the functions in C (time-machine) moves `wall`, never `monotonic`.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["monotonic", "seconds", "wall"]

# A month: what every system can wait for, and nobody waits for.
_LONGEST = 30 * 86_400.0


def _second_instance() -> "ModuleType":
    """Return a `time` module of our own; the common one if this interpreter makes only one."""
    try:
        spec = time.__spec__
        made: ModuleType = spec.loader.create_module(spec)  # type: ignore[union-attr, assignment]
        spec.loader.exec_module(made)  # type: ignore[union-attr]
    except Exception:  # an importer of the host's, or an interpreter that is not CPython
        return time
    return made if hasattr(made, "monotonic") else time


_ours = _second_instance()
#: Seconds since some moment; never jumps.
monotonic: "Callable[[], float]" = _ours.monotonic
#: Seconds since the epoch, by the machine's clock, which may be wrong and may be set.
wall: "Callable[[], float]" = _ours.time


def seconds(timeout: float) -> float:
    """Return a timeout of the host's as seconds that any wait takes: 0 for a negative one and for
    what is no number (NaN), a month for a longer one.

    Raises TypeError or ValueError for what cannot be a number, such as None.
    """
    try:
        return min(max(0.0, float(timeout)), _LONGEST)
    except OverflowError:
        return _LONGEST if timeout > 0 else 0.0
