"""What Pipecat says, and what a call makes of it: tables, and nothing that loads Pipecat."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "CATEGORIES",
    "DISCONNECTED",
    "FRAMES",
    "MISSING_WITHOUT_METRICS",
    "ROWS",
    "STAGES",
    "Service",
    "category_of",
    "code_of",
    "service_of",
]

#: The class of a frame → the method of `Conversation` that it calls.
FRAMES = {
    "ClientConnectedFrame": "connected",
    "VADUserStartedSpeakingFrame": "user_started",
    "UserStartedSpeakingFrame": "user_started",
    "UserStoppedSpeakingFrame": "user_stopped",
    "InterruptionFrame": "interrupted",
    "LLMFullResponseStartFrame": "response_began",
    "TTSSpeakFrame": "response_began",
    "LLMTextFrame": "text",
    "BotStartedSpeakingFrame": "bot_started",
    "EndFrame": "closing",
    "StopFrame": "closing",
    "CancelFrame": "canceled",
}
#: The event by which a transport says that the other side has left; the first one that it has.
DISCONNECTED = ("on_client_disconnected", "on_participant_disconnected", "on_disconnected")
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
    ("`UserBotLatencyObserver`: the latency; needs a VAD", "`latency_ms`"),
    ("`UserBotLatencyObserver`: `user_turn_secs`; needs a VAD", "`eou_latency_ms`"),
    ("`UserStoppedSpeakingFrame`", "a turn"),
    ("`ClientConnectedFrame`, or the first speech of either side", "answered"),
    ("`EndFrame`, `StopFrame`, `CancelFrame`, idle timeout", "`hangup_local`"),
    ("`on_client_disconnected` of the transport, before any of these", "`hangup_remote`"),
    ("any of these, where no transport says when the caller leaves", "`completed`"),
    ("`fatal` error, or an unusable processor and no answered turn after it", "`error`"),
    ("an error that was recovered from", "event `error` of the node `pipecat`"),
    ("speech-to-speech `LLMService`", "engine `realtime` (of OpenAI); no `llm_ttft_ms`"),
)


class Service(NamedTuple):
    """A service of a pipeline: its stage, its vendor, and whether it is speech-to-speech."""

    stage: str
    #: As Pipecat names the vendor's module.
    vendor: str
    is_realtime: bool


def service_of(processor: object) -> Service | None:
    """Return what service a processor is; None if it is none."""
    kinds = type(processor).__mro__
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    stage = next((STAGES[name] for name in names if name in STAGES), None)
    if stage is None:
        return None
    # The host's own subclass of a vendor's service is still the vendor's.
    modules = [kind.__module__.removeprefix(_VENDORS) for kind in kinds if _is_vendors(kind)]
    module = modules[0] if modules else ""
    vendor = module.partition(".")[0]
    return Service(stage, vendor, stage == "llm" and _is_realtime(processor, module))


def category_of(category: object) -> str:
    """Return the name of an `ErrorCategory`; `unknown` for what is none of ours."""
    value = getattr(category, "value", category)
    return value if isinstance(value, str) and value in CATEGORIES else "unknown"


def code_of(category: str, stage: str | None) -> str:
    """Return the error code of a category; an unknown one is the service's, or the program's."""
    return CATEGORIES.get(category) or ("internal" if stage is None else "provider_error")


def _is_vendors(kind: type) -> bool:
    module = kind.__module__
    return module.startswith(_VENDORS) and module.count(".") > _VENDORS.count(".")


def _is_realtime(processor: object, module: str) -> bool:
    metadata = getattr(processor, "service_metadata_frame", None)
    said = getattr(metadata(), "is_realtime_service", None) if callable(metadata) else None
    return said if isinstance(said, bool) else not _REALTIME.isdisjoint(module.split("."))
