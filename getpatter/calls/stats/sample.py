"""A sample: what the host measured of one track at one moment, and the rules it must obey.

Counters count since the track began, as WebRTC statistics and RTCP do; what happened between two
samples is worked out from them in `stats`. Does no I/O and owns no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.result import OK, Result
from getpatter.telemetry._plain import plain_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COUNTERS",
    "LABELS",
    "LIMITS",
    "NUMBERS",
    "REQUIRED",
    "TEXTS",
    "VALUES",
    "drop_bad_numbers",
    "refusal",
]

#: Counter → what it counts, since the track (or data channel) began.
COUNTERS = {
    "packets": "Packets, without retransmitted and padding ones.",
    "bytes": "Bytes of those packets.",
    "retransmitted": "Packets that were sent again.",
    "padding": "Packets that contain only padding.",
    "lost": "Packets that never arrived. If absent, it is computed from `sequence`.",
    "out_of_order": "Packets that arrived after a later one.",
    "frames": "Frames.",
    "nack": "Requests to send again.",
    "pli": "Requests for a new picture, after a loss.",
    "fir": "Requests for a full picture.",
}
_GAUGES = {
    "jitter": "Jitter, in milliseconds.",
    "rtt": "Round trip time, in milliseconds.",
    "score": "Quality, on a scale of the host; 0 means unknown.",
    "audio_input_level": "Loudness that is sent, 0 to 1.",
    "audio_output_level": "Loudness that is played, 0 to 1.",
}
_MARKS = {
    "sequence": "Highest RTP sequence number so far, 16 bits; losses are computed from it.",
    "at": "When it was measured, in seconds on any steady clock that is the same for all samples "
    "of the track. If absent, the moment at which the sample is passed.",
    "start": "When the track began, on the same clock.",
}
#: Number → what it is.
NUMBERS = {**COUNTERS, **_GAUGES, **_MARKS}
_SMALLER = {"audio_input_level": 1, "audio_output_level": 1, "sequence": 65_535}
#: Number → the largest value that is taken. 2**63 - 1: the counters of every media engine fit.
LIMITS: dict[str, int] = {name: _SMALLER.get(name, 9_223_372_036_854_775_807) for name in NUMBERS}

#: Text → what it says; a record repeats the last one given.
LABELS = {
    "media_type": "`audio`, `video` or `data`; `data` is a data channel.",
    "stats_type": "Which end measured: one of the four names of WebRTC statistics.",
    "usage_label": "What the track is for, in the host's words.",
    "remote_user_id": "Who is at the other end.",
    "cname": "RTCP canonical name.",
    "msid": "Media stream id.",
    "associated_video_tag": "Which element shows it.",
}
#: Ids and labels are names, not documents.
LONGEST_LABEL = 256

DIRECTIONS = ("up", "down")
STATS_TYPES = ("inbound-rtp", "outbound-rtp", "remote-inbound-rtp", "remote-outbound-rtp")
MEDIA_TYPES = ("audio", "video", "data")
#: Text → the values it may have, where not any will do.
VALUES = {"direction": DIRECTIONS, "stats_type": STATS_TYPES, "media_type": MEDIA_TYPES}
#: Text → what it is.
TEXTS = {
    "track": "Id of the track, or of the data channel.",
    "direction": "`up` from the participant, `down` to it.",
    **LABELS,
}
REQUIRED = ("track", "direction")


def refusal(call: object, participant: object, sample: Mapping[str, object]) -> Result:
    """Answer whether a sample is one; if not, `refused_sample` and the rule that it breaks.

    A value of None is absent. The message names the call, the field and the rule.
    """
    if not _is_name(call) or not _is_name(participant):
        return _refused(call, "needs a call and a participant")
    for name, value in sample.items():
        limit = LIMITS.get(name)
        if limit is not None:
            kind = type(value)
            if (kind is int or kind is float) and 0 <= value <= limit:  # type: ignore[operator] # just looked at
                continue
            rule = None if value is None else _broken(name, value, limit)
        else:
            rule = _broken_text(name, value)
        if rule is not None:
            return _refused(call, rule)
    for name in REQUIRED:
        if sample.get(name) is None:
            return _refused(call, f"needs a {name}")
    return OK


def drop_bad_numbers(sample: dict[str, object]) -> list[str]:
    """Take out of a sample each number that breaks a rule; return the rules.

    Numbers of other types, as `Decimal` or numpy's, become plain ones. `at` stays as it is: without
    it nothing is known of the sample.
    """
    rules: list[str] = []
    for name, limit in LIMITS.items():
        value = sample.get(name)
        if value is None:
            continue
        number = plain_number(value)
        rule = _broken(name, value if number is None else number, limit)
        if rule is None:
            sample[name] = number
        elif name != "at":
            sample[name] = None
            rules.append(rule)
    return rules


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_LABEL


def _broken(name: str, value: object, limit: int) -> str | None:
    """Return the rule that a number breaks; what derives from a number is one too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{name} must be a number"
    if value < 0:
        return f"{name} must not be negative"
    if not value < float("inf"):
        return f"{name} must be finite"
    return f"{name} must be at most {limit}" if value > limit else None


def _broken_text(name: object, value: object) -> str | None:
    if name not in TEXTS:
        return f"has a field that is not known: {name!r:.80}"
    if value is None:
        return None
    if name in VALUES:
        values = VALUES[name]
        return None if value in values else f"{name} must be one of {', '.join(values)}"
    return None if _is_name(value) else f"{name} must be text of 1 to {LONGEST_LABEL} characters"


def _refused(call: object, rule: str) -> Result:
    return Result("refused_sample", f"call {call!r:.80}: a sample {rule}")
