"""The OpenTelemetry sink: events as log records, durations as histograms, a span a call and stage.

It uses the API alone: where to, and whether at all, is what the host has configured. What becomes
what stands in the tables below and in `docs/calls.mdx`; durations are seconds, as the conventions
have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.event_types import CALL_ENDED, CALL_STARTED, HEALTH, OF_CALLS, STAGE_COMPLETED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from getpatter.calls.events.event import Event

__all__ = ["OpenTelemetrySink"]

_SCOPE = "getpatter.calls"
# Calls at once whose span is open; beyond, the oldest is closed as it stands.
_OPEN_CALLS = 10_000

# Field of `call.started` → attribute of the call's span. The names of GenAI where there is one.
_CALL_ATTRIBUTES = {
    "provider": "gen_ai.provider.name",
    "direction": "getpatter.call.direction",
    "carrier": "getpatter.call.carrier",
    "engine": "getpatter.call.engine",
}
# Field of `call.ended` → attribute of the call's span.
_END_ATTRIBUTES = {
    "outcome": "getpatter.call.outcome",
    "error_code": "error.type",
    "error_layer": "getpatter.call.error_layer",
    "disconnect_reason": "getpatter.call.disconnect_reason",
    "leave_reason": "getpatter.call.leave_reason",
    "leave_cause": "getpatter.call.leave_cause",
    "turns": "getpatter.call.turns",
    "cost_usd": "getpatter.call.cost_usd",
}
# Field of `stage.completed` → attribute of the stage's span.
_STAGE_ATTRIBUTES = {
    "stage": "getpatter.stage.name",
    "stage_id": "getpatter.stage.id",
    "attempt_id": "getpatter.attempt.id",
    "join_reason": "getpatter.attempt.join_reason",
    "role": "getpatter.connection.role",
    "retry_count": "getpatter.stage.retry_count",
    "failure_code": "error.type",
}
# Layer → field of `call.started` that says whose model does the work → attribute.
_LAYERS = {
    layer: {
        f"{layer}_provider": "gen_ai.provider.name",
        f"{layer}_model": "gen_ai.request.model",
    }
    for layer in ("stt", "llm", "tts")
}
# From 5 ms, a fast recogniser, to half an hour, a long call.
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0)

_Attributes = dict[str, str | int | float | bool]


class OpenTelemetrySink:
    """Tells OpenTelemetry: `Hub(OpenTelemetrySink())`, after the host has set its providers up.

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
        self._calls: dict[str, tuple[Span, Mapping[str, object]]] = {}

    def write(self, events: Sequence[Event]) -> None:
        """Tell these events."""
        for event in events:
            span = self._span_of(event)
            self._log(event, None if span is None else self._trace.set_span_in_context(span))
            if span is not None and event.type == STAGE_COMPLETED:
                self._stage(event, span)
            elif span is not None and event.type == CALL_ENDED:
                self._end(event, span)

    def close(self) -> None:
        """End the spans of calls that have not ended."""
        while self._calls:
            self._calls.pop(next(iter(self._calls)))[0].end()

    def _span_of(self, event: Event) -> Span | None:
        """Return the span of the event's call; the first event that there is begins it."""
        known = self._calls.get(event.session)
        if known is not None:
            return known[0]
        if not event.type.startswith(OF_CALLS):
            return None
        is_start = event.type == CALL_STARTED
        data = event.data if is_start else {}
        kind = self._trace.SpanKind.CLIENT if data.get("direction") == "outbound" else None
        span = self._tracer.start_span(
            "call",
            kind=kind or self._trace.SpanKind.SERVER,
            start_time=event.timestamp_us * 1_000,
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.conversation.id": event.session,
                **_chosen(data, _CALL_ATTRIBUTES),
            },
        )
        if len(self._calls) >= _OPEN_CALLS:
            self._calls.pop(next(iter(self._calls)))[0].end()
        self._calls[event.session] = (span, data)
        return span

    def _log(self, event: Event, context: Context | None) -> None:
        failed = event.data.get("outcome") in ("failure", "error", "failed")
        is_bad = failed or event.type == HEALTH
        attributes: _Attributes = {
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

    def _stage(self, event: Event, call: Span) -> None:
        stage = str(event.data.get("stage"))
        seconds, first = _seconds(event.data.get("elapsed_ms")), event.data.get("first_ms")
        work = _work(stage, self._calls[event.session][1])
        attributes = {**_chosen(event.data, _STAGE_ATTRIBUTES), **work}
        if first is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = _seconds(first)
        model = work.get("gen_ai.request.model")
        end = event.timestamp_us * 1_000
        span = self._tracer.start_span(
            f"chat {model}" if stage == "llm" and model else stage,
            context=self._trace.set_span_in_context(call),
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

    def _end(self, event: Event, span: Span) -> None:
        attributes = _chosen(event.data, _END_ATTRIBUTES)
        span.set_attributes(attributes)
        if "error.type" in attributes:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(event.timestamp_us * 1_000)
        self._calls.pop(event.session, None)
        names = ("getpatter.call.outcome", "error.type")
        labels = {name: attributes[name] for name in names if name in attributes}
        seconds = _seconds(event.data.get("duration_ms"))
        self._histograms["getpatter.call.duration"].record(seconds, labels)


def _work(stage: str, started: Mapping[str, object]) -> _Attributes:
    """Return whose model does the work of a stage, as far as `call.started` said."""
    said: _Attributes = {"gen_ai.operation.name": "chat"} if stage == "llm" else {}
    for field, name in _LAYERS.get(stage, {}).items():
        if isinstance(value := started.get(field), str):
            # Our model tokens begin with the vendor, which has an attribute of its own.
            said[name] = value.removeprefix(f"{started.get(f'{stage}_provider')}-")
    return said


def _chosen(data: Mapping[str, object], names: Mapping[str, str]) -> _Attributes:
    """Return what an event says under the names that OpenTelemetry has for it."""
    return {
        attribute: value
        for field, attribute in names.items()
        if isinstance(value := data.get(field), (str, int, float, bool))
    }


def _seconds(milliseconds: object) -> float:
    return milliseconds / 1_000 if isinstance(milliseconds, (int, float)) else 0.0
