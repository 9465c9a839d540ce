"""What each word of a carrier says of the end of a call: the one table. Pure.

`docs/carriers.mdx` shows the rows that stand here.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BUSY",
    "CANCELED",
    "COMPLETED",
    "LOCAL",
    "NO_ANSWER",
    "PLIVO_CODES",
    "PLIVO_LOCAL",
    "PLIVO_RUNNING",
    "PLIVO_SOURCES",
    "PLIVO_STATUSES",
    "TELNYX_CAUSES",
    "TWILIO_RUNNING",
    "TWILIO_STATUSES",
    "End",
    "failed",
    "plivo_end",
    "sip_end",
]


class End(NamedTuple):
    """What a carrier says of an end.

    `answered`: the carrier connected the call, so its media must have been here; else nobody did.
    """

    answered: bool
    unanswered: str | None = None
    hung_up: str | None = None
    error: str | None = None
    stage: str | None = None


BUSY = End(answered=False, unanswered="busy")
NO_ANSWER = End(answered=False, unanswered="no_answer")
CANCELED = End(answered=False, hung_up="local")
COMPLETED = End(answered=True)
LOCAL = End(answered=True, hung_up="local")
_MEDIA_TIMEOUT = End(answered=True, error="timeout", stage="carrier")
# The URLs of the host do not answer, or not with what they must: no stage of the call failed.
_CONFIG = End(answered=False, error="config")


def failed(code: str) -> End:
    """Return the end of a call that the carrier could not connect."""
    return End(answered=False, error=code, stage="carrier")


# Response codes of SIP (RFC 3261, section 21) that say why.
_SIP_BUSY = frozenset({486, 600, 603})
_SIP_NO_ANSWER = frozenset({408, 480, 487})
_SIP_CODES = {
    **dict.fromkeys((401, 403, 407), "auth"),
    **dict.fromkeys((404, 484), "input_validation"),
    **dict.fromkeys(range(500, 600), "connection"),
}


def sip_end(text: str) -> End | None:
    """Return what a response code of SIP says of a call that failed; None if it says nothing."""
    code = int(text) if text.isascii() and text.isdecimal() and len(text) == 3 else 0
    if code < 400:
        return None
    if code in _SIP_BUSY:
        return BUSY
    return NO_ANSWER if code in _SIP_NO_ANSWER else failed(_SIP_CODES.get(code, "provider_error"))


#: `CallStatus` of Twilio; a `failed` call is looked up by its SIP response code.
TWILIO_STATUSES = {
    "busy": BUSY,
    "no-answer": NO_ANSWER,
    "canceled": CANCELED,
    "failed": failed("provider_error"),
    "completed": COMPLETED,
}
TWILIO_RUNNING = frozenset({"queued", "initiated", "ringing", "in-progress"})

#: `hangup_cause` of Telnyx; `unspecified` is looked up by its SIP response code.
TELNYX_CAUSES = {
    "user_busy": BUSY,
    "call_rejected": BUSY,
    "no_answer": NO_ANSWER,
    "timeout": NO_ANSWER,
    "originator_cancel": CANCELED,
    "not_found": failed("input_validation"),
    "time_limit": LOCAL,
    "normal_clearing": COMPLETED,
    "unspecified": COMPLETED,
}

#: `CallStatus` of Plivo, where there is no `HangupCauseCode` that says more.
PLIVO_STATUSES = {
    "busy": BUSY,
    "no-answer": NO_ANSWER,
    "timeout": NO_ANSWER,
    "cancel": CANCELED,
    "failed": failed("provider_error"),
    "completed": COMPLETED,
}
PLIVO_RUNNING = frozenset({"initiated", "ringing", "in-progress"})
#: `HangupCauseCode` of Plivo: from, to, and what these say. Of several rows the first counts.
PLIVO_CODES = (
    (1000, 1000, CANCELED),
    (9000, 9000, CANCELED),
    (1010, 2070, failed("provider_error")),
    (3000, 3000, NO_ANSWER),
    (3070, 3070, NO_ANSWER),
    (6010, 6010, NO_ANSWER),
    (3010, 3020, BUSY),
    (3100, 3110, BUSY),
    (3030, 3050, failed("provider_error")),
    (3080, 3090, failed("provider_error")),
    (3120, 3140, failed("provider_error")),
    (4000, 4000, COMPLETED),
    (4010, 4030, LOCAL),
    (5000, 5999, failed("provider_error")),
    (6000, 6000, LOCAL),
    (6020, 6020, _MEDIA_TIMEOUT),
    (7000, 7099, _CONFIG),
    (8000, 8099, _CONFIG),
    (9110, 9110, LOCAL),
)
#: `HangupSource` of Plivo → which side that is; `Call recipient` is what its pages call the callee.
PLIVO_SOURCES = {"caller": "caller", "callee": "callee", "call recipient": "callee"}
#: Sources that are this side.
PLIVO_LOCAL = frozenset({"api request", "answer xml"})


def plivo_end(text: str) -> End | None:
    """Return what a code of Plivo says; None if the table has none of it."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) == 4 else 0
    return next((end for low, high, end in PLIVO_CODES if low <= number <= high), None)
