"""The time between two stats records: which ones are taken. Does no I/O and owns no state."""

from __future__ import annotations

from getpatter.calls.mistakes import mistake
from getpatter.calls.result import OK, Result
from getpatter.telemetry._plain import plain_number

__all__ = ["refusal"]

# Records more often than once a second would have no sample to be made of; a day is longer than
# calls are.
_SECONDS = (1.0, 86_400.0)


def refusal(seconds: object, call: object) -> Result:
    """Answer whether this is an interval: 0 for never, or 1 to 86,400 seconds."""
    number = plain_number(seconds)
    is_one = number is not None and (number == 0 or _SECONDS[0] <= number <= _SECONDS[1])
    if is_one and (call is None or isinstance(call, str)):
        return OK
    wrong = mistake("the interval of stats", ("0, or 1 to 86,400 seconds",), seconds)
    return Result("refused_interval", f"call {call!r:.80}: {wrong}")
