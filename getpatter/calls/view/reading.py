"""Reading the lines of a diagnostics file as events, and showing them as they come."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

from getpatter.calls.event_types import STAGE_COMPLETED
from getpatter.calls.view.calls_of import head
from getpatter.calls.view.follow import lines
from getpatter.calls.view.timeline import TYPE_ID, Read, Timeline, parse, read_quickly
from getpatter.telemetry._terminal import say, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from getpatter.calls.events.event import Event
    from getpatter.calls.view.calls_of import Head

__all__ = ["Reader", "Tail"]

_MILESTONES = ("call.", STAGE_COMPLETED)
# As they stand in a line.
_CALL, _STAGE = '"call.', f'"{STAGE_COMPLETED}"'


class Reader:
    """Reads the lines of a file as events. One that cannot be is left out, with one message."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._has_said = False

    def read(self, line: str) -> Event | None:
        """Return the event of a line; None for one that is none."""
        event = parse(line)
        if event is None:
            self._leave_out(line)
        return event

    def events(self, these: Iterable[Head]) -> list[Event]:
        """Return the events of these lines."""
        return [event for one in these if (event := self.read(one.line)) is not None]

    def heads(self) -> Iterator[Head]:
        """Yield the begins of all lines."""
        for line in lines(self._path):
            found = head(line)
            if found is None:
                self._leave_out(line)
            else:
                yield found

    def milestones(self) -> Iterator[Read]:
        """Yield the events that sum a call up: its own, and the ends of stages.

        Half of the lines of a file need no reading for that.
        """
        for line in lines(self._path):
            if _CALL in line or _STAGE in line:
                event = read_quickly(line)
                if event is None:
                    self._leave_out(line)
                elif event.type.startswith(_MILESTONES):
                    yield event

    def _leave_out(self, line: str) -> None:
        if TYPE_ID in line and not self._has_said:
            self._has_said = True
            message = f"getpatter: {self._path} has invalid events; they are left out"
            say(message, stream=sys.stderr)


class Tail:
    """Prints the lines of a file, or those of one call."""

    def __init__(self, options: argparse.Namespace, *, is_coloured: bool) -> None:
        self._timeline = Timeline(is_coloured=is_coloured)
        self._reader = Reader(options.file)
        self._wanted = options.call or ""
        self._is_json = options.json
        self._is_coloured = is_coloured
        self._is_there = not self._wanted
        self._recent: deque[str] = deque(maxlen=max(0, options.lines))

    def remember(self, line: str) -> None:
        """Take a line of before: the last of them are shown. Those of other calls do not count."""
        if not self._wanted or self._event(line) is not None:
            self._is_there = True
            self._recent.append(line)

    def begin(self) -> str:
        """Show the last lines of before; return the message about a call that is not there."""
        self.show(self._recent)
        return "" if self._is_there else f"no call begins with {self._wanted}"

    def show(self, lines: Iterable[str]) -> None:
        """Print lines. Ids have as many characters as distinguish all their calls."""
        events = [(line, event) for line in lines if (event := self._event(line)) is not None]
        self._timeline.know(event.session for _, event in events)
        for line, event in events:
            if self._is_json:
                say_json(line)
            else:
                say(self._timeline.line(event), has_colours=self._is_coloured)

    def _event(self, line: str) -> Event | None:
        event = self._reader.read(line)
        return event if event is not None and event.session.startswith(self._wanted) else None
