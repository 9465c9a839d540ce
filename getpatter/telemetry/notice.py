"""The notice: three lines on stderr, once per install, before anything leaves."""

import sys

__all__ = ["TEXT", "show"]

TEXT = """\
getpatter sends anonymous usage telemetry: does it start, do calls connect, why do they fail.
Nothing personal can be expressed in it. Off: `getpatter telemetry disable` or DO_NOT_TRACK=1.
See everything first: PATTER_TELEMETRY_DEBUG=1 or https://docs.getpatter.com/telemetry
"""


def show() -> bool:
    """Write the notice and return whether that succeeded; never on stdout, never raises.

    A stderr that is None, closed or broken shows nothing.
    """
    stream = sys.stderr
    if stream is None:
        return False
    try:
        stream.write(TEXT)
        stream.flush()
    except Exception:  # the host may have put any object there
        return False
    return True
