"""The calls of a diagnostics file: which line belongs to which call, with no more read than asked.

Several calls may have had the same id, one after the other: each numbers its events anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from getpatter.calls.event_types import CALL_ENDED, CALL_STARTED, OF_CALLS
from getpatter.calls.view.timeline import parse
from getpatter.calls.view.turns import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    class Numbered(Protocol):
        """What is read of an event at first."""

        @property
        def type(self) -> str: ...
        @property
        def session(self) -> str: ...
        @property
        def sequence(self) -> int: ...

    class Group(Protocol):
        """What the events of a call are put into."""

        def append(self, event: Any, /) -> None: ...  # noqa: ANN401 - of whichever kind they are


__all__ = ["Head", "by_call", "head", "is_call", "is_failed"]

# By so many events threads of one call may overtake each other.
_OVERTAKEN = 16
# The begin of a line as our sink writes it; any other is read as a whole.
_BEGIN = re.compile(
    r'\{"type_id":"getpatter\.diagnostics/event@1","type":"([^"\\]*)","session":"([^"\\]*)",'
    r'"node":"[^"\\]*","timestamp_us":\d{1,19},"sequence":(\d{1,19}),'
)

_Group = TypeVar("_Group", bound="Group")


class Head(NamedTuple):
    """The begin of a line that says which event of which call it is."""

    type: str
    session: str
    sequence: int
    line: str


def head(line: str) -> Head | None:
    """Return the head of a line; None for a line that is no event."""
    begin = _BEGIN.match(line)
    if begin is not None:
        return Head(begin[1], begin[2], int(begin[3]), line)
    event = parse(line)
    return None if event is None else Head(event.type, event.session, event.sequence, line)


def by_call(events: Iterable[Numbered], make: Callable[[], _Group]) -> list[_Group]:
    """Return what `make` made of each call, the calls in the order of their first events."""
    found: list[_Group] = []
    current: dict[str, tuple[_Group, set[int]]] = {}
    for event in events:
        number = event.sequence
        known = current.get(event.session)
        # It was there already, or comes long after its place: it is that of another call.
        if known is None or (
            (number == 0 or event.type == CALL_STARTED)
            and (number in known[1] or max(known[1]) > number + _OVERTAKEN)
        ):
            known = current[event.session] = make(), set()
            found.append(known[0])
        known[0].append(event)
        known[1].add(number)
    return found


def is_call(heads: Iterable[Numbered]) -> bool:
    """Whether these are the events of a call, not those of the host."""
    return any(one.type.startswith(OF_CALLS) for one in heads)


def is_failed(heads: Iterable[Head]) -> bool:
    """Whether these are the events of a call that ended with an error."""
    ends = (parse(one.line) for one in heads if one.type == CALL_ENDED)
    return any(end is not None and end.data.get("outcome") in FAILED for end in ends)
