"""A recommended configuration: a file that the operator writes, read again on SIGHUP.

It can only reduce what is collected: a rate, events to leave out, off.
"""

from __future__ import annotations

from typing import Any

import orjson

from getpatter.collector.judge import EventJudge

__all__ = ["RecommendationError", "read", "text"]

_FIELDS = {"sample_rate", "without", "off"}
_MAX_BYTES = 65_536


class RecommendationError(ValueError):
    """The file cannot be used; the message says why, in one line."""


def read(path: str, judge: EventJudge) -> dict[str, Any]:
    """Return what the file recommends. RecommendationError if it cannot be used."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
        found = orjson.loads(content)
    except OSError as error:
        message = f"{path}: {error.strerror or type(error).__name__}"
        raise RecommendationError(message) from None
    except ValueError:
        message = f"{path}: not JSON"
        raise RecommendationError(message) from None
    if not isinstance(found, dict) or not found.keys() <= _FIELDS:
        message = f"{path}: must be an object with any of sample_rate, without, off"
        raise RecommendationError(message)
    rate, without, off = (found.get(name) for name in ("sample_rate", "without", "off"))
    if rate is not None and (type(rate) not in {int, float} or not 0 <= rate <= 1):
        message = f"{path}: sample_rate must be a number between 0 and 1"
        raise RecommendationError(message)
    if without is not None and not (
        isinstance(without, list)
        and all(isinstance(name, str) and name in judge.events for name in without)
    ):
        message = f"{path}: without must be a list of event names"
        raise RecommendationError(message)
    if off is not None and off is not True:
        message = f"{path}: off must be true, or be left out"
        raise RecommendationError(message)
    return found


def text(found: dict[str, Any]) -> str:
    """Return what is recommended in a few words."""
    parts: list[str] = []
    if found.get("off"):
        parts.append("to send nothing")
    if found.get("sample_rate") is not None:
        parts.append(f"a sample rate of {found['sample_rate']} at most")
    if found.get("without"):
        parts.append(f"to leave out {', '.join(found['without'])}")
    return "; ".join(parts) or "nothing"
