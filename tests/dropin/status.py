"""What the library's server does with what its carrier says of calls: the test plays the carrier.

Runs inside the library's program, after `dropin_library.PROGRAM`. What is posted is Twilio's public
status callback, signed as Twilio signs it.
"""

import asyncio
import socket
import urllib.parse
import urllib.request
from typing import Any

from twilio.request_validator import RequestValidator

STATUS = "/webhooks/twilio/status"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _post(port: int, number: int, status: str) -> int:
    said = {
        "CallSid": f"CA{number:032x}",
        "AccountSid": "AC" + "0" * 32,
        "From": "+15550001234",
        "To": "+15550009999",
        "CallStatus": status,
        "Direction": "outbound-api",
    }
    url = f"https://example.invalid{STATUS}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{STATUS}",
        urllib.parse.urlencode(said).encode(),
        {"X-Twilio-Signature": RequestValidator("1" * 32).compute_signature(url, said)},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own URL
        return int(answer.status)


async def say_statuses(phone: Any, agent: Any, statuses: list[str]) -> None:
    """Serve, say each status of a call of its own, and stop serving."""
    port = _free_port()
    serving = asyncio.create_task(phone.serve(agent, port=port, dashboard=False))
    await phone.ready
    for number, status in enumerate(statuses):
        print(status, await asyncio.to_thread(_post, port, number, status))
    await phone.disconnect()
    await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 20)
