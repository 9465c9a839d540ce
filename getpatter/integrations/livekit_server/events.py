"""Events: what a webhook of a LiveKit server is in the vocabulary of call diagnostics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["EVENTS", "Said", "arrivals", "departure", "media", "read", "track"]

OWNER = "livekit_webhook"
#: Event of LiveKit → kind of the vocabulary.
EVENTS = {
    "room_started": "room_started",
    "room_finished": "room_ended",
    "participant_joined": "participant_joined",
    "participant_left": "participant_left",
    "participant_connection_aborted": "connection_aborted",
    "track_published": "track_published",
    "track_unpublished": "track_unpublished",
    "egress_started": "egress_started",
    "egress_updated": "egress_updated",
    "egress_ended": "egress_ended",
    "ingress_started": "ingress_started",
    "ingress_ended": "ingress_ended",
}
# No id or reason is longer.
_LONGEST = 200
_NOTHING: Mapping[Any, object] = {}

Kind = tuple[str, dict[str, object]]


class Said(NamedTuple):
    """A webhook: its own id, its kind, and the room and the participant that it is about."""

    id: str
    kind: str
    room: str
    identity: str
    sid: str
    dropped: int
    fields: Mapping[str, object]


def read(fields: Mapping[str, object]) -> Said:
    """Read the fields of a webhook. Whatever they hold, this does not raise."""
    participant = _mapping(fields, "participant")
    sid = _text(participant, "sid")
    room = _text(_mapping(fields, "room"), "sid")
    return Said(
        _text(fields, "id"),
        EVENTS.get(_text(fields, "event"), ""),
        room or _text(_mapping(fields, "egressInfo"), "roomId"),
        _text(participant, "identity") or sid,
        sid,
        _count(fields.get("numDropped")),
        fields,
    )


def arrivals(*, is_active: bool = True) -> list[Kind]:
    """What is emitted of a participant that is there: LiveKit says so once media can flow."""
    kinds = ["participant_joined", "participant_active"] if is_active else ["participant_joined"]
    return [(kind, {"owner": OWNER}) for kind in kinds]


def departure(said: Said) -> Kind:
    """What is emitted of a participant that is gone."""
    reason = _text(_mapping(said.fields, "participant"), "disconnectReason").lower()
    return said.kind, {"owner": OWNER, **({"reason": reason} if reason else {})}


def track(said: Said) -> Kind | None:
    """What is emitted of a track; None if it has no id."""
    info = _mapping(said.fields, "track")
    sid = _text(info, "sid")
    if not sid:
        return None
    found: dict[str, object] = {"track": sid}
    if said.kind == "track_published":
        # What is the first of its kind is left out of the JSON of a server.
        found["media_type"] = (_text(info, "type") or "audio").lower()
        source, codec = _text(info, "source").lower(), _text(info, "mimeType")
        found |= {"source": source} if source else {}
        found |= {"codec": codec} if codec else {}
        found["muted"] = info.get("muted") is True
    return said.kind, found


def media(said: Said) -> Kind | None:
    """What is emitted of an egress or an ingress; None if it has no id."""
    name = said.kind.partition("_")[0]
    info = _mapping(said.fields, f"{name}Info")
    state = info if name == "egress" else _mapping(info, "state")
    words = {
        name: _text(info, f"{name}Id"),
        f"{name}_kind": _text(info, "sourceType" if name == "egress" else "inputType").lower(),
        "status": _text(state, "status").lower(),
        "error": _text(state, "error"),
        "error_code": str(_count(state.get("errorCode")) or ""),
    }
    return (said.kind, {key: word for key, word in words.items() if word}) if words[name] else None


def room_name(said: Said) -> str:
    """Return the name of the room, as its program called it."""
    return _text(_mapping(said.fields, "room"), "name")


def room_reason(said: Said) -> str:
    """Return why a room ended."""
    return _text(said.fields, "roomEndReason").lower()


def _text(fields: Mapping[Any, object], name: str) -> str:
    value = fields.get(name)
    return str.__str__(value)[:_LONGEST] if isinstance(value, str) else ""


def _mapping(fields: Mapping[Any, object], name: str) -> Mapping[Any, object]:
    value = fields.get(name)
    return value if isinstance(value, Mapping) else _NOTHING


def _count(value: object) -> int:
    # 64-bit numbers are strings in the JSON of a server.
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0
