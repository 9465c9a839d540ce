"""What is in the bodies that the clients send: how many events, and which calls.

Every event has a dimension `carrier` and nothing else of that name, so its key counts events in
every format; the value of `call_uid` says which. Pure.
"""

import base64
import binascii
import gzip
import re
import urllib.parse
import zlib

__all__ = ["plain", "read"]

# A key in JSON is followed by a colon; in protobuf by the tag of its value.
_EVENT = re.compile(rb'\bcarrier(?:"\s*:|\x12)')
# Between key and value at most `": {"value": "`. What follows the 32 digits may look like one more:
# protobuf's tag of the next attribute is a "2".
_UID = re.compile(rb"\bcall_uid(?:\W|value){1,20}([0-9a-f]{32})")
# snowplow's events are base64 in JSON.
_INNER = re.compile(rb'"ue_px": "([A-Za-z0-9+/=_-]+)"')


def plain(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before compression and encodings; as it is if that is unclear."""
    try:
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "deflate":
            body = zlib.decompress(body)
    except (OSError, EOFError, zlib.error):
        return body
    if body.startswith(b"data="):  # a form, as mixpanel sends
        return urllib.parse.unquote_to_bytes(body.replace(b"+", b" "))
    try:
        return _INNER.sub(lambda found: base64.urlsafe_b64decode(found[1]), body)
    except binascii.Error:
        return body


def read(body: bytes, encoding: str) -> tuple[int, list[str]]:
    """Return how many events a body has, and the `call_uid` of each that has one."""
    text = plain(body, encoding)
    return len(_EVENT.findall(text)), [found.decode() for found in _UID.findall(text)]
