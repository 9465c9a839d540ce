"""A call that an integration observes: what is sent of it, and what its developer sees."""

from typing import Any

from getpatter import Patter
from getpatter.calls import CallbackSink


class Observed:
    """Both, of one call. `canary` is a text of the conversation: it must not be sent."""

    def __init__(self, capture: Any, canary: str) -> None:
        self._capture = capture
        self._canary = canary
        self.diagnosed: list[Any] = []
        self.phone = Patter(carrier="none")
        self.phone.diagnostics.attach(CallbackSink(self.diagnosed.append))

    def completed(self) -> dict[str, Any]:
        """The one `call_completed`."""
        self.phone.diagnostics.flush()
        events = self._capture.events
        [completed] = [each for each in events if each["event"] == "call_completed"]
        assert sum(each["event"] == "call_started" for each in events) == 1
        assert not self._capture.receiver.refused
        assert self._canary not in repr(self._capture.receiver.events)
        return dict(completed)
