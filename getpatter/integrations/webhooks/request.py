"""A signed request: its URL as it was signed, its headers, its body and its fields.

Pure: nothing here reads a clock or knows a secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]

__all__ = [
    "BAD_SIGNATURE",
    "LARGEST_BODY",
    "MALFORMED",
    "NO_LIBRARY",
    "NO_SECRET",
    "NO_SIGNATURE",
    "STALE",
    "TOO_LARGE",
    "UNSIGNED_BODY",
    "Refused",
    "Request",
    "Verified",
    "form",
    "object_of",
    "public",
]

#: A callback is a few kilobytes; larger bodies are not read.
LARGEST_BODY = 1_048_576
# A callback has about thirty fields. A form of more costs time before its signature is known.
_MOST_FIELDS = 500
# Why a request is not believed.
NO_SECRET = "no_secret"  # noqa: S105 - a word, and no secret
NO_SIGNATURE = "no_signature"
BAD_SIGNATURE = "bad_signature"
STALE = "stale"
UNSIGNED_BODY = "unsigned_body"
TOO_LARGE = "too_large"
MALFORMED = "malformed"
METHOD = "method"
NO_LIBRARY = "no_library"
FORM = "application/x-www-form-urlencoded"


class Refused(Exception):  # noqa: N818 - it is an answer, and no error leaves this package
    """A request that is not believed; its text is one word that says why."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The fields of a request; or, if it is not believed, none, and why in one word.

    True if it is signed. `refusal` is `no_secret`, `no_signature`, `bad_signature`, `stale`,
    `unsigned_body`, `too_large`, `malformed`, `method` or `no_library`.
    """

    fields: Mapping[str, object] = field(default_factory=dict)
    refusal: str = ""

    def __bool__(self) -> bool:
        return not self.refusal


class Request:
    """What arrived. Raises `Refused` for what nobody sends who signs."""

    __slots__ = ("_headers", "body", "method", "url")

    def __init__(
        self, method: str, url: str, headers: Headers, body: bytes, public_url: str | None
    ) -> None:
        self.method = method.upper()
        if self.method not in ("GET", "POST"):
            raise Refused(METHOD)
        if len(body) > LARGEST_BODY:
            raise Refused(TOO_LARGE)
        self.body = bytes(body)
        self.url = url if public_url is None else public(url, public_url)
        pairs = headers.items() if hasattr(headers, "items") else headers
        self._headers: dict[str, str] = {}
        for name, value in pairs:
            # Of a header that is there twice the values are joined, as HTTP has it.
            key, text = _text(name).lower(), _text(value)
            before = self._headers.get(key)
            self._headers[key] = text if before is None else f"{before},{text}"

    def header(self, name: str) -> str:
        """Return a header, "" if there is none."""
        return self._headers.get(name, "").strip()

    @property
    def is_form(self) -> bool:
        """Whether the body is a form; carriers do not always say so of an empty one."""
        kind = self.header("content-type").partition(";")[0].strip().lower()
        return kind == FORM or not self.body

    @property
    def query(self) -> str:
        """The query of the URL, as it came."""
        return urlsplit(self.url).query


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def public(url: str, base: str) -> str:
    """Return the URL of a request as the carrier called it: below `base`, not below this server."""
    asked = urlsplit(url)
    query = f"?{asked.query}" if asked.query else ""
    return f"{base.rstrip('/')}{asked.path}{query}"


def form(text: str) -> list[tuple[str, str]]:
    """Return the fields of a form or a query, in order. Raises `Refused` for what is none."""
    try:
        return parse_qsl(
            text,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise Refused(MALFORMED) from None


def object_of(body: bytes) -> dict[str, object]:
    """Return the object that a JSON body is. Raises `Refused` for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(MALFORMED) from None
    if not isinstance(found, dict):
        raise Refused(MALFORMED)
    return found
