"""A call without any carrier: what the host object measures, and what is left of it for telemetry.

Run it with `PATTER_TELEMETRY_DEBUG=1` to see the events; then nothing is sent.
"""

import time

from getpatter import Patter

phone = Patter(carrier="none", engine="pipeline")
agent = phone.agent(stt="deepgram/nova-3", llm="my-rules", tts="cartesia")

with phone.call(direction="inbound", agent=agent) as call:
    call.answer()
    for _ in range(3):
        call.turn()  # the caller has finished speaking
        with call.stage("stt"):
            time.sleep(0.02)  # stands for the recogniser
        with call.stage("llm") as stage:
            time.sleep(0.05)
            stage.first()  # the first token: what follows is not latency
        with call.stage("tts") as stage:
            time.sleep(0.03)
            stage.first()
    call.hangup("remote")

print("The call has ended; telemetry says so, and the program goes on.")
