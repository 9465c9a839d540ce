"""Callbacks: what a host may listen to, by name, for all calls or for one.

`NAMES` is the table of them.

A callback, plain or async, runs on a thread of its own and never on the call's. One that raises or
blocks harms nobody else: what it fails at is counted, and reported once to the others.
"""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

from getpatter.calls.background.process_hooks import CALLBACKS, HOOKS
from getpatter.calls.callbacks.listener import Listener
from getpatter.calls.clock import monotonic
from getpatter.calls.result import OK, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.calls.callbacks.recommendation import Recommendation

__all__ = ["INIT_STATUSES", "NAMES", "Callbacks"]

#: Callback → when it is called, and what it is given.
NAMES = {
    "init": (
        "When telemetry is set up, or cannot be; again if the collector fails for good.",
        "`status` (`success`, `disabled`, `http_error`, `auth_error`, `state_error`), `message`",
    ),
    "stats": (
        "Per participant of a call, every 10 s unless set otherwise, and when it leaves.",
        "a stats record",
    ),
    "error": (
        "A stage fails, a sink fails, a sample or a value is rejected, a callback fails.",
        "`code`, `layer`, `message`, `call`",
    ),
    "default_config": (
        "Once, also to a callback that is attached later.",
        "`settings`: name → `value` and `source`",
    ),
    "recommended_config": (
        "Whenever the collector recommends to collect less.",
        "a `Recommendation`; `apply()` applies it",
    ),
    "precall_test": ("A pre-call test ended.", "`endpoints`: what was measured of each"),
}
#: What `init` may say.
INIT_STATUSES = ("success", "disabled", "http_error", "auth_error", "state_error")
# What also those get that are attached later: each once.
_KEPT = ("init", "default_config")


class Callbacks:
    """Who listens to what. Every method is safe from any thread and never waits for a callback."""

    def __init__(self) -> None:
        # Re-entrant: attaching or dispatching may happen in a finaliser that runs while it is held.
        self._lock = threading.RLock()
        # Call (None: all of them) → name → who listens.
        self._listeners: dict[str | None, dict[str, list[Listener]]] = {None: {}}
        self._kept: dict[str, object] = {}
        self._counts: dict[str, dict[str, int]] = {}
        HOOKS.add(self, CALLBACKS)

    def on(self, name: str, callback: Callable[..., object], *, call: str | None = None) -> Result:
        """Attach a callback for all calls, or for one; answer `unknown_callback` for a name that
        is none. Raises TypeError for what cannot be called.
        """
        if not callable(callback):
            message = f"a callback must be callable, not {type(callback).__name__}"  # type: ignore[unreachable] # who has no type checker finds out here
            raise TypeError(message)
        if name not in NAMES:
            names = ", ".join(NAMES)
            return Result("unknown_callback", f"unknown callback {name!r:.80}; use one of {names}")
        listener = Listener(name, call, callback, self._count)
        with self._lock:
            self._listeners.setdefault(call, {}).setdefault(name, []).append(listener)
            if name in self._kept:
                listener.put(_copy(self._kept[name]))
        return OK

    def wants(self, name: str, call: str | None = None) -> bool:
        """Return whether anyone listens, so that what nobody wants need not be made."""
        return bool(self._of(name, call))

    def dispatch(self, name: str, payload: object, *, call: str | None = None) -> None:
        """Hand a payload to all who listen to it: for all calls, and for this one.

        What belongs to no call goes to everyone. Each callback gets a payload of its own: the last
        one this very object, which is theirs from now on.
        """
        if name in _KEPT:
            with self._lock:  # or who attaches meanwhile would hear of it twice, or not at all
                self._kept[name] = _copy(payload)
                _hand(payload, self._of(name, call))
        else:
            _hand(payload, self._of(name, call))

    def init(self, status: str, message: str = "") -> None:
        """Dispatch how setting up telemetry went; `status` is one of `INIT_STATUSES`."""
        if status not in INIT_STATUSES:
            text = f"{status!r} is not a status of init"
            raise ValueError(text)
        self.dispatch("init", {"status": status, "message": message})

    def default_config(self, settings: Mapping[str, tuple[object, str]]) -> None:
        """Dispatch the effective settings: name → value, and where it came from."""
        payload = {
            name: {"value": value, "source": source} for name, (value, source) in settings.items()
        }
        self.dispatch("default_config", {"settings": payload})

    def recommend(self, recommendation: Recommendation | None) -> None:
        """Dispatch what the collector recommends; None is nothing."""
        if recommendation is not None:
            self.dispatch("recommended_config", recommendation)

    def error(self, code: str, layer: str, message: str, *, call: str | None = None) -> None:
        """Dispatch that something failed."""
        if self.wants("error", call):
            payload = {"code": code, "layer": layer, "message": message, "call": call}
            self.dispatch("error", payload, call=call)

    def forget(self, call: str) -> None:
        """Drop the callbacks of a call that is over; what was handed to them is still delivered."""
        with self._lock:
            self._listeners.pop(call, None)

    def drain(self, timeout: float, *, may_work: bool = True) -> bool:
        """Wait until what was handed to the callbacks is delivered; answer whether it is."""
        until = monotonic() + timeout
        left = [
            one
            for one in self._all()
            if not one.consumer.wait(max(0.0, until - monotonic()), may_work=may_work)
        ]
        return not left

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how often each callback was `called`, how often it `failed`, and what was `lost`
        because it was still busy.
        """
        with self._lock:
            # In steps that nothing interrupts: a signal handler may count meanwhile.
            return {name: dict(counts) for name, counts in list(self._counts.items())}

    # hooks of the process

    def begin_exit(self) -> None:
        """Nothing has to be begun."""

    def wait_at_exit(self, timeout: float) -> None:
        """Let the threads deliver; a callback that hangs must not hang on the caller's thread."""
        self.drain(timeout, may_work=False)

    def end_exit(self) -> None:
        """What is left is the program's own: nothing is counted any more."""

    def after_fork_in_child(self) -> None:
        """Keep who listens and nothing else: the parent delivers the rest."""
        self._lock = threading.RLock()
        self._counts = {}
        for listener in self._all():
            listener.consumer.reset()

    def _all(self) -> list[Listener]:
        with self._lock:
            return [
                listener
                for names in list(self._listeners.values())
                for listeners in list(names.values())
                for listener in listeners
            ]

    def _of(self, name: str, call: str | None) -> list[Listener]:
        with self._lock:
            if call is None:
                named = list(self._listeners.values())
                return [one for names in named for one in names.get(name, ())]
            found = list(self._listeners[None].get(name, ()))
            return found + self._listeners.get(call, {}).get(name, [])

    def _count(self, listener: Listener, what: str, times: int) -> None:
        """Count what became of a payload; say of each callback once that it fails."""
        with self._lock:
            counts = self._counts.setdefault(listener.name, {})
            # First that there is one, then the sum: nothing can interrupt between its two halves.
            counts.setdefault(what, 0)
            counts[what] += times
            if what == "called" or what in listener.said:
                return
            listener.said.add(what)
        payload = {
            "code": f"callback_{what}",
            "layer": "internal",
            "message": f"the callback of {listener.name} {_SAID[what]}; said once, counted always",
            "call": listener.call,
        }
        for other in self._of("error", listener.call):
            if other is not listener:
                other.put(dict(payload))


def _hand(payload: object, listeners: list[Listener]) -> None:
    while listeners:
        listener = listeners.pop()
        listener.put(_copy(payload) if listeners else payload)


def _copy(payload: object) -> object:
    """Return what one callback may change without another noticing."""
    return copy.deepcopy(payload) if isinstance(payload, dict) else payload


_SAID = {"failed": "raised", "lost": "is too slow, or blocks: what came meanwhile is lost"}
