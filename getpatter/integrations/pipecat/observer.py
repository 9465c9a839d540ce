"""The observer of a pipeline: reads frames, changes none, waits for nothing, cannot raise.

Pipecat stops to feed an observer that has raised once, and says so nowhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from getpatter.integrations.figures import measured
from getpatter.integrations.guarded import guarded
from getpatter.integrations.pipecat.mapping import FRAMES, category_of, service_of
from getpatter.telemetry._interrupt import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.integrations.pipecat.conversation import Conversation
    from getpatter.integrations.pipecat.mapping import Service

__all__ = ["Reader", "observer_of"]

# Frames that are remembered, so that one which is pushed on by each processor counts once.
_FRAMES = 256


class Reader:
    """From frames to the conversation. Knows frames by the names of their classes."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._takes: dict[str, Callable[[Any, Any], None]] = {
            "MetricsFrame": self._metrics,
            "ErrorFrame": self._error,
        }
        for name, method in FRAMES.items():
            self._takes[name] = _alone(getattr(conversation, method))
        # Class of a frame → what takes it. Most frames are audio, which nothing takes.
        self._by_class: dict[type, Callable[[Any, Any], None] | None] = {}
        self._services: dict[type, Service | None] = {}
        self._seen: deque[object] = deque(maxlen=_FRAMES)

    def push(self, data: Any) -> None:
        """Take a frame that a processor has pushed."""
        if self._conversation.has_ended:
            return
        frame = data.frame
        kind = type(frame)
        try:
            take = self._by_class[kind]
        except KeyError:
            take = self._by_class[kind] = self._taker(kind)
        if take is None or frame.id in self._seen:
            return
        self._seen.append(frame.id)
        # Sent up and down at once, as two frames: one of them counts.
        if frame.broadcast_sibling_id is not None:
            self._seen.append(frame.broadcast_sibling_id)
        take(frame, data.source)

    def failed(self, frame: Any) -> None:
        """Take an error that has reached the beginning of the pipeline."""
        processor = frame.processor
        is_fatal = frame.fatal is True
        # The attribute came with 1.8; before it, an error was fatal or recovered.
        if is_fatal or getattr(processor, "is_usable", True) is False:
            service = self._service(processor)
            stage = None if service is None else service.stage
            category = category_of(getattr(frame, "category", None))
            self._conversation.failed(stage, category, is_fatal=is_fatal)

    def latency(self, seconds: object) -> None:
        """Take the time to the answer that Pipecat has measured."""
        value = measured(seconds)
        if value is not None:
            self._conversation.answered(value)

    def breakdown(self, breakdown: Any) -> None:
        """Take the parts of that time."""
        value = measured(breakdown.user_turn_secs)
        if value is not None:
            self._conversation.turn_ended(value)

    def _taker(self, kind: type) -> Callable[[Any, Any], None] | None:
        names = (base.__name__ for base in kind.__mro__ if base.__module__.startswith("pipecat."))
        return next((self._takes[name] for name in names if name in self._takes), None)

    def _service(self, processor: object) -> Service | None:
        kind = type(processor)
        if kind not in self._services:
            self._services[kind] = service_of(processor)
        return self._services[kind]

    def _metrics(self, frame: Any, source: object) -> None:
        service = self._service(source)
        if service is None or service.is_realtime:
            return
        for data in frame.data:
            if any(base.__name__ == "TTFBMetricsData" for base in type(data).__mro__):
                seconds = measured(data.value)
                if seconds is not None:
                    self._conversation.first_byte(service.stage, seconds)

    def _error(self, frame: Any, source: object) -> None:
        service = self._service(frame.processor or source)
        exception = frame.exception
        self._conversation.erred(
            None if service is None else service.stage,
            category_of(getattr(frame, "category", None)),
            "" if exception is None else type(exception).__name__,
            str(frame.error),
        )


def _alone(method: Callable[[], None]) -> Callable[[Any, Any], None]:
    return lambda _frame, _source: method()


def observer_of(reader: Reader, conversation: Conversation) -> Any:
    """Return an observer for `worker.add_observer`."""
    from pipecat.observers.base_observer import BaseObserver
    from pipecat.observers.user_bot_latency_observer import UserBotLatencyObserver

    class GetpatterObserver(BaseObserver):  # type: ignore[misc, unused-ignore]
        """Feeds a reader, and beside it Pipecat's own observer of the time to the answer."""

        def __init__(self) -> None:
            super().__init__(observe_every_push=False)
            self._latency = UserBotLatencyObserver()
            self._latency.add_event_handler(
                "on_latency_measured", lambda _, seconds: guarded(reader.latency, seconds)
            )
            self._latency.add_event_handler(
                "on_latency_breakdown", lambda _, parts: guarded(reader.breakdown, parts)
            )

        async def on_push_frame(self, data: Any) -> None:
            guarded(reader.push, data)
            try:
                await self._latency.on_push_frame(data)
            except asyncio.CancelledError:  # the pipeline stops this observer
                raise
            except BaseException as error:  # as `guarded`
                if is_ctrl_c(error):
                    raise

        async def cleanup(self) -> None:
            # The latency observer's handlers run as tasks: they have a say before the end.
            try:
                await self._latency.cleanup()
                await super().cleanup()
            finally:
                guarded(conversation.end, "local")

    return GetpatterObserver()
