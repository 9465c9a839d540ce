"""The example: what a start, an agent and a call would send from this machine, sending nothing.

What the machine says (its system, its deploy shape, the install's age) is real and found by the
functions that the client uses. What only a program can say (carrier, stack, how a call went) is
the program below; a test holds it to what that program really sends.

    phone = Patter(carrier="twilio")
    agent = phone.agent(stt="deepgram/nova-3", llm="openai/gpt-4o", tts="elevenlabs/eleven_flash_v2_5")
    with phone.call(direction="inbound", agent=agent) as call: ...   # two turns of conversation
"""  # noqa: E501 - a program is read as it would be written

from getpatter.telemetry import env, events, install_id
from getpatter.telemetry.call_metrics import count_bucket, ending, engine_of
from getpatter.telemetry.delivery import transport
from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.gate import Gate, ratio
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.stack import stack_dimensions
from getpatter.telemetry.startup import shape, startup_records

__all__ = ["Example"]

_CARRIER = "twilio"
_STACK = {
    "stt": "deepgram/nova-3",
    "tts": "elevenlabs/eleven_flash_v2_5",
    "llm": "openai/gpt-4o",
}
_CALL = {
    "latency_ms": 900,
    "duration_seconds": 42,
    "cost_usd": 0.0213,
    "turn_count_bucket": count_bucket(2),
    "stt_latency_ms": 180,
    "llm_ttft_ms": 420,
    "tts_first_byte_ms": 160,
    "eou_latency_ms": 240,
}
# A rate at which none of so many runs keeps its calls is shown without any.
_TRIES = 10_000


class Example:
    """The events of the example, as this machine would send them now. Writes nothing."""

    def __init__(self, sdk_version: str) -> None:
        environ = env.process_environment()
        state = install_id.open_state(environ, writable=False)
        self.is_new_install = state.known_id() is None
        self.age = state.age_seconds()
        self.rate = env.Settings.load(environ).sample_rate
        dimensions = shape(environ, carrier=_CARRIER, tunnel="none")
        start = startup_records("sdk_initialized", dimensions, state, sdk_version, self.age) or []
        common = events.common_fields(sdk_version, state.install_id(install_id.new_id()), environ)
        common["run_id"] = _kept_run(self.rate)
        builder = events.Builder(
            common,
            Gate(str(common["run_id"]), self.rate),
            Losses(),
            age=self.age,
            asked=0.0,
        )
        built = [builder.build(name, dimensions, 0.0) for name, dimensions in [*start, *_run()]]
        self.events = [event for event in built if event is not None]

    @property
    def body(self) -> str:
        """The body of the request, byte for byte."""
        return events.encode(self.events).decode("ascii")

    def headers(self) -> dict[str, str]:
        """The headers of the request; its key is made anew each time."""
        first = self.events[0]
        batch = Batch(
            self.events,
            install_id.new_id(),
            0.0,
            {},
            rate=self.rate,
            version=str(first["sdk_version"]),
        )
        return transport.request_headers(batch, 0.0)


def _kept_run(rate: float) -> str:
    """Return the id of a run that keeps its calls at `rate`, where one can be found."""
    run = install_id.run_id()
    for _ in range(_TRIES if 0 < rate < 1 else 0):
        if ratio(run) < rate:
            break
        run = install_id.new_id()
    return run


def _run() -> "list[tuple[str, dict[str, object]]]":
    """Return what the agent and the call of the example record."""
    stack = stack_dimensions(_STACK["stt"], _STACK["tts"], _STACK["llm"])
    engine = engine_of("pipeline", [stack[f"{layer}_provider"] for layer in ("llm", "stt", "tts")])
    agent: dict[str, object] = {
        "builtin_tool_count": 0,
        "custom_tool_count_bucket": "0",
        "mcp_server_count_bucket": "0",
        "integration": "none",
        "integration_kind": "none",
        "noise_reduction": "none",
        "turn_detection": "default",
        "preambles_used": False,
        "per_tool_timeouts_set": False,
        "llm_fallback_configured": False,
    }
    call = {
        **engine,
        "carrier": _CARRIER,
        "direction": "inbound",
        "call_uid": install_id.new_id(),
    }
    end = ending(connected=True, hung_up="remote").dimensions()
    return [
        ("feature_used", {**engine, "carrier": _CARRIER, **stack}),
        ("agent_configured", agent),
        ("call_started", call),
        ("call_completed", {**call, **end, **_CALL}),
    ]
