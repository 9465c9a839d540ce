"""Retry-After: how long a collector asks to be left alone. Pure."""

import re

from getpatter.telemetry.delivery.limits import RETRY_AFTER_LONGEST

__all__ = ["retry_after"]

# The one form of a date that HTTP still lets anybody send (RFC 9110, 5.6.7); `strptime` would
# read it in the language of the host.
_HTTP_DATE = (
    "[A-Z][a-z]{2}, (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) "
    "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, at most an hour; None if unclear.

    It may also name a time of day. `date`, the answer's own `Date`, says how far away that is:
    the collector's clock against itself, so that ours may be wrong.
    """
    text = (value or "").strip()
    # isdecimal alone takes other scripts' digits.
    if text.isascii() and text.isdecimal():
        return min(float(text), RETRY_AFTER_LONGEST)
    until, since = _http_date(text), _http_date((date or "").strip())
    if until is None or since is None:
        return None
    return min(max(0.0, until - since), RETRY_AFTER_LONGEST)


def _http_date(text: str) -> float | None:
    """Return the seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, None for anything else."""
    found = re.fullmatch(_HTTP_DATE, text)
    if found is None or found["month"] not in _MONTHS:
        return None
    month = _MONTHS.index(found["month"]) + 1
    day, year, hour, minute, second = map(
        int, found.group("day", "year", "hour", "minute", "second")
    )
    from datetime import datetime, timezone  # few collectors name a day

    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None
