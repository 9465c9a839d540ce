"""A Pipecat bot behind a Twilio media stream that repeats what the caller says, and its calls.

    pip install 'getpatter[pipecat]' 'pipecat-ai[websocket]' uvicorn
    uvicorn pipecat_bot:app        # `<Stream url="wss://…/media">` points a number to it

It needs no account of a service. Put your own between the two ends of the pipeline.
"""

import json

from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from getpatter import Patter
from getpatter.calls import JsonLinesSink
from getpatter.integrations.asgi import telemetry_lifespan
from getpatter.integrations.pipecat import observe

phone = Patter(carrier="none")
phone.diagnostics.attach(JsonLinesSink("calls.jsonl"))  # getpatter calls list calls.jsonl
app = FastAPI(lifespan=telemetry_lifespan(phone.telemetry))


class Parrot(FrameProcessor):
    """Stands for your services."""

    async def process_frame(self, frame: object, direction: FrameDirection) -> None:
        """Send audio back, and pass on everything else."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    """Run one call: Twilio connects here."""
    await websocket.accept()
    await websocket.receive_text()  # the event `connected`
    start = json.loads(await websocket.receive_text())["start"]
    inputs = TwilioFrameSerializer.InputParams(auto_hang_up=False)  # that needs credentials
    params = FastAPIWebsocketParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        serializer=TwilioFrameSerializer(start["streamSid"], params=inputs),
    )
    transport = FastAPIWebsocketTransport(websocket, params)
    worker = PipelineWorker(
        Pipeline([transport.input(), Parrot(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )
    observe(worker, phone, transport=transport, carrier="twilio")

    @transport.event_handler("on_client_disconnected")
    async def left(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
