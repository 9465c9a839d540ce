"""What LiveKit Agents reports, and what a call makes of it: tables. Loads nothing of LiveKit."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "AGENT_FIGURES",
    "CALLERS",
    "CLOSE_REASONS",
    "CONNECTED",
    "DISCONNECT_REASONS",
    "ERROR_STAGES",
    "JOB_CRASHED",
    "ROWS",
    "USER_FIGURES",
    "code_of_exception",
    "code_of_sip",
    "departure_of",
]

#: Key of a user item's `metrics` → what `Call.observe` takes.
USER_FIGURES = {"transcription_delay": "stt", "end_of_turn_delay": "eou"}
#: Key of an assistant item's `metrics` → what `Call.observe` takes.
AGENT_FIGURES = {"llm_node_ttft": "llm", "tts_node_ttfb": "tts", "e2e_latency": "answer"}

#: `type` of an error → the stage that failed.
ERROR_STAGES = {
    "stt_error": "stt",
    "llm_error": "llm",
    "realtime_model_error": "llm",
    "tts_error": "tts",
    "interruption_detection_error": "eou",
}

#: `CloseReason` → who has ended the call, unless a participant's departure says it.
CLOSE_REASONS = {
    "error": "error",
    "job_shutdown": "local",
    "participant_disconnected": None,
    "user_initiated": "local",
    "task_completed": "completed",
}
#: What LiveKit 1.8 says to a shutdown callback when the entrypoint has raised.
JOB_CRASHED = "job crashed"


class Departure(NamedTuple):
    """A `DisconnectReason`, and what it says of the end."""

    name: str
    said: str


#: `DisconnectReason` of a participant. The numbers are those of the protocol.
DISCONNECT_REASONS = {
    0: Departure("UNKNOWN_REASON", "unknown"),
    1: Departure("CLIENT_INITIATED", "remote"),
    2: Departure("DUPLICATE_IDENTITY", "unknown"),
    3: Departure("SERVER_SHUTDOWN", "connection"),
    4: Departure("PARTICIPANT_REMOVED", "local"),
    5: Departure("ROOM_DELETED", "local"),
    6: Departure("STATE_MISMATCH", "connection"),
    7: Departure("JOIN_FAILURE", "connection"),
    8: Departure("MIGRATION", "unknown"),
    9: Departure("SIGNAL_CLOSE", "unknown"),
    10: Departure("ROOM_CLOSED", "unknown"),
    11: Departure("USER_UNAVAILABLE", "no_answer"),
    12: Departure("USER_REJECTED", "busy"),
    13: Departure("SIP_TRUNK_FAILURE", "connection"),
    14: Departure("CONNECTION_TIMEOUT", "connection"),
    15: Departure("MEDIA_FAILURE", "connection"),
    16: Departure("AGENT_ERROR", "unknown"),
}

#: `ParticipantKind` → whether such a participant is the other side of a call.
CALLERS = {
    0: True,  # STANDARD
    1: False,  # INGRESS
    2: False,  # EGRESS
    3: True,  # SIP
    4: False,  # AGENT
    5: True,  # CONNECTOR
    6: False,  # BRIDGE
}
#: `sip.callStatus` of somebody who has answered; a SIP participant joins while it rings.
CONNECTED = frozenset({"active", "automation"})

# Status of a SIP answer → what it says. Any other status is a failed connection.
_SIP = {
    **dict.fromkeys((486, 600, 603), "busy"),
    **dict.fromkeys((408, 480, 487), "no_answer"),
    **dict.fromkeys((401, 403, 407), "auth"),
    **dict.fromkeys((404, 484), "input_validation"),
}
# Class of an exception → error code: the first in its bases that is known. A status goes first.
_EXCEPTIONS = {
    "APITimeoutError": "timeout",
    "TimeoutError": "timeout",
    "APIConnectionError": "connection",
    "ConnectionError": "connection",
    "ClientConnectionError": "connection",
}
_STATUSES = {401: "auth", 403: "auth", 402: "rate_limit", 429: "rate_limit", 408: "timeout"}

#: The rows of the documents' table: what LiveKit reports, what becomes of it.
ROWS = (
    ("a user item", "a turn"),
    ("user item: `transcription_delay`", "`stt_latency_ms`"),
    ("user item: `end_of_turn_delay`", "`eou_latency_ms`"),
    ("assistant item: `llm_node_ttft`; not of a realtime model", "`llm_ttft_ms`"),
    ("assistant item: `tts_node_ttfb`, if something was played", "`tts_first_byte_ms`"),
    ("assistant item: `e2e_latency`", "`latency_ms`"),
    ("a figure of 0 or less, or an item before the first turn", "absent"),
    ("the first agent state after `initializing`, when nobody rings any more", "answered"),
    ("`stt_error`, `tts_error` that closed the session", "`error`, layer `stt` or `tts`"),
    ("`llm_error`, `realtime_model_error` that closed the session", "`error`, layer `llm`"),
    ("an error that was recovered from", "event `error` of the node `livekit`"),
    ("an entrypoint that raised, and with it the end", "`error`, layer `internal`"),
    ("`task_completed`", "`completed`"),
    ("`user_initiated`, `job_shutdown`", "`hangup_local`, if nobody had left before"),
    ("`CLIENT_INITIATED`", "`hangup_remote`"),
    ("`PARTICIPANT_REMOVED`, `ROOM_DELETED`", "`hangup_local`"),
    ("`USER_REJECTED`, before the answer", "`busy`"),
    ("`USER_UNAVAILABLE`, before the answer", "`no_answer`"),
    ("`SIP_TRUNK_FAILURE`, `MEDIA_FAILURE`, `CONNECTION_TIMEOUT`", "`error`, layer `carrier`"),
    ("`SERVER_SHUTDOWN`, `STATE_MISMATCH`, `JOIN_FAILURE`", "`error`, layer `carrier`"),
)


def departure_of(reason: object) -> str:
    """Return what the `DisconnectReason` of a participant says of the end."""
    row = DISCONNECT_REASONS.get(reason) if isinstance(reason, int) else None
    return "unknown" if row is None else row.said


def code_of_exception(error: BaseException | None) -> str:
    """Return the error code of what a provider's plugin has raised."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        return _STATUSES.get(status, "input_validation")
    names = (base.__name__ for base in type(error).__mro__)
    return next((_EXCEPTIONS[name] for name in names if name in _EXCEPTIONS), "provider_error")


def code_of_sip(status: object) -> str:
    """Return what a SIP status says of a dial: `busy`, `no_answer`, or an error code."""
    return _SIP.get(status, "connection") if isinstance(status, int) else "connection"
