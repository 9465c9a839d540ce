"""The closed vocabulary of stages, attempts, connections and failures. Imports nothing of ours.

A `Word` is a string that stands in our own tables. That is how redaction knows it from free text:
what a program or a person wrote is a plain string.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

__all__ = [
    "FIELDS",
    "Delivery",
    "FailureCode",
    "IceState",
    "JoinReason",
    "Outcome",
    "Role",
    "StageName",
    "Word",
    "known",
]


class Word(str):
    """A string of our own tables, or an id made here: never free text."""

    __slots__ = ()


class StageName(Word, Enum):
    """What a stage can be: joining and connecting, the carrier, and the four of the media."""

    COORDINATOR_JOIN = "coordinator_join"
    WS_JOIN = "ws_join"
    PEER_CONNECTION = "peer_connection"
    CARRIER = "carrier"
    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    EOU = "eou"


class JoinReason(Word, Enum):
    """Why an attempt to join began. Each but the first begins a new attempt."""

    FIRST_ATTEMPT = "first_attempt"
    FULL_REJOIN = "full_rejoin"
    MIGRATION = "migration"
    NETWORK_AVAILABLE = "network_available"
    FAST_RECONNECT = "fast_reconnect"
    CUSTOM = "custom"


class Role(Word, Enum):
    """The two connections of a call."""

    PUBLISHER = "publisher"
    SUBSCRIBER = "subscriber"


class IceState(Word, Enum):
    """The states of ICE, as WebRTC names them."""

    NEW = "new"
    CHECKING = "checking"
    CONNECTED = "connected"
    COMPLETED = "completed"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class Outcome(Word, Enum):
    """How a stage ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class FailureCode(Word, Enum):
    """Why a stage failed."""

    CLIENT_ABORTED = "CLIENT_ABORTED"
    BACKEND_LEAVE = "BACKEND_LEAVE"
    NETWORK_OFFLINE = "NETWORK_OFFLINE"
    RETRY_EXHAUSTED = "RETRY_EXHAUSTED"
    SDK_DRIVEN = "SDK_DRIVEN"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    SFU_ERROR = "SFU_ERROR"
    SERVER_ERROR = "SERVER_ERROR"
    ICE_CONNECTIVITY_FAILED = "ICE_CONNECTIVITY_FAILED"
    ICE_GATHERING_FAILED = "ICE_GATHERING_FAILED"
    DTLS_CONNECTIVITY_FAILED = "DTLS_CONNECTIVITY_FAILED"
    NETWORK_ERROR = "NETWORK_ERROR"
    CUSTOM = "CUSTOM"


class Delivery(Word, Enum):
    """When the events of a call's stages are emitted."""

    IN_PLACE = "IN_PLACE"
    BATCH = "BATCH"


#: The fields of our own events, as words: redaction keeps their names as they are.
FIELDS = {
    name: Word(name)
    for name in (
        *("attempt_id", "join_reason", "stage", "stage_id", "role", "was_previously_connected"),
        *("elapsed_ms", "first_ms", "outcome", "retry_count", "failure_code", "reason"),
        *("previously_connected_at", "leave_reason", "leave_cause", "abort_code", "message"),
        *("disconnect_reason", "error_layer", "error_code", "duration_ms", "turns", "turn"),
        *("cost_usd", "direction", "engine", "provider", "carrier", "call_uid", "latency_ms"),
        *("error", "late", "lost", "previous", "state", "value"),
        *(f"{layer}_{what}" for layer in ("stt", "tts", "llm") for what in ("provider", "model")),
    )
}

_Member = TypeVar("_Member", bound=Enum)


def known(kind: type[_Member], value: object) -> _Member | None:
    """Return the member of `kind` with that value, None if there is none. Never raises."""
    try:
        return kind(value)
    except Exception:  # what is looked up is the host's, and may refuse to be compared
        return None
