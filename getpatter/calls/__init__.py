"""Call diagnostics: what happens in a call, emitted locally to the sinks that are attached.

None of it leaves your machine by itself. Importing has no effect; the names load on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter.calls.callbacks.recommendation import Recommendation, reduction
    from getpatter.calls.callbacks.subscriptions import Callbacks
    from getpatter.calls.enums import Delivery, FailureCode, JoinReason, Role, StageName
    from getpatter.calls.events.callback_sink import CallbackSink
    from getpatter.calls.events.emitter import Emitter, Span
    from getpatter.calls.events.event import Event
    from getpatter.calls.events.hub import Hub
    from getpatter.calls.events.null_hub import NullHub
    from getpatter.calls.events.redaction import Redaction
    from getpatter.calls.events.sink import EventsLost, Sink
    from getpatter.calls.leave import (
        Backend,
        BackendCause,
        Custom,
        RetryExhausted,
        SdkCause,
        SdkDriven,
        UserAction,
        UserCause,
    )
    from getpatter.calls.precall import precall_test
    from getpatter.calls.reporter import Reporter
    from getpatter.calls.result import Result
    from getpatter.calls.sinks.jsonl import JsonLinesSink
    from getpatter.calls.sinks.otel import OpenTelemetrySink
    from getpatter.calls.sinks.webhook import WebhookSink
    from getpatter.calls.stats.null_service import NullService
    from getpatter.calls.stats.service import Service
    from getpatter.calls.stats.vocabulary import VOCABULARY

__all__ = [
    "VOCABULARY",
    "Backend",
    "BackendCause",
    "CallbackSink",
    "Callbacks",
    "Custom",
    "Delivery",
    "Emitter",
    "Event",
    "EventsLost",
    "FailureCode",
    "Hub",
    "JoinReason",
    "JsonLinesSink",
    "NullHub",
    "NullService",
    "OpenTelemetrySink",
    "Recommendation",
    "Redaction",
    "Reporter",
    "Result",
    "RetryExhausted",
    "Role",
    "SdkCause",
    "SdkDriven",
    "Service",
    "Sink",
    "Span",
    "StageName",
    "UserAction",
    "UserCause",
    "WebhookSink",
    "precall_test",
    "reduction",
]

_HOMES = {
    "callbacks.recommendation": ("Recommendation", "reduction"),
    "callbacks.subscriptions": ("Callbacks",),
    "enums": ("Delivery", "FailureCode", "JoinReason", "Role", "StageName"),
    "events.callback_sink": ("CallbackSink",),
    "events.emitter": ("Emitter", "Span"),
    "events.event": ("Event",),
    "events.hub": ("Hub",),
    "events.null_hub": ("NullHub",),
    "events.redaction": ("Redaction",),
    "events.sink": ("EventsLost", "Sink"),
    "leave": (
        *("Backend", "BackendCause", "Custom", "RetryExhausted"),
        *("SdkCause", "SdkDriven", "UserAction", "UserCause"),
    ),
    "precall": ("precall_test",),
    "reporter": ("Reporter",),
    "result": ("Result",),
    "sinks.jsonl": ("JsonLinesSink",),
    "sinks.otel": ("OpenTelemetrySink",),
    "sinks.webhook": ("WebhookSink",),
    "stats.null_service": ("NullService",),
    "stats.service": ("Service",),
    "stats.vocabulary": ("VOCABULARY",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            # Not importlib.import_module: loading that package alone takes a millisecond.
            return getattr(__import__(f"getpatter.calls.{home}", fromlist=(name,)), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
