"""One run of a stage as a block of the host's: `with call.stage("llm") as stage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.clock import monotonic
from getpatter.calls.error_codes import failure_code
from getpatter.telemetry._interrupt import is_ctrl_c

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from getpatter.calls.call_state import CallState

__all__ = ["Stage"]


class Stage:
    """One run of a stage: `with call.stage("llm") as stage`. Its latency ends with `first()`."""

    __slots__ = ("_elapsed", "_id", "_is_added", "_name", "_number", "_since", "_state")

    def __init__(self, state: CallState, name: str, *, is_added: bool = False) -> None:
        self._state = state
        self._name = name
        self._is_added = is_added
        self._id = ""
        self._since = 0.0
        self._number = 0
        self._elapsed: float | None = None

    def __enter__(self) -> Self:
        self._number = self._state.blame.begin()
        self._since = monotonic()
        self._id = self._state.reporter.begin(self._name)  # type: ignore[arg-type] # answers ""
        return self

    def first(self) -> None:
        """The first token or byte is there: that is the latency of a stage that streams."""
        self._state.reporter.first(self._id)
        self._measure(is_spoken=True)

    def retry(self) -> None:
        """The stage is tried again; its one end has the number of retries."""
        self._state.reporter.retry(self._id)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._measure(is_spoken=False)
            self._state.reporter.complete(self._id)
            return
        # Whether it ends the call is known only then.
        self._state.blame.mark(error, self._name, self._number)
        self._state.reporter.complete(self._id, failure_code(error), reason=_text(error))

    def _measure(self, *, is_spoken: bool) -> None:
        if self._elapsed is None:
            self._elapsed = monotonic() - self._since
            self._state.observe(
                self._name, self._elapsed, is_spoken=is_spoken, is_added=self._is_added
            )


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException as failure:  # an error of the host's may fail to say itself
        if is_ctrl_c(failure):
            raise
        return type(error).__name__
