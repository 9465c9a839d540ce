"""Grace: for how long nothing leaves after the notice was first shown on this install.

A person who reads it has time to say no. What is recorded waits in memory and on disk meanwhile.
After an update's notice only what is new waits; `ShownNotice.told_version` says what is not.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter.telemetry.state import State

__all__ = ["left"]

# The moment is stored in whole seconds.
_ROUNDED = 1.0


def left(install: "State", grace: float) -> float:
    """Return for how many seconds from now nothing may leave; 0 if it may.

    Where no moment is stored, the notice was shown just now.
    """
    if grace <= 0 or install.notice.told_version(grace) is not None:
        return 0.0
    age = install.notice.age()
    return grace if age is None else max(0.0, grace - age) + _ROUNDED
