"""The null service: the interface of the service with everything off."""

# ruff: noqa: ARG002 - the interface has arguments, and here nobody asks

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.result import OK, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NULL_SERVICE", "NullService"]

_NOTHING: Mapping[str, object] = {}


class NullService:
    """The service with everything off: takes all, keeps nothing, costs a look-up and a call."""

    __slots__ = ()

    def event(
        self,
        kind: str,
        call: str = "",
        participant: str = "",
        fields: Mapping[str, object] = _NOTHING,
        /,
        *,
        notify: bool = True,
    ) -> Result:
        """Do nothing."""
        return OK

    def sample(self, call: str, participant: str, sample: Mapping[str, object], /) -> Result:
        """Do nothing."""
        return OK

    def connection(
        self,
        call: str,
        participant: str,
        /,
        *,
        connection_state: str | None = None,
        fabric_state: str | None = None,
    ) -> Result:
        """Do nothing."""
        return OK

    def set_stats_interval(self, seconds: float, call: str | None = None) -> Result:
        """Do nothing."""
        return OK

    def later(self, call: str, job: Callable[[], object]) -> Result:
        """Do it now: nothing was given before."""
        job()
        return OK

    def error(self, code: str, layer: str, message: str, call: str | None = None) -> None:
        """Do nothing."""

    def flush(self, timeout: float = 5.0) -> bool:
        """Do nothing."""
        return True

    def stop(self, timeout: float = 5.0) -> bool:
        """Do nothing."""
        return True

    def counts(self) -> dict[str, object]:
        """Return that nothing was ever given."""
        return {"sample": {"taken": 0}, "waiting": 0, "kept": 0}


#: The one of this process: who compares with it knows at once that nobody listens.
NULL_SERVICE = NullService()
