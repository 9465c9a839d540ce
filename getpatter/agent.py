"""What answers calls, and what telemetry says of its configuration: kinds and numbers, no names."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.telemetry._interrupt import is_ctrl_c
from getpatter.telemetry._plain import lower_text
from getpatter.telemetry.call_metrics import count_bucket, server_bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Agent", "agent_dimensions"]

_INTEGRATIONS = frozenset({"hermes", "openclaw"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What answers a call: an engine, or the three layers of a pipeline, and its tools."""

    engine: str
    stt: object = None
    tts: object = None
    llm: object = None
    tools: "Sequence[object]" = ()
    mcp_servers: "Sequence[object]" = ()


def agent_dimensions(
    *,
    tools: "Sequence[object]",
    mcp_servers: "Sequence[object]",
    integration: str | None,
    noise_reduction: str | None,
    turn_detection: object,
    preambles: bool,
    llm_fallback: object,
) -> "dict[str, object]":
    """Return the dimensions of `agent_configured`."""
    return {
        **_tool_dimensions(tools),
        "mcp_server_count_bucket": server_bucket(len(mcp_servers)),
        **_integration(integration, mcp_servers),
        "noise_reduction": "none" if noise_reduction is None else noise_reduction,
        "turn_detection": _turn_detection(turn_detection),
        "preambles_used": preambles,
        "llm_fallback_configured": llm_fallback is not None,
    }


def _integration(name: str | None, servers: "Sequence[object]") -> "dict[str, object]":
    if name is not None:
        said = lower_text(name)
        known = said if said in _INTEGRATIONS else "other"
        return {"integration": known, "integration_kind": "consult"}
    kind = "mcp" if servers else "none"
    return {"integration": kind, "integration_kind": kind}


def _turn_detection(value: object) -> str:
    if value is None:
        return "default"
    return "none" if value is False else "custom"


def _tool_dimensions(tools: "Sequence[object]") -> "dict[str, object]":
    builtin = sum(isinstance(tool, str) for tool in tools)
    return {
        "builtin_tool_count": builtin,
        "custom_tool_count_bucket": count_bucket(len(tools) - builtin),
        "per_tool_timeouts_set": any(_has_timeout(tool) for tool in tools),
    }


def _has_timeout(tool: object) -> bool:
    if isinstance(tool, dict):
        return tool.get("timeout") is not None
    try:
        return getattr(tool, "timeout", None) is not None
    except BaseException as error:  # a tool of the host's may answer anything
        if is_ctrl_c(error):
            raise
        return False
