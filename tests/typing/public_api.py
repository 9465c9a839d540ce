"""What a user's type checker must accept, and refuse; checked by mypy, never run."""

from getpatter import Call, Patter
from getpatter.calls import Event, Hub, JsonLinesSink, Result, UserAction
from getpatter.telemetry import TelemetryClient, build_event, is_enabled
from getpatter.telemetry.testing import Receiver

phone: Patter = Patter(carrier="none", engine="pipeline", telemetry=False)
with phone.call(direction="inbound", agent=phone.agent()) as call:
    known: Call = call
    call.turn()
    with call.stage("llm") as stage:
        stage.first()
    call.hangup("remote")
    call.hangup("both")  # type: ignore[arg-type]
    call.stage("thinking")  # type: ignore[arg-type]

    answer: Result = call.leave(UserAction("HANGUP"))
    call.leave("a reason of ours")
    call.leave(7)  # type: ignore[arg-type]
    stage_id: str = call.reporter.begin("ws_join")
    call.reporter.begin("thinking")  # type: ignore[arg-type]
    done: bool = bool(call.reporter.complete(stage_id, "SFU_ERROR", reason="503"))
    answered: Result = call.event("participant_active", "alice", {"owner": "media"}, notify=False)
    call.event("participant_active", 5)  # type: ignore[arg-type]
    call.sample("alice", {"track": "mic", "direction": "up", "packets": 50})
    call.connection("alice", fabric_state="disrupted")
    call.on("stats", print)
    call.on("stats", 5)  # type: ignore[arg-type]
    taken: bool = call.emitter("tool").emit("looked.up", {"what": "weather"}, turn_id="1")


def seen(event: Event) -> None:
    """Be a callback."""


phone.on("init", print)
phone.precall_test(["localhost:9"], probes=1)
phone.set_stats_interval(5)
phone.event("webhook", {"event": "delivered"})

hub = Hub(JsonLinesSink("calls.jsonl"), seen)
hub.attach(3)  # type: ignore[arg-type]
Patter(carrier="none", diagnostics=hub)
Patter(carrier="none", diagnostics=True)  # type: ignore[arg-type]

client = TelemetryClient(sdk_version="1.0", flag=None)
client.record("call_completed", outcome="completed", cost_usd=0.1)
TelemetryClient("1.0")  # type: ignore[call-arg]
enabled: bool = is_enabled() and client.enabled
event: dict[str, object] = build_event("first_run", sdk_version="1.0")

with Receiver() as receiver:
    events = receiver.wait_for(1)
    endpoint: str = receiver.endpoint
