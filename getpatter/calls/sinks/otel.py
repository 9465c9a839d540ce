"""The OpenTelemetry sink: log records, histograms, and spans of calls, turns, stages, own spans.

It uses the API alone: where to, and whether at all, is what the host has configured. What becomes
what stands in the tables below and in `docs/calls.mdx`; durations are seconds, as the conventions
have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.event_types import (
    CALL_DESCRIBED,
    CALL_ENDED,
    CALL_STARTED,
    CALL_TURN,
    HEALTH,
    OF_CALLS,
    STAGE_COMPLETED,
)
from getpatter.calls.sinks.otel_names import (
    CALL_ATTRIBUTES,
    END_ATTRIBUTES,
    STAGE_ATTRIBUTES,
    chosen,
    work_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from getpatter.calls.events.event import Event
    from getpatter.calls.sinks.otel_names import Attributes

__all__ = ["OpenTelemetrySink"]

_SCOPE = "getpatter.calls"
# Calls at once whose span is open; beyond, the oldest is closed as it stands.
_OPEN_CALLS = 10_000

# From 5 ms, a fast recogniser, to half an hour, a long call.
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0)

# What the span of an own span says in another way.
_OF_SPANS = frozenset({"latency_ms", "error"})


class _OpenCall:
    """The spans of a call that are open, and the fields of its `call.started`."""

    __slots__ = ("span", "started", "turn", "turn_id")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.started: Mapping[str, object] = {}
        self.turn: Span | None = None
        self.turn_id: str | None = None


class OpenTelemetrySink:
    """Emits to OpenTelemetry: `Hub(OpenTelemetrySink())`, after the host has set its providers up.

    Its API is loaded here, not with this module; raises ImportError where it is not installed.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry import metrics, trace
            from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
        except ImportError as error:
            message = f"the sink for OpenTelemetry needs its API ({error}): install getpatter[otel]"
            raise ImportError(message, name=error.name) from None
        self._trace = trace
        self._log_record, self._severity = LogRecord, SeverityNumber
        self._tracer = trace.get_tracer(_SCOPE)
        self._logger = get_logger(_SCOPE)
        meter = metrics.get_meter(_SCOPE)
        self._histograms = {
            name: meter.create_histogram(
                name, unit="s", description=text, explicit_bucket_boundaries_advisory=_BUCKETS
            )
            for name, text in (
                ("getpatter.call.duration", "From the answer of a call to its end."),
                ("getpatter.stage.duration", "From the begin of a stage to its end."),
                ("gen_ai.client.operation.duration", "GenAI operation duration."),
                (
                    "gen_ai.client.operation.time_to_first_chunk",
                    "Time to receive the first chunk of the language model's answer.",
                ),
            )
        }
        self._calls: dict[str, _OpenCall] = {}

    def write(self, events: Sequence[Event]) -> None:
        """Emit these events to OpenTelemetry."""
        for event in events:
            call = self._call_of(event)
            context = None if call is None else self._context(call.span)
            self._log(event, context)
            if event.type.endswith(".end") and _is_number(event.data.get("latency_ms")):
                self._own_span(event, call)
            elif call is not None and event.type == STAGE_COMPLETED:
                self._stage(event, call)
            elif call is not None and event.type == CALL_TURN:
                self._turn(event, call)
            elif call is not None and event.type == CALL_ENDED:
                self._end(event, call)

    def close(self) -> None:
        """End the spans of calls that have not ended."""
        while self._calls:
            self._end_oldest()

    def activate(
        self, session: str, began_us: int, *, is_outbound: bool
    ) -> AbstractContextManager[object]:
        """Make the span of a call current in a block, on any thread; see `Call.activate`."""
        call = self._begin(session, began_us, is_outbound=is_outbound)
        return self._trace.use_span(
            call.span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def _call_of(self, event: Event) -> _OpenCall | None:
        """Return the call of an event; the first event that there is begins it."""
        call = self._calls.get(event.session)
        is_start = event.type == CALL_STARTED
        if call is None:
            if not event.type.startswith(OF_CALLS):
                return None
            is_outbound = is_start and event.data.get("direction") == "outbound"
            call = self._begin(event.session, event.timestamp_us, is_outbound=is_outbound)
        if is_start or event.type == CALL_DESCRIBED:
            call.started = {**call.started, **event.data}
            call.span.set_attributes(chosen(event.data, CALL_ATTRIBUTES))
        return call

    def _begin(self, session: str, began_us: int, *, is_outbound: bool) -> _OpenCall:
        known = self._calls.get(session)
        if known is not None:
            return known
        kinds = self._trace.SpanKind
        span = self._tracer.start_span(
            "call",
            kind=kinds.CLIENT if is_outbound else kinds.SERVER,
            start_time=began_us * 1_000,
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.conversation.id": session,
            },
        )
        if len(self._calls) >= _OPEN_CALLS:
            self._end_oldest()
        # Another thread may have begun it in this very moment: there is one.
        return self._calls.setdefault(session, _OpenCall(span))

    def _end_oldest(self) -> None:
        call = self._calls.pop(next(iter(self._calls)))
        if call.turn is not None:
            call.turn.end()
        call.span.end()

    def _context(self, span: Span) -> Context:
        return self._trace.set_span_in_context(span)

    def _turn(self, event: Event, call: _OpenCall) -> None:
        at = event.timestamp_us * 1_000
        if call.turn is not None:
            call.turn.end(at)
        call.turn_id = event.turn_id
        call.turn = self._tracer.start_span(
            "turn",
            context=self._context(call.span),
            start_time=at,
            attributes=chosen(event.data, {"turn": "getpatter.turn.number"}),
        )

    def _parent(self, event: Event, call: _OpenCall) -> Context:
        """Return where a span of a call belongs: to the open turn, or to the call."""
        is_in_turn = call.turn is not None and event.turn_id == call.turn_id
        return self._context(call.turn if is_in_turn and call.turn is not None else call.span)

    def _own_span(self, event: Event, call: _OpenCall | None) -> None:
        end = event.timestamp_us * 1_000
        data = {name: value for name, value in event.data.items() if name not in _OF_SPANS}
        attributes = chosen(data, {name: f"getpatter.data.{name}" for name in data})
        attributes |= {"getpatter.node": event.node, "gen_ai.conversation.id": event.session}
        attributes |= chosen(event.data, {"error": "error.type"})
        span = self._tracer.start_span(
            event.type.removesuffix(".end"),
            context=None if call is None else self._parent(event, call),
            start_time=end - round(_seconds(event.data["latency_ms"]) * 1e9),
            attributes=attributes,
        )
        if "error" in event.data:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(end)

    def _log(self, event: Event, context: Context | None) -> None:
        failed = event.data.get("outcome") in ("failure", "error", "failed")
        is_bad = failed or event.type == HEALTH
        attributes: Attributes = {
            "gen_ai.conversation.id": event.session,
            "getpatter.node": event.node,
            "getpatter.sequence": event.sequence,
        }
        for name, value in (("turn_id", event.turn_id), ("correlation_id", event.correlation_id)):
            if value is not None:
                attributes[f"getpatter.{name}"] = value
        self._logger.emit(
            self._log_record(
                timestamp=event.timestamp_us * 1_000,
                context=context,
                severity_number=self._severity.WARN if is_bad else self._severity.INFO,
                severity_text="WARN" if is_bad else "INFO",
                body=event.data,  # type: ignore[arg-type] # plain JSON, which is an AnyValue
                attributes=attributes,
                event_name=event.type,
            )
        )

    def _stage(self, event: Event, call: _OpenCall) -> None:
        stage = str(event.data.get("stage"))
        seconds, first = _seconds(event.data.get("elapsed_ms")), event.data.get("first_ms")
        work = work_of(stage, call.started)
        attributes = {**chosen(event.data, STAGE_ATTRIBUTES), **work}
        if first is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = _seconds(first)
        model = work.get("gen_ai.request.model")
        end = event.timestamp_us * 1_000
        span = self._tracer.start_span(
            f"chat {model}" if stage == "llm" and model else stage,
            context=self._parent(event, call),
            kind=self._trace.SpanKind.CLIENT,
            start_time=end - round(seconds * 1e9),
            attributes=attributes,
        )
        if event.data.get("outcome") == "failure":
            span.set_status(self._trace.StatusCode.ERROR, str(event.data.get("reason", "")) or None)
        span.end(end)
        kept = {"getpatter.stage.name", "error.type", *work}
        labels = {name: value for name, value in attributes.items() if name in kept}
        self._histograms["getpatter.stage.duration"].record(seconds, labels)
        if stage == "llm":
            self._histograms["gen_ai.client.operation.duration"].record(seconds, labels)
            if first is not None:
                name = "gen_ai.client.operation.time_to_first_chunk"
                self._histograms[name].record(_seconds(first), labels)

    def _end(self, event: Event, call: _OpenCall) -> None:
        span, at = call.span, event.timestamp_us * 1_000
        if call.turn is not None:
            call.turn.end(at)
        attributes = chosen(event.data, END_ATTRIBUTES)
        span.set_attributes(attributes)
        if "error.type" in attributes:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(at)
        self._calls.pop(event.session, None)
        names = ("getpatter.call.outcome", "error.type")
        labels = {name: attributes[name] for name in names if name in attributes}
        seconds = _seconds(event.data.get("duration_ms"))
        self._histograms["getpatter.call.duration"].record(seconds, labels)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _seconds(milliseconds: object) -> float:
    return milliseconds / 1_000 if isinstance(milliseconds, (int, float)) else 0.0
