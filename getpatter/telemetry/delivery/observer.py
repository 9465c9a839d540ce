"""Notifies the observer of a client about its telemetry. Never raises, and never waits by itself.

An observer is called with a status and what it says: one of `success`, `disabled`, `http_error`,
`auth_error` and `state_error` with a text for a person, or `recommended` with what the collector
recommends. Mostly on the worker; it must return at once.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Observer = Callable[[str, object], object]

__all__ = ["Observed"]

# So often an answer must fail to come before it counts as never coming: with the pauses in between
# that is half a minute, longer than a collector takes to be replaced.
_FAILURES = 6
_NO_ACCESS = frozenset({401, 403})


class Observed:
    """Notifies an observer, if there is one, of changes; owned by the worker."""

    __slots__ = ("_failures", "_is_failing", "_observer")

    def __init__(self, observer: "Observer | None" = None) -> None:
        self._observer = observer
        self._failures = 0
        self._is_failing = False

    @property
    def is_asked(self) -> bool:
        """Whether anybody observes, so that nothing need be found out for nobody."""
        return self._observer is not None

    def notify(self, status: str, said: object) -> None:
        """Notify the observer; what it raises is ignored."""
        if self._observer is not None:
            try:
                self._observer(status, said)
            except Exception:  # an observer that fails must not harm the client
                return

    def answered(self, status: int | None, *, is_final: bool, recommended: object) -> None:
        """Take in what the collector answered; `is_final`: no repetition will change it.

        Notifies once that the connection has failed for good, and once that it works again.
        """
        if status is not None and 200 <= status < 300:
            self._failures = 0
            if self._is_failing:
                self._is_failing = False
                self.notify("success", "the collector answers again")
            if isinstance(recommended, dict):
                self.notify("recommended", recommended)
            return
        is_away = status is None or status >= 500
        self._failures += is_away
        if self._is_failing or not (is_final or self._failures >= _FAILURES):
            return
        self._is_failing = True
        if status in _NO_ACCESS:
            self.notify("auth_error", f"the collector denies access: HTTP {status}")
        elif is_final:
            self.notify("http_error", f"the collector rejects every request: HTTP {status}")
        else:
            self.notify(
                "http_error", f"the collector has failed to answer {self._failures} times in a row"
            )
