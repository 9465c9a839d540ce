"""The types of the events that the library itself emits: the one place that spells them."""

from __future__ import annotations

__all__ = [
    "ARRIVALS",
    "CALL_ANSWERED",
    "CALL_DESCRIBED",
    "CALL_ENDED",
    "CALL_JOINING",
    "CALL_STARTED",
    "CALL_TURN",
    "CALL_TURN_ANSWERED",
    "CONNECTION_ABORTED",
    "CONNECTION_CHANGED",
    "DEPARTURES",
    "ENDINGS",
    "HEALTH",
    "OF_CALLS",
    "PARTICIPANT_ACTIVE",
    "PARTICIPANT_JOINED",
    "PARTICIPANT_LEFT",
    "PARTICIPANT_RESUMED",
    "PARTICIPANT_STATS",
    "ROOM_ENDED",
    "ROOM_STARTED",
    "STAGE_COMPLETED",
    "STAGE_INITIATED",
]

CALL_STARTED = "call.started"
CALL_DESCRIBED = "call.described"
CALL_ANSWERED = "call.answered"
CALL_JOINING = "call.joining"
CALL_TURN = "call.turn"
CALL_TURN_ANSWERED = "call.turn_answered"
CALL_ENDED = "call.ended"
CONNECTION_CHANGED = "connection.changed"
STAGE_INITIATED = "stage.initiated"
STAGE_COMPLETED = "stage.completed"
#: What was lost.
HEALTH = "telemetry.health"
#: With one of these begins the type of each event that only a call has.
OF_CALLS = ("call.", "stage.")

# Of the vocabulary, those that mean more than what they say; the others stand in its table alone.
ROOM_STARTED = "room_started"
ROOM_ENDED = "room_ended"
PARTICIPANT_JOINED = "participant_joined"
PARTICIPANT_ACTIVE = "participant_active"
PARTICIPANT_RESUMED = "participant_resumed"
PARTICIPANT_LEFT = "participant_left"
CONNECTION_ABORTED = "connection_aborted"
#: What the samples of one participant amount to.
PARTICIPANT_STATS = "participant_stats"

#: A participant is there.
ARRIVALS = frozenset({PARTICIPANT_JOINED, PARTICIPANT_ACTIVE, PARTICIPANT_RESUMED})
#: A participant is gone.
DEPARTURES = frozenset({PARTICIPANT_LEFT, CONNECTION_ABORTED})
#: Events that end something. They free what it holds, so they are refused last.
ENDINGS = DEPARTURES | {ROOM_ENDED}
