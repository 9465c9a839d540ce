"""Hooks: how the workers of a process learn that it forks or ends.

The interpreter's hooks cannot be taken back, so each stands once per process, however many clients
there are, and calls those workers that are alive then: a forgotten client is not kept alive.
"""

import atexit
import logging  # noqa: F401 - see `install`
import os
import sys
import weakref

from getpatter.telemetry.delivery.threads import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Forking(Protocol):
        """What the hooks call."""

        def end(self) -> None: ...
        def before_fork(self) -> None: ...
        def after_fork_in_parent(self) -> None: ...
        def after_fork_in_child(self) -> None: ...


__all__ = ["install", "install_in_child", "notice_fork"]

# Processes of these libraries end without the interpreter's exit hooks, but with their own.
_LIBRARIES = ("multiprocessing", "billiard")
# Among the last of those: what the host's own hooks record is still taken along.
_PRIORITY = -100


class _Process:
    """The workers of this process, and the hooks that stand in it. The one owner of both."""

    __slots__ = ("__weakref__", "_finalized", "_first", "_pid", "_told", "_workers")

    def __init__(self) -> None:
        self._pid = os.getpid()
        # By id. Each access is one step of the interpreter: a finaliser may remove one meanwhile.
        self._workers: dict[int, weakref.ref[Forking]] = {}
        # Taken once, by the first caller.
        self._first = allocate_lock()
        # The libraries that have a hook of ours, and those whose end in this process we wait for.
        self._told: set[str] = set()
        self._finalized: set[str] = set()

    def add(self, worker: "Forking") -> None:
        key, workers = id(worker), self._workers
        workers[key] = weakref.ref(worker, lambda _: workers.pop(key, None))
        if not self._first.acquire(blocking=False):
            return
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: self._notify("before_fork"),
                after_in_parent=lambda: self._notify("after_fork_in_parent"),
                after_in_child=self.begin_anew,
            )

    def _notify(self, what: str) -> None:
        for reference in self._workers.copy().values():
            worker = reference()
            if worker is not None:
                _call(worker, what)

    def end(self) -> None:
        self.notice_fork()
        self._notify("end")

    def notice_fork(self) -> None:
        if os.getpid() != self._pid:
            self.begin_anew()

    def begin_anew(self) -> None:
        """In the child of a fork: hooks in the parent's libraries are none in the child's."""
        self._pid = os.getpid()
        self._finalized = set()
        self._notify("after_fork_in_child")

    def install_in_child(self) -> None:
        for name in _LIBRARIES:
            process, util = sys.modules.get(f"{name}.process"), sys.modules.get(f"{name}.util")
            current = getattr(process, "current_process", None)
            finalize = getattr(util, "Finalize", None)
            register = getattr(util, "register_after_fork", None)
            if current is None or finalize is None or register is None:
                continue
            hook = _finalizing(name, finalize)
            if name not in self._told:
                self._told.add(name)
                register(self, hook)  # it holds us weakly
            # The main process of either has no parent that it knows of.
            if name not in self._finalized and getattr(current(), "_parent_pid", None) is not None:
                hook(self)

    def finalize(self, name: str, finalize: "Callable[..., object]") -> None:
        self._finalized.add(name)
        finalize(None, self.end, exitpriority=_PRIORITY)


def _call(worker: "Forking", what: str) -> None:
    try:
        getattr(worker, what)()
    except Exception:  # an error of ours: the host forks or ends, and the others are called, too
        return


_PROCESS = _Process()


def _finalizing(name: str, finalize: "Callable[..., object]") -> "Callable[[_Process], None]":
    return lambda process: process.finalize(name, finalize)


def install(worker: "Forking") -> None:
    """Call `worker` at each fork and at the end of the interpreter, for as long as it lives.

    Loading `requests` needs a lock that logging's own fork hook takes: hooks run last in, first
    out, so logging is loaded before ours is registered.
    """
    _PROCESS.add(worker)


def install_in_child() -> None:
    """Call the workers at the end of a child process of `multiprocessing`, too.

    Called when a worker first has something to do: a hook that the child's library gets before it
    has taken over from the fork is lost. That may be yet to come: the child of a fork server
    loads the program first, and with it a client.
    """
    _PROCESS.install_in_child()


def notice_fork() -> None:
    """Begin anew if this process is the child of a fork that Python did not notice.

    A C library may fork by itself; such a child has none of our threads, and what was recorded
    before is its parent's to send.
    """
    _PROCESS.notice_fork()
