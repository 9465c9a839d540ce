"""An agent on a real `AgentSession`, with a line to talk to it: its engines are small and local.

Each is derived from LiveKit's base class, answers at once, and is measured by LiveKit itself.
"""

import asyncio
import inspect
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, llm, stt, tts, vad
from livekit.agents.voice import io
from livekit.agents.voice.agent_session import SessionConnectOptions

CANARY = "canary-4f1d"
RATE = 16000
_SAMPLES = RATE // 50  # 20 ms
_LOUD, _QUIET = b"\x00\x40" * _SAMPLES, bytes(2 * _SAMPLES)


def _is_loud(frame: rtc.AudioFrame) -> bool:
    return any(frame.data)


class Ears(vad.VAD):
    """A VAD by loudness."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.02))

    def stream(self) -> vad.VADStream:
        return _EarsStream(self)


class _EarsStream(vad.VADStream):
    async def _main_task(self) -> None:
        speech = silence = 0.0
        speaks = False
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            is_loud = _is_loud(frame)
            speech, silence = (speech + 0.02, 0.0) if is_loud else (speech, silence + 0.02)
            kinds = [vad.VADEventType.INFERENCE_DONE]
            if is_loud and not speaks:
                speaks = True
                kinds.insert(0, vad.VADEventType.START_OF_SPEECH)
            elif speaks and silence > 0.05:
                speaks = False
                kinds.append(vad.VADEventType.END_OF_SPEECH)
            for kind in kinds:
                said = vad.VADEvent(
                    type=kind,
                    samples_index=0,
                    timestamp=time.time(),
                    raw_accumulated_speech=0.0 if silence else speech,
                    speech_duration=speech,
                    silence_duration=silence,
                    frames=[frame],
                    speaking=speaks,
                )
                self._event_ch.send_nowait(said)
            speech = speech if speaks else 0.0


class Recogniser(stt.STT):
    """Hears the canary whenever somebody has spoken."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, *, conn_options: APIConnectOptions, **_: Any) -> stt.RecognizeStream:
        return _RecogniserStream(stt=self, conn_options=conn_options)


class _RecogniserStream(stt.RecognizeStream):
    async def _run(self) -> None:
        speaks, quiet = False, 0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            is_loud = _is_loud(frame)
            quiet = 0 if is_loud else quiet + 1
            if is_loud and not speaks:
                speaks = True
                self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH))
            elif speaks and quiet > 5:
                speaks = False
                heard = stt.SpeechData(language="en", text=CANARY, confidence=1.0)
                final = stt.SpeechEventType.FINAL_TRANSCRIPT
                self._event_ch.send_nowait(stt.SpeechEvent(final, alternatives=[heard]))
                self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH))


class Model(llm.LLM):
    """Answers the canary, or does what the test has it do instead."""

    def __init__(self) -> None:
        super().__init__()
        self.instead: Callable[[], None] | None = None

    def chat(
        self, *, chat_ctx: Any, tools: Any = None, conn_options: Any, **_: Any
    ) -> llm.LLMStream:
        return _ModelStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _ModelStream(llm.LLMStream):
    async def _run(self) -> None:
        model: Any = self._llm
        if model.instead is not None:
            model.instead()
        await asyncio.sleep(0.02)
        delta = llm.ChoiceDelta(role="assistant", content=f"My {CANARY} is on its way to you.")
        self._event_ch.send_nowait(llm.ChatChunk(id=uuid.uuid4().hex, delta=delta))


class Voice(tts.TTS):
    """A tone for any text, as long as `seconds`."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )
        self.seconds = 0.1
        self.instead: Callable[[], None] | None = None

    def synthesize(self, text: str, *, conn_options: Any = None) -> tts.ChunkedStream:
        return _VoiceStream(tts=self, input_text=text, conn_options=conn_options)


class _VoiceStream(tts.ChunkedStream):
    async def _run(self, output_emitter: Any) -> None:
        voice: Any = self._tts
        if voice.instead is not None:
            voice.instead()
        await asyncio.sleep(0.02)
        output_emitter.initialize(
            request_id=uuid.uuid4().hex, sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(b"\x10\x20" * int(RATE * voice.seconds))
        output_emitter.flush()


class Line(io.AudioInput):
    """What the other side says."""

    def __init__(self) -> None:
        super().__init__(label="line")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()

    async def speak(self) -> None:
        for sound in (*[_LOUD] * 10, *[_QUIET] * 10):
            self._frames.put_nowait(rtc.AudioFrame(sound, RATE, 1, _SAMPLES))
            await asyncio.sleep(0.02)  # the pace of a line


class Speaker(io.AudioOutput):
    """What the other side hears, as fast as it is spoken."""

    def __init__(self) -> None:
        super().__init__(
            label="speaker",
            capabilities=io.AudioOutputCapabilities(pause=False),
            next_in_chain=None,
            sample_rate=RATE,
        )
        self.heard = asyncio.Event()
        self._seconds = 0.0
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self._began = time.time()
            if hasattr(self, "on_playback_started"):  # it came with 1.4
                self.on_playback_started(created_at=self._began)
            self.heard.set()
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._seconds and self._timer is None:
            left = max(0.0, self._began + self._seconds - time.time())
            self._timer = asyncio.get_running_loop().call_later(left, self._finish, False)

    def clear_buffer(self) -> None:
        if self._seconds:
            if self._timer is not None:
                self._timer.cancel()
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        position = min(self._seconds, time.time() - self._began)
        self._seconds, self._timer = 0.0, None
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


class Bot:
    """One conversation: the session, its engines, its ends and what LiveKit said of it."""

    def __init__(self) -> None:
        self.model, self.voice, self.line, self.speaker = Model(), Voice(), Line(), Speaker()
        retry = APIConnectOptions(max_retry=1, retry_interval=0.01)
        # For its first seconds a new version lets nobody interrupt the agent, because of echoes.
        has_warmup = "aec_warmup_duration" in inspect.signature(AgentSession).parameters
        options: dict[str, Any] = {"aec_warmup_duration": None} if has_warmup else {}
        self.session: AgentSession[None] = AgentSession(
            vad=Ears(),
            stt=Recogniser(),
            llm=self.model,
            tts=self.voice,
            min_endpointing_delay=0.1,
            min_interruption_duration=0.1,
            conn_options=SessionConnectOptions(
                stt_conn_options=retry,
                llm_conn_options=retry,
                tts_conn_options=retry,
                max_unrecoverable_errors=0,
            ),
            **options,
        )
        self.items: list[Any] = []
        self.closed = asyncio.Event()
        self._added = asyncio.Event()
        self.session.input.audio, self.session.output.audio = self.line, self.speaker
        self.session.on("conversation_item_added", self._add)
        self.session.on("close", lambda _: self.closed.set())

    def _add(self, event: Any) -> None:
        if event.item.type == "message":
            self.items.append(event.item)
            self._added.set()

    async def start(self) -> None:
        await self.session.start(Agent(instructions=CANARY))

    async def items_of(self, role: str, count: int) -> list[Any]:
        """Return the items of a role once there are so many."""
        while len(found := [each for each in self.items if each.role == role]) < count:
            self._added.clear()
            await asyncio.wait_for(self._added.wait(), 20)
        return found

    async def turn(self) -> None:
        """Have the other side speak, and wait until the agent is heard."""
        self.speaker.heard.clear()
        await self.line.speak()
        await asyncio.wait_for(self.speaker.heard.wait(), 20)


def talk(make: Callable[[Bot], Awaitable[None]]) -> Bot:
    """Run one conversation in an event loop of its own."""

    async def main() -> Bot:
        bot = Bot()
        await make(bot)
        # LiveKit 1.3 never closes a session that has just spoken and does not know it yet.
        while bot.session.current_speech is not None:  # noqa: ASYNC110 # it has no event for that
            await asyncio.sleep(0.01)
        await bot.session.aclose()
        return bot

    return asyncio.run(main())
