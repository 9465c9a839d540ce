"""The events that every client is given: realistic, varied, and the same in each run.

A pseudo-random walk over SHA-256 decides, so no two runs and no two clients differ in them. Every
event has `carrier`, by which the sink counts it; a call's has `call_uid`, by which it is known.
"""

import hashlib
from collections.abc import Callable

Event = tuple[str, dict[str, object]]

_CARRIERS = ("twilio", "twilio", "telnyx", "plivo")
_ENGINES = (("realtime", "openai"), ("pipeline", "anthropic"), ("convai", "elevenlabs"))
_AGES = ("lt_1h", "1h_1d", "1d_7d", "gt_7d")
_ENDS = ("hangup_remote", "hangup_remote", "hangup_local", "completed")
_TURNS = ("1", "2_3", "4_6", "7_12", "13_plus")
_MODELS = ("openai-gpt-4o", "openai-gpt-4o-mini", "anthropic-other", "google-other")


def uid(number: int) -> str:
    """Return the 32 hex digits by which event `number` is known."""
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def _call(number: int, pick: bytes) -> dict[str, object]:
    engine, provider = _ENGINES[pick[16] % 3]
    return {
        "engine": engine,
        "provider": provider,
        "carrier": _CARRIERS[pick[17] % 4],
        "direction": "inbound" if pick[18] % 3 else "outbound",
        "call_uid": uid(number),
        "time_to_first_call_bucket": _AGES[pick[19] % 4],
    }


def _started(number: int, pick: bytes) -> Event:
    return "call_started", _call(number, pick)


def _completed(number: int, pick: bytes) -> Event:
    dimensions = _call(number, pick) | {
        "outcome": "completed",
        "error_layer": "none",
        "disconnect_reason": _ENDS[pick[20] % 4],
        "latency_ms": 500 + 4 * pick[21],
        "duration_seconds": 20 + pick[22] + pick[23],
        "cost_usd": (pick[24] * 256 + pick[25]) / 1e5,
        "turn_count_bucket": _TURNS[pick[26] % 5],
        "stt_latency_ms": 80 + pick[27],
        "llm_ttft_ms": 200 + 2 * pick[28],
        "tts_first_byte_ms": 90 + pick[29],
    }
    if pick[30] % 20 == 0:  # one call in twenty fails
        dimensions |= {
            "outcome": "error",
            "error_code": "timeout",
            "error_layer": "llm",
            "disconnect_reason": "timeout",
        }
    return "call_completed", dimensions


def _initialized(number: int, pick: bytes) -> Event:  # noqa: ARG001
    return "sdk_initialized", {
        "carrier": _CARRIERS[pick[16] % 4],
        "tunnel": ("none", "static", "configured")[pick[17] % 3],
        "invoked_by_agent": ("none", "none", "claude", "cursor")[pick[18] % 4],
        "container": pick[19] % 2 == 0,
        "serverless": "none",
        "cloud": ("none", "aws", "gcp", "fly")[pick[20] % 4],
        "package_manager": ("pip", "uv", "poetry")[pick[21] % 3],
        "days_since_install_bucket": ("0", "1_7", "8_30", "30_plus")[pick[22] % 4],
    }


def _feature(number: int, pick: bytes) -> Event:  # noqa: ARG001
    return "feature_used", {
        "engine": "pipeline",
        "provider": ("openai", "anthropic", "google")[pick[16] % 3],
        "carrier": _CARRIERS[pick[17] % 4],
        "stt_provider": ("deepgram", "whisper", "assemblyai")[pick[18] % 3],
        "tts_provider": ("elevenlabs", "cartesia", "openai")[pick[19] % 3],
        "llm_provider": ("openai", "anthropic", "google")[pick[20] % 3],
        "llm_model": _MODELS[pick[21] % 4],
    }


_KINDS: dict[str, tuple[Callable[[int, bytes], Event], ...]] = {
    "call": (_started, _completed),
    "other": (_initialized, _feature),
    "all": (_started, _completed, _initialized, _feature),
}


def make(count: int, kind: str = "all") -> list[Event]:
    """Return `count` events: `call` with a `call_uid`, `other` without, or `all` in turns."""
    kinds = _KINDS[kind]
    made = []
    for number in range(count):
        pick = hashlib.sha256(b"pick %d" % number).digest()
        made.append(kinds[number % len(kinds)](number, pick))
    return made
