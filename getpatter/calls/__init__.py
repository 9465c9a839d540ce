"""Call diagnostics: what happens in a call, told on this machine to whoever attached a sink.

Nothing here leaves the machine by itself. Importing has no effect; the names load on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter.calls.callbacks import Callbacks
    from getpatter.calls.emitter import Emitter, Span
    from getpatter.calls.event import Event
    from getpatter.calls.hub import Hub, NullHub
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
    from getpatter.calls.null_service import NullService
    from getpatter.calls.precall import precall_test
    from getpatter.calls.recommendation import Recommendation, reduction
    from getpatter.calls.redaction import Redaction
    from getpatter.calls.reporter import Reporter
    from getpatter.calls.result import Result
    from getpatter.calls.service import Service
    from getpatter.calls.sink import EventsLost, Sink
    from getpatter.calls.sinks.callback import CallbackSink
    from getpatter.calls.sinks.jsonl import JsonLinesSink
    from getpatter.calls.sinks.otel import OpenTelemetrySink
    from getpatter.calls.sinks.webhook import WebhookSink
    from getpatter.calls.vocabulary import VOCABULARY
    from getpatter.calls.words import Delivery, FailureCode, JoinReason, Role, StageName

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
    "callbacks": ("Callbacks",),
    "emitter": ("Emitter", "Span"),
    "event": ("Event",),
    "hub": ("Hub", "NullHub"),
    "leave": (
        *("Backend", "BackendCause", "Custom", "RetryExhausted"),
        *("SdkCause", "SdkDriven", "UserAction", "UserCause"),
    ),
    "null_service": ("NullService",),
    "precall": ("precall_test",),
    "recommendation": ("Recommendation", "reduction"),
    "redaction": ("Redaction",),
    "reporter": ("Reporter",),
    "result": ("Result",),
    "service": ("Service",),
    "sink": ("EventsLost", "Sink"),
    "sinks.callback": ("CallbackSink",),
    "sinks.jsonl": ("JsonLinesSink",),
    "sinks.otel": ("OpenTelemetrySink",),
    "sinks.webhook": ("WebhookSink",),
    "vocabulary": ("VOCABULARY",),
    "words": ("Delivery", "FailureCode", "JoinReason", "Role", "StageName"),
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
