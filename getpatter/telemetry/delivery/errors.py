"""Errors of our own: kept from the host, counted where an event is lost, and printed in debug mode.

With `PATTER_TELEMETRY_DEBUG` the traceback of each kind is printed, once.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Errors"]


class Errors:
    """Takes the exceptions that are bugs of ours. `is_debug` is asked when there is one."""

    __slots__ = ("_is_debug", "_kinds")

    def __init__(self, is_debug: "Callable[[], bool]") -> None:
        self._is_debug = is_debug
        self._kinds: set[tuple[object, ...]] = set()

    def note(self, error: BaseException) -> None:
        """Print the traceback of a kind that is new, if this is a debug run. Never raises."""
        try:
            at = error.__traceback__
            while at is not None and at.tb_next is not None:
                at = at.tb_next
            kind = (type(error), at and at.tb_frame.f_code.co_filename, at and at.tb_lineno)
            if kind in self._kinds or not self._is_debug():
                return
            self._kinds.add(kind)
            import traceback

            from getpatter.telemetry import notice

            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            notice.show(f"[getpatter telemetry] an error of ours, please report it:\n{text}")
        except Exception:  # it cannot even be printed
            return
