"""A program on LiveKit's real server: each job is a process of its own, and ends in another way."""

import asyncio
import importlib
import signal
import sys
from collections.abc import Iterable
from typing import Any

from livekit.agents import Agent, AgentServer, AgentSession
from livekit_bot import CANARY

from getpatter import Patter
from getpatter.integrations.livekit import observe

# How a job ends → the carrier of its call, by which the test knows it.
ENDS: dict[str, Any] = {
    "plain": "twilio",
    "shutdown": "telnyx",
    "crash": "plivo",
    "server": "none",
}

phone = Patter(carrier="none")
server = AgentServer(
    # With none, LiveKit 1.3 may wait for ever for the process of a second job.
    num_idle_processes=1,
    host="127.0.0.1",
    port=0,
    ws_url="ws://127.0.0.1:9",
    api_key=CANARY,
    api_secret=CANARY * 3,
)


@server.rtc_session()
async def entrypoint(ctx: Any) -> None:
    how = ctx.job.room.name
    session: AgentSession[None] = AgentSession()
    observe(session, phone, carrier=ENDS[how])
    await session.start(Agent(instructions=CANARY))
    if how == "plain":
        await session.aclose()
    elif how == "shutdown":
        ctx.shutdown(CANARY)
    elif how == "crash":
        raise ValueError(CANARY)


async def serve(server: AgentServer, rooms: Iterable[str]) -> None:
    """Run a job for each room, in turn, and the server until SIGTERM."""
    started, stopped = asyncio.Event(), asyncio.Event()
    server.on("worker_started", lambda *_: started.set())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    running = asyncio.create_task(server.run(unregistered=True))
    await started.wait()
    for room in rooms:
        await server.simulate_job(room, fake_job=True)
    await stopped.wait()
    await server.aclose()
    await running


if __name__ == "__main__":
    program = sys.argv[1:]
    if program:
        asyncio.run(serve(importlib.import_module(program[0]).server, program))
    else:
        asyncio.run(serve(server, ENDS))
