"""A request as it arrived, and an answer to it: what `testing.Receiver` hands out and takes."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

__all__ = ["MAX_BODY", "Answer", "Request", "RequestError", "encode", "read_events"]

MAX_BODY = 1024 * 1024  # compressed or not; 64 of the largest events are below 100 KiB
MAX_AGE = 604_800  # a spooled batch lives for a week

_LOSS = re.compile("([a-z_]{1,64}):([a-z_]{1,64})=([0-9]{1,9})")


class RequestError(ValueError):
    """A request that is not in order, and the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer for `Receiver.answer`.

    The status decides whether the batch is taken (2xx) or not. ``body`` replaces the usual one
    (`b""` says nothing), ``headers`` add to the usual ones or replace them, ``delay`` seconds are
    waited first. With ``close`` the connection is closed in place of the answer:
    ``Answer(200, close=True)`` is a batch that was taken and whose answer got lost.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    close: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived, and the status of its answer, sent or not (0: not yet known).

    ``headers[name]`` ignores case and is None where there is no such header. ``body`` is as it was
    on the wire, possibly compressed. `batch_age`, `sample_rate` and `client_report` raise
    ValueError for a header that the receiver refused.
    """

    method: str
    path: str
    headers: Message
    body: bytes
    status: int

    @property
    def events(self) -> list[Any]:
        """The batch, refused events included; empty if the body is none."""
        try:
            return read_events(self.headers, self.body)
        except RequestError:
            return []

    @property
    def is_legacy(self) -> bool:
        """Whether it has neither an idempotency key nor a header of ours: of a released client."""
        return self.idempotency_key is None and not any(
            name.lower().startswith("patter-") for name in self.headers
        )

    @property
    def idempotency_key(self) -> str | None:
        """`Idempotency-Key`."""
        return self.headers["Idempotency-Key"]

    @property
    def batch_age(self) -> int | None:
        """`Patter-Batch-Age`, in seconds."""
        return _read_age(self.headers["Patter-Batch-Age"])

    @property
    def sample_rate(self) -> float | None:
        """`Patter-Sample-Rate`."""
        return _read_rate(self.headers["Patter-Sample-Rate"])

    @property
    def client_report(self) -> dict[tuple[str, str], int]:
        """`Patter-Client-Report`: (event, reason) -> how many were lost."""
        return _read_report(self.headers["Patter-Client-Report"])


def encode(value: object) -> bytes:
    """Return the body that says `value`."""
    return json.dumps(value).encode("ascii")


def read_events(headers: Message, body: bytes) -> list[Any]:
    """Return the batch in `body`; RequestError if it is none."""
    encoding = (headers["Content-Encoding"] or "identity").strip().lower()
    if encoding not in {"gzip", "identity"}:
        raise RequestError(415, "the body may be compressed with gzip only")
    text = _gunzip(body) if encoding == "gzip" else body
    try:
        batch = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RequestError(400, "not JSON") from None
    if not isinstance(batch, list) or not batch:
        raise RequestError(400, "not an array of events")
    return batch


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _gunzip(body: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)  # 31: gzip only
    try:
        text = stream.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise RequestError(400, "not gzip") from None
    if len(text) > MAX_BODY:
        raise RequestError(413, f"more than {MAX_BODY} bytes once uncompressed")
    if not stream.eof:
        raise RequestError(400, "gzip ends early")
    return text


def _read_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,6}", text) or int(text) > MAX_AGE:
        raise RequestError(400, f"Patter-Batch-Age must be a whole number up to {MAX_AGE}")
    return int(text)


def _read_rate(text: str | None) -> float | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]+([.][0-9]+)?(e-?[0-9]+)?", text) or not 0 <= float(text) <= 1:
        raise RequestError(400, "Patter-Sample-Rate must be a number between 0 and 1")
    return float(text)


def _read_report(text: str | None) -> dict[tuple[str, str], int]:
    losses: dict[tuple[str, str], int] = {}
    for item in text.split(",") if text else []:
        loss = _LOSS.fullmatch(item.strip())
        if not loss:
            raise RequestError(400, "Patter-Client-Report is not event:reason=count, …")
        losses[loss[1], loss[2]] = losses.get((loss[1], loss[2]), 0) + int(loss[3])
    return losses
