"""Which field of an event is which attribute in OpenTelemetry: tables, and two ways to read them.

Where the GenAI conventions have a name, it is used. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = dict[str, str | int | float | bool]

__all__ = ["CALL_ATTRIBUTES", "END_ATTRIBUTES", "STAGE_ATTRIBUTES", "chosen", "work_of"]

# Field of `call.started` → attribute of the call's span. The names of GenAI where there is one.
CALL_ATTRIBUTES = {
    "provider": "gen_ai.provider.name",
    "direction": "getpatter.call.direction",
    "carrier": "getpatter.call.carrier",
    "engine": "getpatter.call.engine",
}
# Field of `call.ended` → attribute of the call's span.
END_ATTRIBUTES = {
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
STAGE_ATTRIBUTES = {
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


def work_of(stage: str, started: Mapping[str, object]) -> Attributes:
    """Return whose model does the work of a stage, as far as `call.started` has it."""
    said: Attributes = {"gen_ai.operation.name": "chat"} if stage == "llm" else {}
    for field, name in _LAYERS.get(stage, {}).items():
        if isinstance(value := started.get(field), str):
            # Our model tokens begin with the vendor, which has an attribute of its own.
            said[name] = value.removeprefix(f"{started.get(f'{stage}_provider')}-")
    return said


def chosen(data: Mapping[str, object], names: Mapping[str, str]) -> Attributes:
    """Return what an event says under the names that OpenTelemetry has for it."""
    return {
        attribute: value
        for field, attribute in names.items()
        if isinstance(value := data.get(field), (str, int, float, bool))
    }
