"""For tests and the demo: a collector on the loopback interface, a capture and a proof of silence.

`Receiver` takes and judges what a client sends, `Capture` is what the pytest fixture
`getpatter_telemetry` hands out, `assert_silent` proves that code leaves no trace.
"""

from getpatter.telemetry.testing.capture import Capture
from getpatter.telemetry.testing.exchange import Answer, Request
from getpatter.telemetry.testing.receiver import Receiver, Refusal
from getpatter.telemetry.testing.silence import assert_silent

__all__ = ["Answer", "Capture", "Receiver", "Refusal", "Request", "assert_silent"]
