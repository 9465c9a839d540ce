"""The notice: three lines on stderr, once per install, before anything leaves.

After an upgrade that collects more, once more: with a line for each thing that is new.
"""

from getpatter.telemetry import _stderr, disclosure
from getpatter.telemetry._changes import OLDEST

__all__ = ["TEXT", "compose", "show"]

TEXT = """\
getpatter sends telemetry under a random ID: does it start, do calls connect, why do they fail.
No names, phone numbers, texts or audio. Off: `getpatter telemetry disable` or DO_NOT_TRACK=1.
See everything first: PATTER_TELEMETRY_DEBUG=1 or https://docs.getpatter.com/telemetry
"""
_UPDATE = """\
getpatter was updated, and its telemetry now also says:
{lines}
Off: `getpatter telemetry disable` or DO_NOT_TRACK=1. See everything: PATTER_TELEMETRY_DEBUG=1
"""
_SINCE = """\
Since the version that ran here before it also says:
{lines}
"""


def compose(shown: int | None, *, is_upgrade: bool) -> str:
    """Return what to show where the notice of schema version `shown` was the last.

    None: none was, or it is not known. `is_upgrade`: an earlier version ran here nevertheless;
    which one it does not say, so that the text names all that is new since the oldest.
    """
    if shown is not None:
        # A version may collect nothing more than the one before, and then there is nothing to say.
        return _UPDATE.format(lines=_lines(shown)) if disclosure.words(shown) else ""
    return TEXT + _SINCE.format(lines=_lines(OLDEST)) if is_upgrade else TEXT


def _lines(shown: int) -> str:
    return "\n".join(f"- {line}" for line in disclosure.words(shown))


def show(text: str = TEXT) -> bool:
    """Write the notice and return whether that succeeded; never on stdout, never raises.

    Succeeded: somebody can have read it. So not where stderr is None, closed, broken, the null
    device or a buffer in memory, nor where nobody reads it within a fifth of a second. No text is
    always shown.
    """
    return not text or _stderr.write(text)
