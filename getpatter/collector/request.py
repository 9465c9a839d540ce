"""Reads a request: headers, body, events. Pure; `Refused` carries the status and a fixed sentence.

No sentence repeats anything of the request.
"""

from __future__ import annotations

import re
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from getpatter.collector.batch import ReceivedBatch, RefusedEvent
from getpatter.collector.keys import Key
from getpatter.collector.limits import HOUR, MAX_AGE, MAX_BODY, MAX_EVENTS
from getpatter.telemetry.losses import REASONS, UNKNOWN_EVENT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from getpatter.collector.batch import Loss, RefusalKind
    from getpatter.collector.judge import EventJudge

__all__ = ["Headers", "Refused", "check_head", "read_batch"]

Headers = dict[bytes, bytes]

_KEY = re.compile(rb"[0-9a-f]{32}")
_AGE = re.compile(rb"[0-9]{1,6}")
_RATE = re.compile(rb"[0-9]{1,20}([.][0-9]{1,20})?(e-?[0-9]{1,3})?")
_LOSS = re.compile(rb"([a-z_]{1,64}):([a-z_]{1,64})=([0-9]{1,9})")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_MOST_LOSSES = 256  # every event with every reason is below that


class Refused(Exception):  # noqa: N818 - it is an answer, not an error
    """A request that is not in order: status, the rule it breaks, and the sentence that says so."""

    def __init__(self, status: int, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.rule = rule


def check_head(headers: Headers) -> None:
    """Refuse by the headers what must not be read."""
    length = headers.get(b"content-length")
    if length is None or b"transfer-encoding" in headers:
        raise Refused(411, "length", "Content-Length is missing")
    if not _LENGTH.fullmatch(length):
        raise Refused(400, "length", "Content-Length must be a number")
    if int(length) > MAX_BODY:
        raise Refused(413, "body", f"a body must have at most {MAX_BODY} bytes")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Refused(415, "type", "Content-Type must be application/json")
    if _encoding(headers) not in {b"identity", b"gzip"}:
        raise Refused(415, "encoding", "Content-Encoding must be gzip or identity")


def _encoding(headers: Headers) -> bytes:
    return headers.get(b"content-encoding", b"identity").strip().lower()


def read_batch(
    headers: Headers, body: bytes, judge: EventJudge, releases: Collection[str], now: int
) -> ReceivedBatch:
    """Return the batch that a request holds, each of its events judged."""
    text = _gunzip(body) if _encoding(headers) == b"gzip" else body
    age = _read_age(headers.get(b"patter-batch-age"))
    key = _read_key(headers.get(b"idempotency-key"), text, (now - age) // HOUR)
    batch = ReceivedBatch(
        key=key,
        received=now,
        age=age,
        rate=_read_rate(headers.get(b"patter-sample-rate")),
        events=[],
        losses=_read_report(headers.get(b"patter-client-report"), judge.events),
    )
    events = _read_events(text)
    batch.size = len(events)
    for index, event in enumerate(events):
        violation = judge.violation(event, is_legacy=key.is_legacy)
        if violation is None:
            batch.events.append((index, event))
        else:
            batch.refused.append(RefusedEvent(index, *violation))
            batch.refusals.append(_kind(event, *violation, judge, releases))
    return batch


def _read_events(text: bytes) -> list[Any]:
    try:
        events = orjson.loads(text)
    except ValueError:
        raise Refused(400, "json", "the body must be JSON") from None
    if not isinstance(events, list) or not events:
        raise Refused(400, "array", "the body must be an array of events")
    if len(events) > MAX_EVENTS:
        raise Refused(413, "events", f"a batch must have at most {MAX_EVENTS} events")
    return events


def _gunzip(body: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)  # 31: gzip only
    try:
        text = stream.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise Refused(400, "gzip", "the body must be gzip") from None
    if len(text) > MAX_BODY:
        raise Refused(413, "body", f"a body must have at most {MAX_BODY} bytes")
    if not stream.eof or stream.unused_data:
        raise Refused(400, "gzip", "the body must be one whole gzip member")
    return text


def _read_key(key: bytes | None, text: bytes, hour: int) -> Key:
    is_legacy = key is None
    if key is None:
        key = sha256(text).hexdigest()[:32].encode()
    elif not _KEY.fullmatch(key):
        raise Refused(400, "key", "Idempotency-Key must be 32 hexadecimal digits")
    return Key(int(key[:16], 16), int(key[16:], 16), hour, is_legacy)


def _read_age(text: bytes | None) -> int:
    if text is None:
        return 0
    if not _AGE.fullmatch(text) or int(text) > MAX_AGE:
        raise Refused(400, "age", f"Patter-Batch-Age must be a whole number up to {MAX_AGE}")
    return int(text)


def _read_rate(text: bytes | None) -> float | None:
    if text is None:
        return None
    if not _RATE.fullmatch(text) or not 0 <= float(text) <= 1:
        raise Refused(400, "rate", "Patter-Sample-Rate must be a number between 0 and 1")
    return float(text)


def _read_report(text: bytes | None, events: Collection[str]) -> dict[Loss, int]:
    losses: dict[Loss, int] = {}
    items = text.split(b",") if text else []
    if len(items) > _MOST_LOSSES:
        raise Refused(400, "report", "Patter-Client-Report is too long")
    for item in items:
        found = _LOSS.fullmatch(item.strip())
        if not found:
            raise Refused(400, "report", "Patter-Client-Report must be event:reason=count, ...")
        event, reason = found[1].decode(), found[2].decode()
        # A name that is not ours could say anything.
        loss = (
            event if event in events else UNKNOWN_EVENT,
            reason if reason in REASONS else "other",
        )
        losses[loss] = losses.get(loss, 0) + int(found[3])
    return losses


def _kind(
    event: object, pointer: str, rule: str, judge: EventJudge, releases: Collection[str]
) -> RefusalKind:
    """Return by what a refused event is counted: nothing that we do not know already."""
    if not isinstance(event, dict):
        return 200, None, None, pointer, rule, None
    known: Mapping[str, Any] = event
    name, version, release = (known.get(f) for f in ("event", "schema_version", "sdk_version"))
    return (
        200,
        int(version) if type(version) in {int, float} and version in judge.versions else None,
        name if type(name) is str and name in judge.events else None,
        pointer,
        rule,
        release if type(release) is str and release in releases else None,
    )
