"""What samples, records and events look like, for readers: as JSON Schemas and as table rows.

Everything is made from the tables that the code itself works by; `schemas/diagnostics/v1/` holds
what `SCHEMAS` makes. Not loaded by a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.callbacks.subscriptions import NAMES
from getpatter.calls.stats.sample import (
    COUNTERS,
    LABELS,
    LIMITS,
    LONGEST_LABEL,
    NUMBERS,
    REQUIRED,
    TEXTS,
    VALUES,
)
from getpatter.calls.stats.vocabulary import NAMED, TYPES, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable

    Schema = dict[str, object]

__all__ = [
    "SCHEMAS",
    "callback_rows",
    "record_rows",
    "sample_rows",
    "stream_rows",
    "vocabulary_rows",
]

_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_LABEL}
_IDS = {
    "call": "Id of the call, as the host gave it.",
    "participant": "Id of the participant, as the host gave it.",
}
# Value of a track in a stats record → unit, meaning, and the largest there can be.
_VALUES: dict[str, tuple[str, str, int | None]] = {
    "bitrate": ("kbit/s", "Bytes of the interval, over the time in which they were counted.", None),
    "packet_rate": ("1/s", "Packets of the interval, over the same time.", None),
    "fraction_loss": ("0 to 1", "Packets of the interval that were lost, of those sent.", 1),
    "packet_loss_percentage": ("%", "The same in percent.", 100),
    "jitter": ("ms", "Mean of the interval's samples.", None),
    "average_jitter": ("ms", "Mean of all samples of the track so far.", None),
    "rtt": ("ms", "Mean of the interval's samples.", None),
    "average_rtt": ("ms", "Mean of all samples of the track so far.", None),
    "quality": ("the host's scale", "Mean of the interval's scores above 0.", None),
    "audio_input_level": ("0 to 1", "Mean of the interval's samples.", 1),
    "audio_output_level": ("0 to 1", "Mean of the interval's samples.", 1),
}
# Of a record, beside its tracks → the values, and what it is.
_RECORD = {
    "interval_ms": (("whole ms",), "Time since the last record, or since the participant came."),
    "connection_state": (("online", "offline"), "Whether the participant is connected."),
    "fabric_state": (
        ("initialising", "established", "disrupted"),
        "Whether media flows: not yet, yes, or no longer.",
    ),
    "conference_url": (("text",), "Where the call takes place, from `room_started`."),
}
# Of a track since the last flush, beside the sums → unit and meaning.
_STREAM = {
    "samples": ("count", "Number of samples."),
    "start": ("s", "When the first sample began, on the clock of the samples."),
    "end": ("s", "When the last sample ended."),
    "rtt_max": ("ms", "Longest round trip time."),
    "jitter_max": ("ms", "Largest jitter."),
    "score_mean": ("the host's scale", "Mean of the scores above 0."),
    "score_min": ("the host's scale", "Lowest score above 0."),
    "score_median": ("the host's scale", "Median of the scores above 0."),
}


def _document(name: str, title: str, description: str, body: Schema) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://getpatter.com/schemas/diagnostics/v1/{name}.schema.json",
        "title": title,
        "description": description,
        **body,
    }


def _closed(properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _number(description: str, maximum: int | None = None) -> Schema:
    limit: Schema = {} if maximum is None else {"maximum": maximum}
    return {"description": description, "type": "number", "minimum": 0, **limit}


def _texts(descriptions: dict[str, str]) -> Schema:
    return {
        name: {
            "description": description,
            **({"enum": list(VALUES[name])} if name in VALUES else _TEXT),
        }
        for name, description in descriptions.items()
    }


def sample_schema() -> Schema:
    """Return the rules of a sample. What is absent is absent there, never null."""
    numbers = {name: _number(what, LIMITS[name]) for name, what in NUMBERS.items()}
    return _document(
        "sample",
        "Sample",
        "What the host measured of one track, or data channel, at one moment. Counters count since "
        "the track began.",
        _closed({**_texts(TEXTS), **numbers}, list(REQUIRED)),
    )


def record_schema() -> Schema:
    """Return what the `stats` callback is given."""
    values = {
        name: _number(f"{meaning} Unit: {unit}.", most)
        for name, (unit, meaning, most) in _VALUES.items()
    }
    own: Schema = {
        "interval_ms": {
            "description": _RECORD["interval_ms"][1],
            "type": "integer",
            "minimum": 0,
        },
        **{
            name: {"description": _RECORD[name][1], "enum": list(_RECORD[name][0])}
            for name in ("connection_state", "fabric_state")
        },
        "conference_url": {"description": _RECORD["conference_url"][1], **TYPES["text"]},
        "tracks": {
            "description": "One entry per track that had a sample in the interval; an unknown "
            "value is absent.",
            "type": "array",
            "items": _closed({**_texts(TEXTS), **values}, list(REQUIRED)),
        },
    }
    required = [*_IDS, *(name for name in own if name != "conference_url")]
    return _document(
        "stats_record",
        "Stats record",
        "One participant of one call in one interval, as the stats callback gets it.",
        _closed({**_texts(_IDS), **own}, required),
    )


def stream_schema() -> Schema:
    """Return the data of the event `participant_stats`."""
    sums = {name: _number(f"Sum: {what}") for name, what in COUNTERS.items()}
    own = {name: _number(f"{what} Unit: {unit}.") for name, (unit, what) in _STREAM.items()}
    media = {"media_type": {"description": "Only on a data channel.", "const": "data"}}
    names = {name: TEXTS[name] for name in REQUIRED}
    stream = _closed(
        {**_texts(names), **media, **own, **sums}, [*REQUIRED, "samples", "start", "end"]
    )
    streams = {
        "description": "Up before down, tracks before data channels, each by its id.",
        "type": "array",
        "minItems": 1,
        "items": stream,
    }
    return _document(
        "participant_stats",
        "Participant stats",
        "Data of the event participant_stats: the sums of the samples of one participant since "
        "the last flush.",
        _closed({**_texts(_IDS), "streams": streams}, [*_IDS, "streams"]),
    )


def vocabulary_schema() -> Schema:
    """Return the vocabulary, as objects with `type` and `data`."""
    definitions: Schema = {}
    for name, kind in VOCABULARY.items():
        needed = NAMED[kind.about]
        subjects = {
            who: {
                "description": what,
                **TYPES["text"],
                **({"minLength": 1} if who in needed else {}),
            }
            for who, what in _IDS.items()
        }
        record_only = {
            "description": "False on an event that is for the record only; else absent.",
            "const": False,
        }
        own = {
            field: {"description": rule.description, **TYPES[rule.type]}
            for field, rule in kind.fields.items()
        }
        must = [*needed, *(field for field, rule in kind.fields.items() if rule.required)]
        body = _closed({**subjects, "notify": record_only, **own}, must)
        definitions[name] = {"description": kind.description, **body}
    branches = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"data": {"$ref": f"#/$defs/{name}"}}},
        }
        for name in VOCABULARY
    ]
    return _document(
        "vocabulary",
        "Vocabulary of call diagnostics",
        "The events of calls, participants and tracks: type is the kind, data its fields. The "
        "envelope around them has a schema of its own.",
        {
            "type": "object",
            "required": ["type", "data"],
            "additionalProperties": False,
            "properties": {
                "type": {"description": "Kind of the event.", "enum": list(VOCABULARY)},
                "data": {"description": "Its fields.", "type": "object"},
            },
            "allOf": branches,
            "$defs": definitions,
        },
    )


#: Name of a file of `schemas/diagnostics/v1/`, less `.schema.json` → what makes it.
SCHEMAS: dict[str, Callable[[], Schema]] = {
    "sample": sample_schema,
    "stats_record": record_schema,
    "participant_stats": stream_schema,
    "vocabulary": vocabulary_schema,
}


def _cell(values: tuple[str, ...]) -> str:
    return " ".join(f"`{value}`" for value in values) if len(values) > 1 else values[0]


def callback_rows() -> list[tuple[str, str, str]]:
    """Return a row for each callback: name, when, what it is given."""
    return [(name, when, what) for name, (when, what) in NAMES.items()]


def sample_rows() -> list[tuple[str, str, str]]:
    """Return a row for each field of a sample: name, values, what it is."""
    texts = [
        (name, _cell(VALUES[name]) if name in VALUES else "text", description)
        for name, description in TEXTS.items()
    ]
    smaller = {name for name, limit in LIMITS.items() if limit < LIMITS["packets"]}
    return texts + [
        (name, f"0 to {LIMITS[name]:,}" if name in smaller else "0 or more", description)
        for name, description in NUMBERS.items()
    ]


def record_rows() -> list[tuple[str, str, str, str]]:
    """Return a row for each field of a stats record: of what, name, unit or values, what it is."""
    record = [
        *(("record", name, "text", what) for name, what in _IDS.items()),
        *(("record", name, _cell(values), what) for name, (values, what) in _RECORD.items()),
    ]
    names = [
        ("track", name, _cell(VALUES[name]) if name in VALUES else "text", what)
        for name, what in {**{n: TEXTS[n] for n in REQUIRED}, **LABELS}.items()
    ]
    values = [("track", name, unit, what) for name, (unit, what, _) in _VALUES.items()]
    return [*record, *names, *values]


def stream_rows() -> list[tuple[str, str, str]]:
    """Return a row for each field of a stream of `participant_stats`: name, unit, what it is."""
    names = [
        (name, _cell(VALUES[name]) if name in VALUES else "text", TEXTS[name]) for name in REQUIRED
    ]
    sums = [(name, "sum", what) for name, what in COUNTERS.items()]
    return [*names, *((name, unit, what) for name, (unit, what) in _STREAM.items()), *sums]


def vocabulary_rows() -> list[tuple[str, str, str, str]]:
    """Return a row for each kind: name, about whom it is, its fields, what it says.

    A field with an asterisk must be there; all of them are described in the schema.
    """
    return [
        (
            name,
            ", ".join(NAMED[kind.about]) or "anything",
            ", ".join(
                f"`{field}`{'*' if rule.required else ''} {rule.type}"
                for field, rule in kind.fields.items()
            ),
            kind.description,
        )
        for name, kind in VOCABULARY.items()
    ]
