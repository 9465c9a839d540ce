"""The callback sink: one call an event, off the thread of the call."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from typing import TYPE_CHECKING

from getpatter.calls.background.thread import must_pass
from getpatter.calls.events.sink import EventsLost, described

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from getpatter.calls.events.event import Event

__all__ = ["CallbackSink"]


class CallbackSink:
    """Calls `callback(event)` for each event, in their order. What it raises is counted as lost.

    Each callback has the event to itself: what it changes in the data, no other sink sees.
    """

    def __init__(self, callback: Callable[[Event], object]) -> None:
        given: object = callback
        if not callable(given):
            message = f"a sink has write() and close(), or can be called; {type(given).__name__}"
            raise TypeError(message)
        if inspect.iscoroutinefunction(callback):
            message = "a sink's callback is a plain function: there is no loop to await it on"
            raise TypeError(message)
        self._callback = callback

    def write(self, events: Sequence[Event]) -> None:
        """Call back for each event; one that raises does not keep the others from it."""
        lost, message = 0, ""
        for event in events:
            try:
                self._callback(dataclasses.replace(event, data=copy.deepcopy(event.data)))
            except BaseException as error:  # the developer's; the others still have their turn
                if must_pass(error):
                    raise
                lost, message = lost + 1, described(error)
        if lost:
            raise EventsLost(lost, message)

    def close(self) -> None:
        """Nothing is held."""
