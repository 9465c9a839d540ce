"""The event of call diagnostics: one envelope, whatever its type."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TYPE_ID", "Event"]

#: What the envelope is, and in which version; see `schemas/diagnostics/v1/event.schema.json`.
TYPE_ID = "getpatter.diagnostics/event@1"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as sinks get it: already redacted, and all of it can be written as JSON.

    `sequence` counts the events of a session from 0 as they were recorded, without a gap but for
    what was lost on the way; `timestamp_us` is the wall clock then, in microseconds.
    """

    type: str
    session: str
    node: str
    timestamp_us: int
    sequence: int
    data: dict[str, object]
    correlation_id: str | None = None
    turn_id: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the event as a JSON object; an id that is not given is left out."""
        said: dict[str, object] = {
            "type_id": TYPE_ID,
            "type": self.type,
            "session": self.session,
            "node": self.node,
            "timestamp_us": self.timestamp_us,
            "sequence": self.sequence,
        }
        if self.correlation_id is not None:
            said["correlation_id"] = self.correlation_id
        if self.turn_id is not None:
            said["turn_id"] = self.turn_id
        said["data"] = self.data
        return said
