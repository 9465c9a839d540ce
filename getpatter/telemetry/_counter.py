"""A counter without a lock: an interrupted reader or writer never blocks another one."""

import itertools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AtomicCounter"]


class AtomicCounter:
    """A number that anyone may raise and read, anywhere: in any thread, signal handler, finaliser.

    Both are one step of the interpreter, so that nothing can come between: `next` on an
    `itertools.count`, and its `repr`, the one way to read it that does not raise it.
    """

    __slots__ = ("_count", "add")

    def __init__(self) -> None:
        self._count = itertools.count()
        #: Raises it by one.
        self.add: Callable[[], int] = self._count.__next__

    def value(self) -> int:
        """Return the number."""
        return int(repr(self._count)[len("count(") : -1])
