"""Anonymous, opt-out product telemetry: what leaves, and that nothing else does.

Importing has no effect; the names load on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter.telemetry.client import DEFAULT_ENDPOINT, TelemetryClient
    from getpatter.telemetry.consent import is_enabled
    from getpatter.telemetry.events import (
        EVENT_AGENT_CONFIGURED,
        EVENT_CALL_COMPLETED,
        EVENT_CALL_STARTED,
        EVENT_CLI_COMMAND,
        EVENT_CONFIG_INCOMPLETE,
        EVENT_FEATURE_USED,
        EVENT_FIRST_RUN,
        EVENT_SDK_INITIALIZED,
        SCHEMA_VERSION,
        build_event,
    )

__all__ = [
    "DEFAULT_ENDPOINT",
    "EVENT_AGENT_CONFIGURED",
    "EVENT_CALL_COMPLETED",
    "EVENT_CALL_STARTED",
    "EVENT_CLI_COMMAND",
    "EVENT_CONFIG_INCOMPLETE",
    "EVENT_FEATURE_USED",
    "EVENT_FIRST_RUN",
    "EVENT_SDK_INITIALIZED",
    "SCHEMA_VERSION",
    "TelemetryClient",
    "build_event",
    "is_enabled",
]

_HOMES = {"TelemetryClient": "client", "DEFAULT_ENDPOINT": "client", "is_enabled": "consent"}


def __getattr__(name: str) -> object:
    if name in __all__:
        # Not importlib.import_module: loading that package alone takes a millisecond.
        home = f"getpatter.telemetry.{_HOMES.get(name, 'events')}"
        return getattr(__import__(home, fromlist=(name,)), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
