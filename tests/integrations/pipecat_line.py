"""A bot on real Pipecat behind a carrier's media stream: real worker, transport and serializer.

Only the three services are small: each answers at once, and measures as Pipecat's own do.
"""

import asyncio
import base64
import importlib
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import uvicorn
import websockets
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.llm_service import LLMService
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner

#: Categories, and services that become unusable, came with 1.8.
ErrorCategory: Any = None
with suppress(ImportError):
    ErrorCategory = importlib.import_module("pipecat.utils.errors").ErrorCategory

RATE = 8000
_LOUD, _QUIET = b"\x80" * 160, b"\xff" * 160
CANARY = "canary-4f1d"


class Ears(FrameProcessor):
    """A VAD by loudness, and the turn that it ends."""

    def __init__(self) -> None:
        super().__init__()
        self._speaks = False

    async def process_frame(self, frame: Any, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            is_loud = any(frame.audio)
            if is_loud and not self._speaks:
                self._speaks = True
                await self.broadcast_frame(VADUserStartedSpeakingFrame)
                await self.broadcast_frame(UserStartedSpeakingFrame)
                await self.broadcast_frame(InterruptionFrame)
            elif not is_loud and self._speaks:
                self._speaks = False
                await self.broadcast_frame(VADUserStoppedSpeakingFrame, stop_secs=0.02)
        await self.push_frame(frame, direction)


class Recogniser(STTService):
    def can_generate_metrics(self) -> bool:
        return True

    async def run_stt(self, audio: bytes) -> Any:  # noqa: ARG002 # it is told when to answer
        yield None

    async def process_frame(self, frame: Any, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        is_end = isinstance(frame, VADUserStoppedSpeakingFrame)
        if is_end and direction == FrameDirection.DOWNSTREAM:
            said = TranscriptionFrame(CANARY, CANARY, "2026-01-01T00:00:00Z", finalized=True)
            await self.push_frame(said)
            await self.broadcast_frame(UserStoppedSpeakingFrame)


class Answers:
    """Answers what was heard at once; each language model here does."""

    #: What the test has it do instead.
    instead: Callable[[Any], Awaitable[None]] | None = None

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self: Any, frame: Any, direction: FrameDirection) -> None:
        await LLMService.process_frame(self, frame, direction)
        if not isinstance(frame, TranscriptionFrame):
            await self.push_frame(frame, direction)
        elif self.instead is not None:
            await self.instead(self)
        else:
            await self.push_frame(LLMFullResponseStartFrame())
            await self.start_ttfb_metrics()
            await asyncio.sleep(0.02)
            await self.stop_ttfb_metrics()
            await self.push_frame(LLMTextFrame(f"{CANARY}."))
            await self.push_frame(LLMFullResponseEndFrame())


class Model(Answers, LLMService):
    """A language model of the host's own."""


class Live(Answers, OpenAIRealtimeLLMService):
    """A speech-to-speech service that is not connected."""

    async def _connect(self) -> None:
        pass


class Voice(TTSService):
    #: How much it says, in seconds.
    seconds = 0.1

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> Any:  # noqa: ARG002 # a tone for any text
        await self.start_ttfb_metrics()
        await asyncio.sleep(0.02)
        await self.stop_ttfb_metrics()
        for _ in range(int(self.seconds / 0.02)):
            yield TTSAudioRawFrame(b"\x10\x20" * 160, RATE, 1, context_id=context_id)


class Frames(BaseObserver):
    """Every frame that is pushed, for the comparison, and Pipecat's own figures."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ttfb: dict[str, list[float]] = {}
        self.stopped = asyncio.Event()
        self._seen: set[int] = set()

    async def on_push_frame(self, data: Any) -> None:
        frame = data.frame
        if frame.id in self._seen:
            return
        self._seen.add(frame.id)
        kind = type(frame).__name__
        if kind == "BotStartedSpeakingFrame":
            self.stopped.clear()
        elif kind == "BotStoppedSpeakingFrame":
            self.stopped.set()
        if "Audio" not in kind:
            self.names.append(kind)
        if kind == "MetricsFrame":
            for each in frame.data:
                if type(each).__name__ == "TTFBMetricsData" and each.value > 0:
                    self.ttfb.setdefault(type(data.source).__name__, []).append(each.value)


class Bot:
    """One call: what `serve` makes when the carrier connects."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.model: Any = Model()
        self.voice = Voice(sample_rate=RATE, push_stop_frames=True, stop_frame_timeout_s=0.1)
        self.frames = Frames()
        self.worker: Any = None
        self.transport: Any = None
        self.attach: Callable[[Bot], object] | None = None
        self.params = PipelineParams()
        self.done = asyncio.Event()

    async def run(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()  # connected
        start = json.loads(await websocket.receive_text())
        serializer = TwilioFrameSerializer(
            start["start"]["streamSid"],
            params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
        )
        self.transport = FastAPIWebsocketTransport(
            websocket,
            FastAPIWebsocketParams(
                audio_in_enabled=True, audio_out_enabled=True, serializer=serializer
            ),
        )
        services = [Ears(), Recogniser(sample_rate=RATE), self.model, self.voice]
        ends = [self.transport.input(), *services, self.transport.output()]
        params = self.params
        params.audio_in_sample_rate = params.audio_out_sample_rate = RATE
        self.worker = PipelineWorker(
            Pipeline(ends), params=params, observers=[self.frames], **self.options
        )
        if self.attach is not None:
            self.attach(self)
        try:
            runner = WorkerRunner(handle_sigint=False)
            await runner.add_workers(self.worker)
            await runner.run()
        finally:
            self.done.set()


class Caller:
    """The carrier's side of a media stream."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.heard = asyncio.Event()
        self.gone = asyncio.Event()
        #: By its own clock, when it fell silent and when it was answered.
        self.silent_at = self.heard_at = 0.0
        self._task = asyncio.create_task(self._listen())

    async def begin(self) -> None:
        await self._say({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {"streamSid": f"MZ{CANARY}", "callSid": f"CA{CANARY}", "tracks": ["inbound"]}
        await self._say({"event": "start", "streamSid": f"MZ{CANARY}", "start": start})

    async def speak(self) -> None:
        self.heard.clear()
        for sound in (*[_LOUD] * 10, *[_QUIET] * 10):
            if sound is _LOUD:
                self.silent_at = time.monotonic() + 0.02
            payload = base64.b64encode(sound).decode()
            media = {"track": "inbound", "payload": payload}
            await self._say({"event": "media", "streamSid": f"MZ{CANARY}", "media": media})
            await asyncio.sleep(0.02)  # the pace of a line

    async def _say(self, message: dict[str, Any]) -> None:
        with suppress(websockets.ConnectionClosed):  # who is hung up on speaks on for a moment
            await self._socket.send(json.dumps(message))

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                if json.loads(message).get("event") == "media" and not self.heard.is_set():
                    self.heard_at = time.monotonic()
                    self.heard.set()
        except websockets.ConnectionClosed:
            pass
        finally:
            self.gone.set()

    async def hang_up(self) -> None:
        await self._socket.close()
        await self._task


async def call(bot: Bot, talk: Callable[[Caller, Bot], Awaitable[None]]) -> None:
    """Serve one call on this machine, and have a caller talk."""
    app = FastAPI()

    @app.websocket("/media")
    async def media(websocket: WebSocket) -> None:
        await bot.run(websocket)

    async def wait(caller: Caller) -> None:
        try:
            await caller.begin()
            await talk(caller, bot)
            await asyncio.wait_for(bot.done.wait(), 20)
        finally:
            # What has failed must not leave a pipeline behind that nothing ends.
            if bot.worker is not None:
                await bot.worker.cancel()

    await serve(app, wait)


async def serve(app: FastAPI, talk: Callable[[Caller], Awaitable[None]]) -> None:
    """Serve an application on this machine while a caller talks to it."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 # it has no event for that
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with websockets.connect(f"ws://127.0.0.1:{port}/media") as socket:
            await talk(Caller(socket))
    finally:
        server.should_exit = True
        await serving


async def fail(model: Any, *, fatal: bool) -> None:
    """An error as a service reports it that has lost its credentials."""
    try:
        int(CANARY)
    except ValueError as raised:
        error = ErrorFrame(f"key {CANARY} is not valid", processor=model, exception=raised)
    error.fatal = fatal
    if ErrorCategory is not None:
        error.category = ErrorCategory.AUTHENTICATION
    await model.push_error_frame(error)
