"""Calls a function that looks at what a framework has made, so that nothing of it is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.telemetry._interrupt import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["guarded"]


def guarded(function: Callable[..., object], *given: object) -> None:
    """Call a function. What an attribute of the framework raises ends here, also `SystemExit`."""
    try:
        function(*given)
    except BaseException as error:  # an object of a framework may raise anything
        if is_ctrl_c(error):
            raise
