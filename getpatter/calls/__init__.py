"""Call diagnostics: what happens in a call, told on this machine to whoever attached a sink.

Nothing here leaves the machine by itself. Importing has no effect; the names load on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter.calls.emitter import Emitter, Span
    from getpatter.calls.event import Event
    from getpatter.calls.hub import Hub, NullHub
    from getpatter.calls.lane import EventsLost, Sink
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
    from getpatter.calls.redaction import Redaction
    from getpatter.calls.reporter import Reporter
    from getpatter.calls.result import Result
    from getpatter.calls.sinks.callback import CallbackSink
    from getpatter.calls.sinks.jsonl import JsonLinesSink
    from getpatter.calls.sinks.otel import OpenTelemetrySink
    from getpatter.calls.sinks.webhook import WebhookSink
    from getpatter.calls.words import Delivery, FailureCode, JoinReason, Role, StageName

__all__ = [
    "Backend",
    "BackendCause",
    "CallbackSink",
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
    "OpenTelemetrySink",
    "Redaction",
    "Reporter",
    "Result",
    "RetryExhausted",
    "Role",
    "SdkCause",
    "SdkDriven",
    "Sink",
    "Span",
    "StageName",
    "UserAction",
    "UserCause",
    "WebhookSink",
]

_HOMES = {
    "emitter": ("Emitter", "Span"),
    "event": ("Event",),
    "hub": ("Hub", "NullHub"),
    "lane": ("EventsLost", "Sink"),
    "leave": (
        *("Backend", "BackendCause", "Custom", "RetryExhausted"),
        *("SdkCause", "SdkDriven", "UserAction", "UserCause"),
    ),
    "redaction": ("Redaction",),
    "reporter": ("Reporter",),
    "result": ("Result",),
    "sinks.callback": ("CallbackSink",),
    "sinks.jsonl": ("JsonLinesSink",),
    "sinks.otel": ("OpenTelemetrySink",),
    "sinks.webhook": ("WebhookSink",),
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
