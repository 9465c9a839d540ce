"""A whole call on this machine: the test plays the carrier for the library's own server.

Runs inside the library's program, after `dropin_library.PROGRAM`; `agent(phone)` is defined there.
What the carrier says is Twilio's public protocol: a signed webhook, then a media stream.
"""

import asyncio
import base64
import json
import re
import socket
import urllib.parse
import urllib.request
from typing import Any

import websockets  # of the library's venv
from twilio.request_validator import RequestValidator

CALL, STREAM = "CA" + "1" * 32, "MZ" + "2" * 32
VOICE = "/webhooks/twilio/voice"
SILENCE = base64.b64encode(b"\xff" * 160).decode()  # 20 ms of mu-law


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _webhook(port: int) -> str:
    said = {
        "CallSid": CALL,
        "AccountSid": "AC" + "0" * 32,
        "From": "+15550009999",
        "To": "+15550001234",
        "CallStatus": "ringing",
        "Direction": "inbound",
    }
    signature = RequestValidator("1" * 32).compute_signature(
        f"https://example.invalid{VOICE}", said
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{VOICE}",
        urllib.parse.urlencode(said).encode(),
        {"X-Twilio-Signature": signature},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own URL
        return str(answer.read().decode())


async def hold_call(phone: Any, agent: Any, *, talk: bool) -> None:
    """Serve, place one inbound call, hang up once it was answered, and stop serving."""
    ended, spoken = asyncio.Event(), asyncio.Event()

    async def on_call_start(call: dict[str, Any]) -> None:
        print("started", call["direction"], call["telephony_provider"])

    async def on_call_end(call: dict[str, Any]) -> None:
        print("ended", type(call["metrics"]).__name__, repr(call["metrics"].error_code))
        ended.set()

    port = _free_port()
    serving = asyncio.create_task(
        phone.serve(
            agent,
            port=port,
            dashboard=False,
            on_call_start=on_call_start,
            on_call_end=on_call_end,
        )
    )
    await phone.ready
    twiml = await asyncio.to_thread(_webhook, port)
    path = re.findall('<Stream url="wss://example.invalid([^"]*)"', twiml)[0]
    custom = dict(re.findall('<Parameter name="([^"]*)" value="([^"]*)"', twiml))
    async with websockets.connect(f"ws://127.0.0.1:{port}{path}") as stream:

        async def say(event: str, **more: object) -> None:
            await stream.send(json.dumps({"event": event, "streamSid": STREAM, **more}))

        async def listen() -> None:
            async for message in stream:
                if json.loads(message)["event"] == "media":
                    spoken.set()

        listening = asyncio.create_task(listen())
        await say("connected", protocol="Call", version="1.0.0")
        media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"callSid": CALL, "streamSid": STREAM, "accountSid": "AC" + "0" * 32}
        await say("start", start={**start, "customParameters": custom, "mediaFormat": media})
        if talk:
            await say("media", media={"track": "inbound", "payload": SILENCE})
            await asyncio.wait_for(spoken.wait(), 20)
            await say("stop", stop={"callSid": CALL})
        await asyncio.wait_for(ended.wait(), 20)
        listening.cancel()
    await phone.disconnect()
    await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 20)
