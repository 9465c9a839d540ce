"""Process hooks: how hubs, services and callbacks learn that their process forks or ends.

One hook of each kind in a process, however many host objects it makes, and one budget: what an
ending program waits for at most. Fork hooks cannot be taken back, so all references are weak.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic

if TYPE_CHECKING:
    from typing import Protocol

    class Hookable(Protocol):
        """What is called. `begin_exit` must not wait, `wait_at_exit` no longer than `timeout`.
        `end_exit` comes last: what is left then is lost.
        """

        def begin_exit(self) -> object: ...
        def wait_at_exit(self, timeout: float, /) -> object: ...
        def end_exit(self) -> object: ...
        def after_fork_in_child(self) -> None: ...


__all__ = ["CALLBACKS", "CALLS", "EXIT_SECONDS", "HOOKS", "SERVICES", "SINKS", "Hooks"]

#: What an ending program waits for at most, for all its host objects together.
EXIT_SECONDS = 0.5
#: The order of an exit: calls end, services emit that, sinks and callbacks get it.
CALLS, SERVICES, SINKS, CALLBACKS = _ORDER = range(4)


class Hooks:
    """Knows, by weak references, whose hooks are to be called."""

    def __init__(self) -> None:
        self._hooked: tuple[weakref.WeakValueDictionary[int, Hookable], ...] = tuple(
            weakref.WeakValueDictionary() for _ in _ORDER
        )
        self._until: float | None = None
        self._is_installed = False

    def add(self, hooked: Hookable, place: int) -> None:
        """Call `hooked` at forks and at the exit, as long as it lives; `place` is its turn."""
        self._hooked[place][id(hooked)] = hooked
        if not self._is_installed:
            self._is_installed = True
            atexit.register(self._end_last)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork_in_child)

    def run_first(self) -> None:
        """Run before all exit hooks that were registered so far: hooks run last in, first out.

        They run once more at their first place, for what the hooks in between have emitted.
        """
        atexit.unregister(self._end_first)
        atexit.register(self._end_first)

    def _at(self, place: int) -> list[Hookable]:
        # The references come in one step: others may be made meanwhile.
        return [one for ref in self._hooked[place].valuerefs() if (one := ref()) is not None]

    def _end_first(self) -> None:
        self._end()

    def _end_last(self) -> None:
        self._end()
        for place in _ORDER:
            for one in self._at(place):
                with contextlib.suppress(Exception):
                    one.end_exit()

    def _end(self) -> None:
        if self._until is None:
            self._until = monotonic() + EXIT_SECONDS
        for place in _ORDER:
            hooked = self._at(place)
            for one in hooked:
                with contextlib.suppress(Exception):  # the others end all the same
                    one.begin_exit()
            for one in hooked:
                with contextlib.suppress(Exception):
                    one.wait_at_exit(max(0.0, self._until - monotonic()))

    def _after_fork_in_child(self) -> None:
        self._until = None
        for place in _ORDER:
            for one in self._at(place):
                with contextlib.suppress(Exception):
                    one.after_fork_in_child()


#: Those of this process: exits and forks happen to a process, not to an object.
HOOKS = Hooks()
