"""Phases of a client: whether it takes records, and whether its process ends.

There is no way back to an earlier one but in a `fork` child, which does not end because its parent
does.
"""

__all__ = ["CLOSED", "ENDING", "RUNNING", "Phase"]


class Phase:
    """One phase. `refuses` is the reason for which records are lost, None while they are taken."""

    __slots__ = ("number", "refuses")

    def __init__(self, number: int, refuses: str | None = None) -> None:
        self.number = number
        self.refuses = refuses

    def then(self, number: int, refuses: str | None = None) -> "Phase":
        """Return the phase after this one; a later one, and an earlier reason, stay."""
        return Phase(max(self.number, number), self.refuses or refuses)

    def in_child(self) -> "Phase":
        """Return the phase in which a `fork` child begins."""
        return RUNNING if self.refuses is None else Phase(CLOSED, self.refuses)

    @property
    def is_ending(self) -> bool:
        """Whether the interpreter ends, and our thread with it: callers handle their records."""
        return self.number == ENDING


#: Records are taken, and the thread is started when there is something to do.
RUNNING = Phase(0)
#: Records are lost: as `shutdown` after `close`, as `opted_out` once consent was withdrawn. The
#: thread ends when the request in flight is answered.
CLOSED = 1
#: The interpreter ends; records are still taken unless the client was closed.
ENDING = 2
