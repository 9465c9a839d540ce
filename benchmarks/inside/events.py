"""The events that every client is given: what one program says, varied, the same in each run.

A pseudo-random walk over SHA-256 decides, so no two runs and no two clients differ in them. Every
event has `carrier`, by which the sink counts it; a call's has `call_uid`, by which it is known.
"""

import hashlib
from collections.abc import Callable

Event = tuple[str, dict[str, object]]

# One program has a few agents; what they are, and where it runs, does not change while it runs.
_AGENTS: tuple[dict[str, object], ...] = (
    {"engine": "realtime", "provider": "openai", "carrier": "twilio", "direction": "inbound"},
    {"engine": "pipeline", "provider": "anthropic", "carrier": "twilio", "direction": "outbound"},
    {"engine": "pipeline", "provider": "openai", "carrier": "telnyx", "direction": "inbound"},
)
_STACKS = (
    {"stt_provider": "deepgram", "tts_provider": "elevenlabs", "llm_provider": "anthropic"},
    {"stt_provider": "deepgram", "tts_provider": "cartesia", "llm_provider": "openai"},
)
_MODELS = ("openai-gpt-4o", "openai-gpt-4o-mini", "anthropic-other", "openai-other")
_ENDS = ("hangup_remote", "hangup_remote", "hangup_local", "completed")
_TURNS = ("1", "2_3", "4_6", "7_12", "13_plus")


def uid(number: int) -> str:
    """Return the 32 hex digits by which event `number` is known."""
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def _call(number: int, pick: bytes) -> dict[str, object]:
    agent = _AGENTS[pick[16] % 3]
    return agent | {"call_uid": uid(number), "time_to_first_call_bucket": "1d_7d"}


def _started(number: int, pick: bytes) -> Event:
    return "call_started", _call(number, pick)


def _completed(number: int, pick: bytes) -> Event:
    seconds = 20 + pick[22] + pick[23]
    dimensions = _call(number, pick) | {
        "outcome": "completed",
        "error_layer": "none",
        "disconnect_reason": _ENDS[pick[20] % 4],
        "latency_ms": 500 + 4 * pick[21],
        "duration_seconds": seconds,
        # Eight cents a minute, more or less.
        "cost_usd": seconds * (100 + pick[24] % 64) / 1e5,
        "turn_count_bucket": _TURNS[min(4, seconds // 100)],
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
        "carrier": ("twilio", "telnyx")[pick[16] % 2],
        "tunnel": ("none", "static", "configured")[pick[17] % 3],
        "invoked_by_agent": "none",
        "container": True,
        "serverless": "none",
        "cloud": "aws",
        "package_manager": "uv",
        "days_since_install_bucket": "1_7",
    }


def _feature(number: int, pick: bytes) -> Event:  # noqa: ARG001
    agent = _AGENTS[pick[16] % 3]
    return "feature_used", {
        "engine": agent["engine"],
        "provider": agent["provider"],
        "carrier": agent["carrier"],
        **_STACKS[pick[18] % 2],
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
