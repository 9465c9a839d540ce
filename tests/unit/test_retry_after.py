"""How long a collector asks to be left alone: whatever it says, a sane number or nothing."""

import pytest

from getpatter.telemetry.delivery.retry_after import retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0000000000060", 60.0),
        ("3600", 3_600.0),
        ("3601", 3_600.0),
        ("9" * 400, 3_600.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("١٢", None),
        ("²", None),
        ("120, 60", None),
    ],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:50:07 GMT", DATE, 30.0),
        ("Mon, 07 Nov 1994 00:00:00 GMT", "Sun, 06 Nov 1994 23:59:59 GMT", 1.0),
        ("Wed, 01 Mar 2028 00:00:00 GMT", "Tue, 29 Feb 2028 23:59:00 GMT", 60.0),
        ("Sun, 06 Nov 1994 23:49:37 GMT", DATE, 3_600.0),  # an hour at most
        ("Sun, 06 Nov 1994 08:49:37 GMT", DATE, 0.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", DATE, 0.0),  # over already
        (DATE, None, None),  # nothing to measure it against
        (DATE, "yesterday", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", DATE, None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", DATE, None),
        ("Sun, 06 Nox 1994 08:49:37 GMT", DATE, None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", DATE, None),
        ("Sun, 06 Nov 1994 08:49:37 CET", DATE, None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", DATE, None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", DATE, None),  # a form that nobody may send any more
    ],
)
def test_retry_after_as_a_date_is_measured_against_the_collector_s_own_clock(
    value: str, date: str | None, seconds: float | None
) -> None:
    assert retry_after(value, date) == seconds
