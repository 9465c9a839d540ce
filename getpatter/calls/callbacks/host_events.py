"""Host events: what callbacks get that is about no call: set-up, settings, recommendations.

Makes the callbacks when the first is attached, and keeps until then what they must not miss. Knows
of telemetry only what an observer of it gets.
"""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Protocol

    from getpatter.calls.callbacks.recommendation import Recommendation
    from getpatter.calls.callbacks.subscriptions import Callbacks
    from getpatter.calls.result import Result

    class Telemetry(Protocol):
        """What a recommendation is about."""

        def collects(self) -> tuple[float, frozenset[str]]: ...
        def reduce(
            self, *, sample_rate: float | None, without: Collection[str], off: bool
        ) -> None: ...


__all__ = ["HostEvents"]


class HostEvents:
    """Calls `init`, `default_config` and `recommended_config`. Safe from any thread.

    With `apply_recommended` what the collector recommends is applied at once, else only when a
    callback says so.
    """

    def __init__(self, *, apply_recommended: bool = False) -> None:
        #: Returns the effective settings; set by the host object when it knows them.
        self.settings: Callable[[], Mapping[str, tuple[object, str]]] = dict
        self._apply_recommended = apply_recommended
        self._telemetry: Callable[[], Telemetry | None] = lambda: None
        self._callbacks: Callbacks | None = None
        self._has_config = False
        # What `init` is to say, for callbacks that are not there yet.
        self._standing: tuple[str, str] | None = None
        # Held while callbacks are made. Re-entrant: a finaliser may attach one.
        self._lock = threading.RLock()

    @property
    def callbacks(self) -> Callbacks:
        """The callbacks, made on first use."""
        with self._lock:
            if self._callbacks is None:
                from getpatter.calls.callbacks.subscriptions import (
                    Callbacks,  # only who listens needs it
                )

                self._callbacks = Callbacks()
                if self._standing is not None:
                    self._callbacks.init(*self._standing)
            return self._callbacks

    def on(self, name: str, callback: Callable[..., object], call: str | None) -> Result:
        """Attach a callback; see `Callbacks.on`."""
        callbacks = self.callbacks
        if name == "default_config":
            with self._lock:
                is_first, self._has_config = not self._has_config, True
            if is_first:
                callbacks.default_config(self.settings())
        return callbacks.on(name, callback, call=call)

    def forget(self, call: str) -> None:
        """Drop the callbacks of a call that is over."""
        if self._callbacks is not None:
            self._callbacks.forget(call)

    def after_fork_in_child(self) -> None:
        """Begin with a lock that nobody holds."""
        self._lock = threading.RLock()

    def about(self, telemetry: Telemetry) -> None:
        """Say which telemetry a recommendation would reduce; it is not kept alive."""
        self._telemetry = weakref.ref(telemetry)

    def observer(self) -> Callable[[str, object], None]:
        """Return an observer for telemetry: a client outlives its host and must not keep it."""
        return partial(_observe, weakref.WeakMethod(self.observe))

    def observe(self, status: str, said: object) -> None:
        """Take what an observer of telemetry gets. Returns at once."""
        if status == "recommended":
            self._recommend(said)
            return
        with self._lock:
            self._standing = (status, str(said))
            if self._callbacks is not None:
                self._callbacks.init(*self._standing)

    def _recommend(self, said: object) -> None:
        telemetry = self._telemetry()
        if telemetry is None or not (self._apply_recommended or self._is_wanted()):
            return
        from getpatter.calls.callbacks.recommendation import (
            reduction,  # few collectors ever recommend
        )

        rate, events = telemetry.collects()

        found = reduction(said, sample_rate=rate, events=events, apply=partial(_reduce, telemetry))
        if found is not None and self._apply_recommended:
            found.apply()
        if self._callbacks is not None:
            self._callbacks.recommend(found)

    def _is_wanted(self) -> bool:
        return self._callbacks is not None and self._callbacks.wants("recommended_config")


def _observe(
    method: weakref.WeakMethod[Callable[[str, object], None]], status: str, said: object
) -> None:
    observe = method()
    if observe is not None:
        observe(status, said)


def _reduce(telemetry: Telemetry, found: Recommendation) -> None:
    telemetry.reduce(sample_rate=found.sample_rate, without=found.without, off=found.off)
