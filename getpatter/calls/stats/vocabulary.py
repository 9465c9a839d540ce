"""The vocabulary: which kinds of events a service knows, and the typed fields of each.

One table, and one check that reads it. Everything else that says what a kind is, the schema and
the documentation, is made from the table. Does no I/O and owns no state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.calls import event_types as names
from getpatter.calls.result import OK, Result
from getpatter.telemetry._plain import plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NAMED", "TYPES", "VOCABULARY", "Field", "Kind", "check"]

#: Text of a field is local, but an event must stay small: no id or reason needs more.
LONGEST_TEXT = 1_000
#: A list of ids: as many as a participant has tracks at most.
LONGEST_LIST = 256
#: Whole numbers that every reader of JSON keeps exactly (2**53 - 1).
LARGEST_COUNT = 9_007_199_254_740_991
# Beyond it readers of JSON see infinity: the largest float.
_LARGEST_NUMBER = 1.7976931348623157e308


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a kind: its type (a key of `TYPES`), and what it says."""

    type: str
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event: what it says, whom it is about and its fields."""

    description: str
    fields: Mapping[str, Field]
    #: What must be named: `call`, `participant` (and its call), or `none` of them.
    about: str = "call"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_COUNT


def _is_number(value: object) -> bool:
    number = plain_number(value) if isinstance(value, (int, float)) else None
    return number is not None and abs(number) <= _LARGEST_NUMBER


def _is_texts(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) <= LONGEST_LIST
        and all(map(_is_text, value))
    )


# Type → the test of a value, and the same as JSON Schema.
_TESTS: dict[str, Callable[[object], bool]] = {
    "text": _is_text,
    "texts": _is_texts,
    "count": _is_count,
    "number": _is_number,
    "flag": lambda value: type(value) is bool,
    "object": lambda value: isinstance(value, dict),
}
TYPES: dict[str, dict[str, object]] = {
    "text": {"type": "string", "maxLength": LONGEST_TEXT},
    "texts": {
        "type": "array",
        "maxItems": LONGEST_LIST,
        "items": {"type": "string", "maxLength": LONGEST_TEXT},
    },
    "count": {"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "object": {"type": "object"},
}

_OWNER = {
    "owner": Field("text", "Who reports it: `media`, `signalling`, `status_webhook`, or any name.")
}
_REASON = {"reason": Field("text", "Why, in the words of the owner that reports it.")}
_TRACK = {"track": Field("text", "Id of the track.", required=True)}
_PUBLISHER = {"publisher": Field("text", "Participant whose track it is.")}
_ERROR = {
    "error": Field("text", "What went wrong; absent if nothing did."),
    "error_code": Field("text", "The same as a code."),
}
_MEDIA = {
    "media_type": Field("text", "`audio`, `video` or `data`."),
    "source": Field("text", "What is captured: a microphone, a camera, a screen."),
    "codec": Field("text", "Codec, as it was negotiated."),
    "muted": Field("flag", "Whether it is muted."),
}
_CLIENT = {
    "client": Field("object", "What is known of the client: its kit, version, system."),
    "region": Field("text", "Where it is connected to."),
}
_RTP = {
    "stats": Field("object", "The statistics, as the media engine has them.", required=True),
    "started": Field("number", "When the track began, in seconds on the clock of the samples."),
    "ended": Field("number", "When it ended, on the same clock."),
}
_EGRESS = {
    "egress": Field("text", "Id of the egress.", required=True),
    "egress_kind": Field("text", "What is taken out: the room, a track, a web page."),
    "status": Field("text", "Its state."),
    **_ERROR,
}
_INGRESS = {
    "ingress": Field("text", "Id of the ingress.", required=True),
    "ingress_kind": Field("text", "How media comes in: RTMP, WHIP, a URL."),
    "status": Field("text", "Its state."),
    **_ERROR,
}
_DURATION = {"duration_ms": Field("number", "How long it took, in milliseconds.")}

#: Kind → what it says, whom it is about, and its fields.
VOCABULARY: dict[str, Kind] = {
    names.ROOM_STARTED: Kind(
        "A call began.",
        {
            "conference_url": Field("text", "Where the call takes place; stands on stats records."),
            "metadata": Field("object", "What the host adds about it."),
        },
    ),
    names.ROOM_ENDED: Kind("A call ended, and with it all its participants.", {**_REASON}),
    names.PARTICIPANT_JOINED: Kind(
        "A participant was admitted; its media need not flow yet.",
        {**_OWNER, **_CLIENT},
        "participant",
    ),
    names.PARTICIPANT_ACTIVE: Kind(
        "The media of a participant flows.", {**_OWNER, **_CLIENT, **_DURATION}, "participant"
    ),
    names.PARTICIPANT_RESUMED: Kind(
        "A participant came back after an interruption.",
        {**_OWNER, **_CLIENT, **_REASON},
        "participant",
    ),
    names.PARTICIPANT_LEFT: Kind(
        "A participant that had been active is gone: the last owner has released it.",
        {**_OWNER, **_REASON},
        "participant",
    ),
    names.CONNECTION_ABORTED: Kind(
        "A participant that never was active is gone. Derived from `participant_left`; reporting "
        "it has the same effect.",
        {**_OWNER, **_REASON},
        "participant",
    ),
    "track_publish_requested": Kind(
        "A participant asked to publish a track.", {**_TRACK, **_MEDIA}, "participant"
    ),
    "track_published": Kind("A track is published.", {**_TRACK, **_MEDIA}, "participant"),
    "track_unpublished": Kind(
        "A track is no longer published.", {**_TRACK, **_REASON}, "participant"
    ),
    "track_subscribe_requested": Kind(
        "A participant asked for a track.", {**_TRACK, **_PUBLISHER}, "participant"
    ),
    "track_subscribed": Kind(
        "A participant receives a track.", {**_TRACK, **_PUBLISHER, **_DURATION}, "participant"
    ),
    "track_unsubscribed": Kind(
        "A participant no longer receives a track.",
        {**_TRACK, **_PUBLISHER, **_REASON},
        "participant",
    ),
    "track_subscribe_failed": Kind(
        "A participant asked for a track and did not get it.",
        {
            **_TRACK,
            **_PUBLISHER,
            **_ERROR,
            "user_error": Field("flag", "Whether the request was invalid."),
        },
        "participant",
    ),
    "track_muted": Kind("A track was muted.", {**_TRACK}, "participant"),
    "track_unmuted": Kind("A track is heard or seen again.", {**_TRACK}, "participant"),
    "track_updated": Kind("What is known of a track changed.", {**_TRACK, **_MEDIA}, "participant"),
    "track_max_subscribed_video_quality": Kind(
        "The highest quality that any subscriber asks for has changed.",
        {
            **_TRACK,
            "codec": Field("text", "Codec that it is about."),
            "quality": Field("text", "That quality.", required=True),
        },
        "participant",
    ),
    "track_publish_rtp_stats": Kind(
        "The media engine's statistics of a published track, at its end.",
        {**_TRACK, **_RTP},
        "participant",
    ),
    "track_subscribe_rtp_stats": Kind(
        "The media engine's statistics of a received track, at its end.",
        {**_TRACK, **_PUBLISHER, **_RTP},
        "participant",
    ),
    "egress_started": Kind("An egress began: media is taken out of a call.", _EGRESS, "none"),
    "egress_updated": Kind("An egress changed its state.", _EGRESS, "none"),
    "egress_ended": Kind("An egress ended.", _EGRESS, "none"),
    "ingress_created": Kind("An ingress was created.", _INGRESS, "none"),
    "ingress_deleted": Kind("An ingress was deleted.", _INGRESS, "none"),
    "ingress_started": Kind("An ingress began: media comes in.", _INGRESS, "none"),
    "ingress_updated": Kind("An ingress changed its state.", _INGRESS, "none"),
    "ingress_ended": Kind("An ingress ended.", _INGRESS, "none"),
    "local_room_state": Kind(
        "The calls that this process holds.",
        {
            "rooms": Field("texts", "Their ids.", required=True),
            "participants": Field("count", "How many participants they have."),
        },
        "none",
    ),
    "report": Kind(
        "A report of the host.",
        {
            "name": Field("text", "What it is about.", required=True),
            "content": Field("object", "What it says."),
        },
        "none",
    ),
    "api_call": Kind(
        "A request to an API of the host.",
        {
            "method": Field("text", "What was asked for.", required=True),
            "service": Field("text", "Which API."),
            "status": Field("count", "HTTP status of the answer."),
            **_DURATION,
            **_ERROR,
        },
        "none",
    ),
    "webhook": Kind(
        "A webhook was delivered, or its delivery has failed for good.",
        {
            "event": Field("text", "Which event it was about.", required=True),
            "url": Field("text", "Where to."),
            "status": Field("count", "HTTP status of the last answer."),
            "attempts": Field("count", "How often it was tried."),
            **_DURATION,
            **_ERROR,
        },
        "none",
    ),
}

#: What `about` asks for.
NAMED = {"none": (), "call": ("call",), "participant": ("call", "participant")}


def with_plain_numbers(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with numbers of other types, as `Decimal` or numpy's, as plain ones."""
    plain = {name: plain_number(value) for name, value in fields.items()}
    return {name: value if plain[name] is None else plain[name] for name, value in fields.items()}


def check(kind: object, call: object, participant: object, fields: Mapping[str, object]) -> Result:
    """Answer whether an event is one of the vocabulary; if not, which rule it breaks.

    A field of None is one that is absent. The message names the call, the field and the rule, and
    repeats no value.
    """
    known = VOCABULARY.get(kind) if isinstance(kind, str) else None
    if known is None:
        return Result("unknown_kind", f"call {call!r:.80}: no kind of event is called {kind!r:.80}")
    where = f"call {call!r:.80}: {kind}"
    for name, value in (("call", call), ("participant", participant)):
        if not _is_text(value) or (name in NAMED[known.about] and not value):
            return Result("refused_event", f"{where} needs a {name}: text, 1 to {LONGEST_TEXT}")
    for name, value in fields.items():
        field = known.fields.get(name)
        if field is None:
            return Result("unknown_field", f"{where} has no field {name!r:.80}")
        if value is not None and not _TESTS[field.type](value):
            return Result("refused_event", f"{where}: {name} is no {field.type}")
    for name, field in known.fields.items():
        if field.required and fields.get(name) is None:
            return Result("refused_event", f"{where} needs a {name}")
    return OK
