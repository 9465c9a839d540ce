"""What Pipecat says, and what a call makes of it: tables, and nothing that loads Pipecat."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = [
    "CATEGORIES",
    "MISSING_WITHOUT_METRICS",
    "ROWS",
    "STAGES",
    "Service",
    "category_of",
    "code_of",
    "is_realtime",
    "measured",
    "service_of",
]

#: The class of a processor → the stage that it is.
STAGES = {
    "pipecat.services.stt_service.STTService": "stt",
    "pipecat.services.llm_service.LLMService": "llm",
    "pipecat.services.tts_service.TTSService": "tts",
}
#: `ErrorCategory` → error code. `unknown` is decided by the stage: `code_of`.
CATEGORIES = {
    "authentication": "auth",
    "authorization": "auth",
    "rate_limit": "rate_limit",
    "quota": "rate_limit",
    "connectivity": "connection",
    "server": "provider_error",
    "invalid_request": "input_validation",
    "application": "internal",
    "unknown": None,
}
#: What is not known while the metrics of Pipecat are off.
MISSING_WITHOUT_METRICS = ("stt_latency_ms", "llm_ttft_ms", "tts_first_byte_ms")
#: The modules of speech-to-speech services, for versions in which the service itself does not say.
_REALTIME = frozenset({"realtime", "gemini_live", "nova_sonic", "ultravox", "voice_live"})
_VENDORS = "pipecat.services."

#: The rows of the documents' table: what Pipecat says, what becomes of it.
ROWS = (
    ("`TTFBMetricsData` of an `STTService`", "`stt_latency_ms`"),
    ("`TTFBMetricsData` of an `LLMService`, if text follows", "`llm_ttft_ms`"),
    ("first `TTFBMetricsData` of a `TTSService` in a turn", "`tts_first_byte_ms`"),
    ("`TTFBMetricsData` of 0 or less, or of what an interruption has cut off", "absent"),
    ("`UserBotLatencyObserver`: the latency", "`latency_ms`"),
    ("`UserBotLatencyObserver`: `user_turn_secs`; needs a VAD", "`eou_latency_ms`"),
    ("`UserStoppedSpeakingFrame`", "a turn"),
    ("`ClientConnectedFrame`, or the first speech of either side", "answered"),
    ("`EndFrame`, `StopFrame`, `CancelFrame`, idle timeout", "`hangup_local`"),
    ("`on_client_disconnected` of the transport, before any of these", "`hangup_remote`"),
    ("`fatal` error, or an unusable processor and no answered turn after it", "`error`"),
    ("an error that was recovered from", "event `error` of the node `pipecat`"),
    ("speech-to-speech `LLMService`", "engine `realtime` (of OpenAI); no `llm_ttft_ms`"),
)


class Service(NamedTuple):
    """A service of a pipeline: its stage, and its vendor as Pipecat names the module."""

    stage: str
    vendor: str
    module: str


def service_of(kind: type) -> Service | None:
    """Return what service a class of processors is; None if it is none."""
    names = [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__]
    stage = next((STAGES[name] for name in names if name in STAGES), None)
    if stage is None:
        return None
    # The host's own subclass of a vendor's service is still the vendor's.
    modules = [base.__module__ for base in kind.__mro__]
    vendors = (m for m in modules if m.startswith(_VENDORS) and m.count(".") > _VENDORS.count("."))
    module = next(vendors, "")
    return Service(stage, module.removeprefix(_VENDORS).partition(".")[0], module)


def is_realtime(module: str) -> bool:
    """Return whether a module holds a speech-to-speech service."""
    return not _REALTIME.isdisjoint(module.split("."))


def measured(value: object) -> float | None:
    """Return a latency in seconds, None for what says that nothing was measured."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value)
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def category_of(category: object) -> str:
    """Return the name of an `ErrorCategory`; `unknown` for what is none of ours."""
    value = getattr(category, "value", category)
    return value if isinstance(value, str) and value in CATEGORIES else "unknown"


def code_of(category: str, stage: str | None) -> str:
    """Return the error code of a category; an unknown one is the service's, or the program's."""
    return CATEGORIES.get(category) or ("internal" if stage is None else "provider_error")
