"""LiveKit Agents: `observe(session, phone)` makes a call of what an `AgentSession` does.

Importing this loads nothing of LiveKit; `observe` does.
"""

from getpatter.integrations.livekit.dial import dial_failed
from getpatter.integrations.livekit.observe import observe

__all__ = ["dial_failed", "observe"]
