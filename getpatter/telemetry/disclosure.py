"""Disclosure: what a shown notice has named as collected, and what waits for a notice.

A version of the schemas that collects more says so in a notice. Until that has been shown to an
install, it sends what the version before would have sent: no new event, field or value. Pure.
"""

from getpatter.telemetry._changes import EVENTS, FIELDS, TEXTS, VALUES

__all__ = ["names", "withhold", "words"]

_FALLBACK = "other"


def words(shown: int) -> "tuple[str, ...]":
    """Return the lines of the notice on what is collected since version `shown`."""
    return tuple(line for version, lines in TEXTS.items() if version > shown for line in lines)


def names(shown: int) -> "list[str]":
    """Return what waits where the notice of version `shown` was the last: events, fields and
    `field=value`, each once.
    """
    found = [event for event, since in EVENTS.items() if since > shown]
    for fields in FIELDS.values():
        found += [field for field, since in fields.items() if since > shown]
    for field, values in VALUES.items():
        found += [f"{field}={value}" for value, since in values.items() if since > shown]
    return list(dict.fromkeys(found))


def withhold(event: "dict[str, object]", shown: int) -> str | None:
    """Take out of `event` what came after version `shown`; answer a loss reason if it must not
    leave at all.

    A value becomes `other` where the list had that, else its field goes. A sampled call that may
    not say so would weigh too little, so it does not leave.
    """
    name = event["event"]
    # The version whose notice was shown has no such event.
    if isinstance(name, str) and EVENTS.get(name, 0) > shown:
        return "unknown_event"
    fields = FIELDS.get(name, {}) if isinstance(name, str) else {}
    if "sample_rate" in event and fields.get("sample_rate", 0) > shown:
        return "sampled_out"
    for field in [field for field in event if fields.get(field, 0) > shown]:
        del event[field]
    for field, values in VALUES.items():
        if field in event and values.get(str(event[field]), 0) > shown:
            if values.get(_FALLBACK, 0) > shown:
                del event[field]
            else:
                event[field] = _FALLBACK
    return None
