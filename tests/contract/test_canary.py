"""Canaries in every argument of every public function: none is in the bytes that leave."""

import json
import re

from conftest import Run

from getpatter.telemetry.testing import Receiver

CANARIES = [
    "+15550142424",
    "sk-canary-5Jx0q",
    "/home/canary/secret.wav",
    "Jane Canary",
    "jane.canary@example.com",
    "https://canary.example/hook?token=canary",
    "canary",
    "canary-1.2",
]

# What the program cannot do is no error of this test; what leaves is.
PROGRAM = """
import json
from contextlib import suppress
from types import SimpleNamespace
from getpatter import Call, Patter
from getpatter.calls import NullHub
from getpatter.calls.callbacks.host_events import HostEvents
from getpatter.calls.switchboard import Switchboard
from getpatter.telemetry import TelemetryClient, call_metrics, stack

clients = []

class Layer:
    def __init__(self, canary):
        self.provider_key = self.model = self.model_id = self._model = canary
        self.api_key = self.voice = canary

def tryout(function, /, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception:
        return None

def use(patter, canary):
    agents = [
        tryout(patter.agent, engine="pipeline", **{name: value})
        for name, value in {
            "stt": canary, "tts": f"openai/{canary}", "llm": f"{canary}/gpt-4o",
            "tools": [canary, {"name": canary, "timeout": 1}], "mcp_servers": [canary],
            "integration": canary, "noise_reduction": canary, "turn_detection": canary,
            "preambles": canary, "llm_fallback": canary,
        }.items()
    ]
    agents.append(tryout(patter.agent, stt=Layer(canary), tts=Layer(canary), llm=Layer(canary)))
    tryout(patter.agent, engine=canary)
    for agent in filter(None, agents):
        call = patter.call(direction=canary, agent=agent)
        call.turn()
        call.end()
    for act in (
        lambda call: call.hangup(canary),
        lambda call: call.error(canary),
        lambda call: call.error("timeout", canary),
        lambda call: call.cost(canary),
        lambda call: tryout(call.observe, canary, 1.0),
        lambda call: tryout(call.observe, "stt", canary),
    ):
        call = patter.call(direction="inbound")
        call.turn()
        tryout(act, call)
        tryout(call.end)
    for stage in (canary, "stt"):
        with suppress(RuntimeError), patter.call(direction="inbound") as call:
            call.turn()
            with call.stage(stage):
                raise RuntimeError(canary)
    with suppress(RuntimeError), patter.call(direction="inbound") as call:
        call.answer()
        raise type(canary, (RuntimeError,), {})(canary)

for canary in CANARIES:
    number = int("".join(filter(str.isdigit, canary)) or 1)
    for arguments in (
        {"carrier": canary},
        {"carrier": "twilio", "phone_number": canary, "credentials": {
            "TWILIO_ACCOUNT_SID": canary, "TWILIO_AUTH_TOKEN": canary, canary: canary}},
        {"carrier": "none", "tunnel": canary, "llm": canary},
        {"carrier": "none", "engine": canary},
        {"carrier": "none", "credentials": {"OPENAI_API_KEY": canary}, "engine": "realtime"},
    ):
        patter = tryout(Patter, **arguments)
        if patter is not None:
            clients.append(patter.telemetry)
            use(patter, canary)

    client = TelemetryClient(sdk_version=canary)
    clients.append(client)
    client.record(canary)
    for name in EVENTS:
        for dimension in DIMENSIONS:
            for value in (canary, [canary], {canary: canary}, number, canary.encode()):
                client.record(name, **{dimension: value})
            client.flush(5)
        client.record(name, **{canary: canary})
        client.record(name, **{canary: 1})
    call_metrics.record_call_started(
        client, provider_mode=canary, telephony_provider=canary, direction=canary, call_uid=canary)
    for outcome in (canary, "completed", "error"):
        call_metrics.record_call_completed(
            client, outcome=outcome, carrier=canary, direction=canary, call_uid=canary,
            metrics=SimpleNamespace(
                provider_mode=canary, telephony_provider=canary, llm_provider=canary,
                stt_provider=canary, tts_provider=canary, duration_seconds=canary,
                turns=[canary], cost=SimpleNamespace(total=canary), error_code=canary,
                latency_p95=SimpleNamespace(
                    agent_response_ms=canary, stt_ms=canary, llm_ttft_ms=canary,
                    tts_ms=canary, endpoint_ms=canary)))
    layers = stack.stack_dimensions(canary, Layer(canary), f"openai/{canary}")
    client.record("feature_used", **layers)
    board = Switchboard(NullHub(), HostEvents())
    call = Call(client, {"carrier": canary, canary: canary}, board)
    call.turn()
    call.end()

for client in clients:
    assert client.flush(20)
print(json.dumps([client.stats() for client in clients]))
"""


def test_no_canary_is_in_the_bytes_that_leave(run: Run, receiver: Receiver) -> None:
    from getpatter.telemetry.events import ALLOWED_DIMENSIONS

    dimensions = sorted(set().union(*ALLOWED_DIMENSIONS.values()))
    head = (
        f"CANARIES = {CANARIES!r}\nEVENTS = {sorted(ALLOWED_DIMENSIONS)!r}\n"
        f"DIMENSIONS = {dimensions!r}\n"
    )
    done = run(
        head + PROGRAM,
        timeout=120,
        CANARY="sk-canary-5Jx0q",
        OPENAI_API_KEY="sk-canary-5Jx0q",
        PATTER_PHONE_NUMBER="+15550142424",
        PATTER_TELEMETRY_ENDPOINT=receiver.endpoint.replace("//", "//canary:canary@"),
    )
    assert done.returncode == 0, done.stderr
    assert len(receiver.events) > 1_000
    assert receiver.refused == []
    leaked = re.compile(b"canary|15550142424|5Jx0q|jane|sk-c", re.IGNORECASE)
    for request in receiver.requests:
        head_of_it = f"{request.method} {request.path}\n{request.headers}".encode()
        assert not leaked.search(head_of_it), head_of_it
        body = json.dumps(request.events).encode()
        found = leaked.search(body)
        assert not found, body[max(0, found.start() - 200) : found.end() + 50]
    assert not leaked.search(done.stdout.encode())
    assert not leaked.search(done.stderr.encode())
