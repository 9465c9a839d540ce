"""A call without a host object: what tests of the call alone begin."""

from typing import Any

from getpatter.call import Call
from getpatter.calls import Hub, NullHub
from getpatter.calls.callbacks.host_events import HostEvents
from getpatter.calls.switchboard import Switchboard


def lone_call(
    telemetry: Any,
    facts: dict[str, object] | None = None,
    *,
    hub: Hub | NullHub | None = None,
    **options: Any,
) -> Call:
    board = Switchboard(NullHub() if hub is None else hub, HostEvents())
    return Call(telemetry, facts or {}, board, **options)
