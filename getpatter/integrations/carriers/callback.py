"""Callbacks: the fields of a request, read into which call it is about and what they say of it.

Pure. Whatever a field holds, reading it does not raise: what is no word of the table says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from getpatter.integrations.carriers import tables
from getpatter.integrations.carriers.tables import End

__all__ = ["Callback", "plivo", "telnyx", "twilio"]

# No id of a carrier is longer.
_LONGEST_ID = 200
_NO_FIELDS: Mapping[Any, object] = {}


class Callback(NamedTuple):
    """What a carrier says of a call.

    `ids` name the call, the most lasting first. `status` is the carrier's word. `end` is None while
    the call goes on; `is_known` whether the table has the word. `party` is who hung up, `caller` or
    `callee`: which side that is depends on the direction.
    """

    ids: tuple[str, ...]
    status: str
    end: End | None = None
    is_known: bool = True
    direction: str | None = None
    party: str | None = None
    #: Whether the carrier says that media was connected, whatever else it says.
    was_answered: bool = False

    def end_for(self, direction: str | None) -> End | None:
        """Return the end, with the side that hung up on a call of this direction."""
        end = self.end
        near = {"inbound": "callee", "outbound": "caller"}.get(direction or "")
        if end is None or not end.answered or end.hung_up or end.error or not (near and self.party):
            return end
        return end._replace(hung_up="local" if self.party == near else "remote")


def twilio(fields: Mapping[str, object]) -> Callback:
    """Read a status callback of Twilio. Twilio does not say which side hung up."""
    status = _word(fields, "CallStatus")
    end = tables.TWILIO_STATUSES.get(status)
    if status == "failed":
        end = tables.sip_end(_text(fields, "SipResponseCode")) or end
    return Callback(
        _ids(fields, "CallSid"),
        status,
        end,
        is_known=end is not None or status in tables.TWILIO_RUNNING,
        direction=_direction(fields, "Direction"),
        was_answered=status == "completed",
    )


def telnyx(fields: Mapping[str, object]) -> Callback:
    """Read a webhook of Telnyx. The one of the hangup does not say the direction."""
    data = _mapping(fields, "data") or fields
    payload = _mapping(data, "payload")
    ids = _ids(payload, "call_control_id", "call_leg_id")
    event = _word(data, "event_type")
    direction = {"incoming": "inbound", "outgoing": "outbound"}.get(_word(payload, "direction"))
    if event != "call.hangup":
        return Callback(ids, event, is_known=event.startswith("call."), direction=direction)
    cause = _word(payload, "hangup_cause")
    end = tables.TELNYX_CAUSES.get(cause)
    if cause in ("unspecified", "not_found"):
        end = tables.sip_end(_text(payload, "sip_hangup_cause")) or end
    source = _word(payload, "hangup_source")
    return Callback(
        ids,
        cause,
        end,
        is_known=end is not None,
        direction=direction,
        party=source if source in ("caller", "callee") else None,
        was_answered=end is not None and end.answered,
    )


def plivo(fields: Mapping[str, object]) -> Callback:
    """Read a callback of Plivo: its hangup code, if it is known, says more than its status."""
    status = _word(fields, "CallStatus")
    end = tables.plivo_end(_text(fields, "HangupCauseCode")) or tables.PLIVO_STATUSES.get(status)
    source = _word(fields, "HangupSource")
    if status in tables.PLIVO_RUNNING:
        end = None
    elif end == tables.COMPLETED and source in tables.PLIVO_LOCAL:
        end = tables.LOCAL
    return Callback(
        _ids(fields, "CallUUID", "RequestUUID"),
        status,
        end,
        is_known=end is not None or status in tables.PLIVO_RUNNING,
        direction=_direction(fields, "Direction"),
        party=tables.PLIVO_SOURCES.get(source),
        was_answered=status == "completed" or (end is not None and end.answered),
    )


def _ids(fields: Mapping[Any, object], *names: str) -> tuple[str, ...]:
    found = [_text(fields, name) for name in names]
    return tuple(dict.fromkeys(one for one in found if one and len(one) <= _LONGEST_ID))


def _text(fields: Mapping[Any, object], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, (list, tuple)) and value:
        value = value[0]  # as `urllib.parse.parse_qs` has it
    if isinstance(value, int):
        return str(int(value))
    return str.__str__(value).strip() if isinstance(value, str) else ""


def _word(fields: Mapping[Any, object], name: str) -> str:
    return _text(fields, name).lower()


def _mapping(fields: Mapping[Any, object], name: str) -> Mapping[Any, object]:
    value = fields.get(name)
    return value if isinstance(value, Mapping) else _NO_FIELDS


def _direction(fields: Mapping[str, object], name: str) -> str | None:
    # Twilio's legs are `outbound-api` and `outbound-dial`.
    said = _word(fields, name).partition("-")[0]
    return said if said in ("inbound", "outbound") else None
