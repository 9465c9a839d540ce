"""A LiveKit agent that plays a tone to whoever calls, and its calls.

    pip install 'getpatter[livekit]'
    export LIVEKIT_URL=… LIVEKIT_API_KEY=… LIVEKIT_API_SECRET=…
    python livekit_agent.py dev

It needs no account of a speech service. Name yours in `AgentSession(stt=…, llm=…, tts=…)`.
"""

import math
from array import array
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli

from getpatter import Patter
from getpatter.calls import JsonLinesSink
from getpatter.integrations.livekit import observe

phone = Patter(carrier="none")
phone.diagnostics.attach(JsonLinesSink("calls.jsonl"))  # getpatter calls list calls.jsonl
server = AgentServer()

RATE = 24_000


async def tone() -> AsyncIterator[rtc.AudioFrame]:
    """Make half a second of sound, in place of a voice."""
    wave = (int(8_000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(RATE // 2))
    samples = array("h", wave)
    yield rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples))


class Tone(Agent):
    """Stands for your agent."""

    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        """Greet."""
        self.session.say("beep", audio=tone())


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Run one call: LiveKit starts a process for it."""
    session: AgentSession[None] = AgentSession()
    observe(session, phone)
    await session.start(Tone(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
