"""Call metrics: what is known of a call, reduced to its anonymous events. Does no I/O.

The tables below are the contract's; every way in which a call can end goes through `ending`.
"""

import math

from getpatter.telemetry._interrupt import is_ctrl_c
from getpatter.telemetry._plain import lower_text, plain_number, plain_text
from getpatter.telemetry.stack import vendor_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    class RecordsEvents(Protocol):
        """The one thing asked of a telemetry client here."""

        def record(self, name: str, /, **dimensions: object) -> None: ...


__all__ = [
    "CODE_LAYERS",
    "STAGE_LAYERS",
    "Ending",
    "count_bucket",
    "ending",
    "engine_of",
    "nearest_rank_p95",
    "record_call_completed",
    "record_call_started",
    "server_bucket",
    "whole_ms",
]

#: Stage of a call → the layer that an error in it belongs to.
STAGE_LAYERS = {
    "stt": "stt",
    "eou": "stt",
    "llm": "llm",
    "tts": "tts",
    "carrier": "carrier",
    "coordinator_join": "carrier",
    "ws_join": "carrier",
    "peer_connection": "carrier",
}
#: Error code → layer, where the stage is unknown; any other code is `other`.
CODE_LAYERS = {
    "webhook_verification": "carrier",
    "provision": "carrier",
    "config": "config",
    "input_validation": "config",
    "internal": "internal",
}
# The host library's own metrics know no stage; with it these codes come from its model calls.
_METRICS_CODE_LAYERS = {**CODE_LAYERS, "auth": "llm", "rate_limit": "llm", "timeout": "llm"}

# Provider mode → engine, provider (None: the layer's own provider).
_MODES = {
    "openai_realtime": ("realtime", "openai"),
    "openai_realtime_2": ("realtime", "openai"),
    "elevenlabs_convai": ("convai", "elevenlabs"),
    "pipeline": ("pipeline", None),
}
_DIRECTIONS = frozenset({"inbound", "outbound"})
# The host's name of a p95 → the dimension.
_LATENCIES = {
    "agent_response_ms": "latency_ms",
    "stt_ms": "stt_latency_ms",
    "llm_ttft_ms": "llm_ttft_ms",
    "tts_ms": "tts_first_byte_ms",
    "endpoint_ms": "eou_latency_ms",
}
# Each bucket with the highest count that it holds.
_SERVER_BUCKETS = ((0, "0"), (1, "1"), (3, "2_3"))
_COUNT_BUCKETS = ((0, "0"), (1, "1"), (3, "2_3"), (6, "4_6"), (12, "7_12"))


class Ending:
    """How a call ended, in the three dimensions that say so."""

    __slots__ = ("disconnect_reason", "error_layer", "outcome")

    def __init__(self, outcome: str, error_layer: str, disconnect_reason: str) -> None:
        self.outcome = outcome
        self.error_layer = error_layer
        self.disconnect_reason = disconnect_reason

    def dimensions(self) -> "dict[str, object]":
        """Return them as dimensions of `call_completed`."""
        return {name: getattr(self, name) for name in self.__slots__}


def ending(
    *,
    connected: bool,
    error_code: str | None = None,
    error_stage: str | None = None,
    hung_up: str | None = None,
    unanswered: str | None = None,
    code_layers: "Mapping[str, str]" = CODE_LAYERS,
) -> Ending:
    """Reduce what is known of a call's end to its three dimensions.

    `error_code` is None without a terminal error; `error_stage` the stage it happened in, if
    known; `hung_up` `local` or `remote` where reliably known; `unanswered` `no_answer` or `busy`.
    """
    side = lower_text(hung_up)
    if error_code is not None:
        code = lower_text(error_code)
        layer = STAGE_LAYERS.get(lower_text(error_stage)) or code_layers.get(code, "other")
        reason = "timeout" if code == "timeout" else "error"
        return Ending("error" if connected else "failed", layer, reason)
    if connected:
        known = side in ("local", "remote")
        return Ending("completed", "none", f"hangup_{side}" if known else "completed")
    if unanswered is not None:
        return Ending(unanswered, "none", unanswered)
    if side == "remote":
        return Ending("failed", "other", "error")
    return Ending("failed", "none", "hangup_local")


def nearest_rank_p95(values: "Sequence[float]") -> float | None:
    """Return the nearest-rank 95th percentile; None for no values."""
    if not values:
        return None
    # Whole numbers: 0.95 itself is none, and a rank of a hair above 19 would be the 20th.
    return sorted(values)[(95 * len(values) + 99) // 100 - 1]


def whole_ms(milliseconds: "float | None") -> float | None:
    """Return whole milliseconds, at least 1 for what ran at all; None for what did not.

    What is negative or not finite stays as it is: it is refused and counted, like any such number.
    """
    if milliseconds is None or not 0 <= milliseconds < math.inf:
        return milliseconds
    return max(1, round(milliseconds))


def count_bucket(count: int) -> str:
    """Return the bucket of a number of turns or tools."""
    return next((bucket for upper, bucket in _COUNT_BUCKETS if count <= upper), "13_plus")


def server_bucket(count: int) -> str:
    """Return the bucket of a number of MCP servers."""
    return next((bucket for upper, bucket in _SERVER_BUCKETS if count <= upper), "4_plus")


def engine_of(mode: object, layers: "Iterable[object]" = ()) -> "dict[str, object]":
    """Return `engine` and `provider` of a provider mode; in a pipeline the first layer's vendor."""
    if not _is_given(mode):
        return {"engine": None, "provider": None}
    # A mode that is none of ours is something, like any value that is not in its set.
    engine, provider = _MODES.get(lower_text(mode), ("other", "other"))
    if engine == "pipeline":
        provider = vendor_of(next(filter(_is_given, layers), None))
    return {"engine": engine, "provider": provider}


def record_call_started(
    telemetry: "RecordsEvents | None",
    *,
    provider_mode: str | None = None,
    telephony_provider: str | None = None,
    direction: str | None = None,
    call_uid: str | None = None,
) -> None:
    """Record that a call's media began. Never raises; without `telemetry` does nothing."""
    if telemetry is None:
        return
    try:
        telemetry.record(
            "call_started",
            **engine_of(provider_mode),
            carrier=telephony_provider,
            direction=_direction(direction),
            call_uid=call_uid,
        )
    except BaseException as error:  # the public boundary: telemetry is never the call's error
        if is_ctrl_c(error):
            raise
        return


def record_call_completed(
    telemetry: "RecordsEvents | None",
    *,
    outcome: str,
    metrics: object = None,
    carrier: str | None = None,
    direction: str | None = None,
    call_uid: str | None = None,
) -> None:
    """Record that a call ended, from the host library's own metrics of it.

    `metrics` may lack any attribute; what it lacks is left out. Never raises.
    """
    if telemetry is None:
        return
    try:
        telemetry.record(
            "call_completed",
            carrier=carrier if _is_given(carrier) else _get(metrics, "telephony_provider"),
            direction=_direction(direction),
            call_uid=call_uid,
            **_ending_of(outcome, metrics),
            **_measures_of(metrics),
        )
    except BaseException as error:  # the public boundary: telemetry is never the call's error
        if is_ctrl_c(error):
            raise
        return


def _direction(direction: object) -> object:
    text = lower_text(direction)
    return text if text in _DIRECTIONS else None


def _ending_of(outcome: object, metrics: object) -> "dict[str, object]":
    code = _get(metrics, "error_code")
    if _is_given(code):
        end = ending(connected=True, error_code=lower_text(code), code_layers=_METRICS_CODE_LAYERS)
        return {**end.dimensions(), "error_code": code}
    said = lower_text(outcome)
    if said in ("no_answer", "busy"):
        return ending(connected=False, unanswered=said).dimensions()
    if said == "completed":
        return ending(connected=True).dimensions()
    if said == "failed" and metrics is None:
        # So the host library says it from its carrier's callbacks.
        return ending(connected=False, error_code="other", error_stage="carrier").dimensions()
    if said in ("error", "failed"):
        # Without a code nothing is known about where.
        return ending(connected=said == "error", error_code="other").dimensions()
    return {"outcome": outcome, "error_layer": "other", "disconnect_reason": "other"}


def _measures_of(metrics: object) -> "dict[str, object]":
    if metrics is None:
        return {}
    layers = [_get(metrics, f"{layer}_provider") for layer in ("llm", "stt", "tts")]
    measures: dict[str, object] = {
        **engine_of(_get(metrics, "provider_mode"), layers),
        "duration_seconds": _get(metrics, "duration_seconds"),
        "cost_usd": _get(_get(metrics, "cost"), "total"),
        "turn_count_bucket": _count_of(_get(metrics, "turns")),
    }
    p95 = _get(metrics, "latency_p95")
    for theirs, dimension in _LATENCIES.items():
        measures[dimension] = _latency(_get(p95, theirs))
    return measures


def _count_of(turns: object) -> str | None:
    try:
        return count_bucket(len(turns))  # type: ignore[arg-type] # what has no length is caught
    except BaseException as error:  # as is a length that raises
        if is_ctrl_c(error):
            raise
        return None


def _latency(value: object) -> object:
    """Return a latency of the host's, None for 0: so the host says that the stage did not run.

    What is no number is refused and counted on the worker.
    """
    number = plain_number(value)
    if number is None:
        return value
    return None if number == 0 else whole_ms(number)


def _is_given(value: object) -> bool:
    """Return whether the host gave a value; an empty string is none."""
    return value is not None and not (issubclass(type(value), str) and not plain_text(value))


def _get(owner: object, name: str) -> "object":
    """Return an attribute, None if there is none or asking for it fails."""
    try:
        return getattr(owner, name, None)
    except BaseException as error:  # a property of the host may raise anything
        if is_ctrl_c(error):
            raise
        return None
