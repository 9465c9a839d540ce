"""Hooks: how a worker learns that its process forks or ends.

Hooks cannot be taken back, so they hold weak references: a forgotten client is not kept alive.
"""

import atexit
import logging  # noqa: F401 - see `install`
import os
import sys
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Hooked(Protocol):
        """What is told."""

        def end(self) -> None: ...
        def before_fork(self) -> None: ...
        def after_fork_in_parent(self) -> None: ...
        def after_fork_in_child(self) -> None: ...


__all__ = ["install", "install_in_child"]

# Processes of these libraries end without the interpreter's exit hooks, but with their own.
_LIBRARIES = ("multiprocessing", "billiard")
# Among the last of those: what the host's own hooks record is still taken along.
_PRIORITY = -100


def install(worker: "Hooked") -> None:
    """Tell `worker` of each fork and of the end of the interpreter, for as long as it lives.

    Loading `requests` needs a lock that logging's own fork hook takes: hooks run last in, first
    out, so logging is loaded before ours is registered.
    """
    end = _weakly(worker, "end")
    atexit.register(end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_weakly(worker, "before_fork"),
            after_in_parent=_weakly(worker, "after_fork_in_parent"),
            after_in_child=_weakly(worker, "after_fork_in_child"),
        )


def install_in_child(worker: "Hooked") -> None:
    """Tell `worker` of the end of a child process of `multiprocessing`, too.

    Called when the worker first has something to do: what the child's library is told before it
    has taken over from the fork, it forgets. That may be yet to come: the child of a fork server
    loads the program first, and with it a client.
    """
    for name in _LIBRARIES:
        process, util = sys.modules.get(f"{name}.process"), sys.modules.get(f"{name}.util")
        current = getattr(process, "current_process", None)
        finalize = getattr(util, "Finalize", None)
        register = getattr(util, "register_after_fork", None)
        if current is None or finalize is None or register is None:
            continue

        def hook(hooked: "Hooked", finalize: "Callable[..., object]" = finalize) -> None:
            finalize(None, _weakly(hooked, "end"), exitpriority=_PRIORITY)

        register(worker, hook)  # it holds the worker weakly, too
        # The main process of either has no parent that it knows of.
        if getattr(current(), "_parent_pid", None) is not None:
            hook(worker)


def _weakly(worker: "Hooked", name: str) -> "Callable[[], None]":
    reference = weakref.ref(worker)

    def tell() -> None:
        alive = reference()
        if alive is not None:
            getattr(alive, name)()

    return tell
