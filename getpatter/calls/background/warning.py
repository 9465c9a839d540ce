"""A warning in the host's log, from a thread of ours: never one that could block it.

A thread that writes to a stream that takes nothing (a pipe that nobody reads, a stopped terminal)
keeps the lock of its handler for ever, and the program, which needs that lock to end, with it.
"""

from __future__ import annotations

import logging
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["warn"]

# A pipe that takes anything takes 4 KiB at once.
_CHARS = 500

_log = logging.getLogger("getpatter.calls")


def warn(message: str) -> None:
    """Log a warning that begins with our name, cut to 500 characters; not if that would block."""
    if not any(map(_would_block, _handlers())):
        _log.warning("%s", f"getpatter: {message}"[:_CHARS])


def _handlers() -> Iterator[logging.Handler]:
    if not _log.hasHandlers():
        if logging.lastResort is not None:
            yield logging.lastResort
        return
    logger: logging.Logger | None = _log
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _would_block(handler: logging.Handler) -> bool:
    try:
        descriptor = handler.stream.fileno()  # type: ignore[attr-defined] # or else it has none
    except (AttributeError, OSError, ValueError):
        return False
    try:
        if os.isatty(descriptor) and os.tcgetpgrp(descriptor) != os.getpgrp():
            return True  # in the background even an attempt may stop the program
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            return not poll.poll(0)
    except (AttributeError, OSError, ValueError):
        return True
    return False
