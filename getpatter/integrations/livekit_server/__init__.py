"""Webhooks of a LiveKit server: verified, and emitted as rooms of call diagnostics.

`from getpatter.integrations.livekit_server import LiveKitWebhooks`. Imports nothing of LiveKit.
"""

from getpatter.integrations.livekit_server.receiver import LiveKitWebhooks

__all__ = ["LiveKitWebhooks"]
