"""The page of what arrives now: the last requests of clients. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from getpatter.collector.pages.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.collector.arrivals import Arrival, Arrivals

__all__ = ["arriving"]

_WORDS = {
    200: "accepted", 400: "invalid", 404: "no such path", 405: "wrong method", 408: "too slow",
    411: "no length", 413: "too large", 415: "not JSON", 429: "too many", 503: "not now",
}  # fmt: skip


def _at(moment: int) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")[:19] + "Z"


def arriving(arrivals: Arrivals, now: int, endpoint: str) -> dict[str, Any]:
    """Return what the page shows."""
    last = arrivals.last()
    return {
        "headline": _headline(last, now, arrivals.began),
        "is_empty": not last,
        "endpoint": endpoint,
        "requests": [_shown(one) for one in last],
        "now": _at(now),
    }


def _headline(last: Sequence[Arrival], now: int, began: int) -> Markup:
    if not last:
        return Markup("Nothing has arrived since this collector started {}.").format(
            _ago(now - began)
        )
    bad = sum(1 for one in last if one.status != 200 or one.refused)
    text = Markup("The last request arrived {}.").format(_ago(now - last[0].moment))
    if bad == 0:
        return text + Markup(" All of the last {} were accepted.").format(len(last))
    words = "was not accepted, or only in part"
    if bad > 1:
        words = words.replace("was", "were", 1)
    return text + Markup(" <b>{} of the last {}</b> {}.").format(bad, len(last), words)


def _ago(seconds: int) -> str:
    if seconds < 2:
        return "just now"
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return f"{counted(seconds // size, name)} ago"
    return "just now"


def _shown(one: Arrival) -> dict[str, Any]:
    marks = [
        *(["legacy client"] if one.is_legacy else []),
        *(["repeated"] if one.is_repeated else []),
    ]
    return {
        "at": _at(one.moment),
        "time": _at(one.moment)[11:19],
        "status": one.status,
        "says": _WORDS.get(one.status, ""),
        "is_bad": one.status != 200 or bool(one.refused),
        "events": [
            f"{name} \N{MULTIPLICATION SIGN} {n}" if n > 1 else name for name, n in one.events
        ],
        "versions": [*one.versions, *marks],
        "refused": [
            f"{pointer or 'the event'} {rule}" + (f" \N{MULTIPLICATION SIGN} {n}" if n > 1 else "")
            for pointer, rule, n in one.refused
        ],
    }
