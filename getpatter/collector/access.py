"""Who may open the pages: the host name is checked, and beyond loopback a token is asked for.

A token is 32 random bytes; the file `tokens` in the data directory has their digests. It is sent as
a Bearer token or as the password of HTTP Basic, whatever the user name.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from getpatter.collector import clock

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

__all__ = ["Guard", "add_token", "is_loopback", "names", "remove_token"]

_FILE = "tokens"
_SHOWN = 8  # digits of a digest by which a token is named
# Says nothing of what is kept, and a load balancer has no token.
_FREE = frozenset({"/livez", "/readyz"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]{1,5})?")
_CHALLENGE = (
    'Basic realm="getpatter collector", charset="UTF-8", Bearer realm="getpatter collector"'
)


def _digests(directory: str) -> list[str]:
    try:
        with open(os.path.join(directory, _FILE), encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def names(directory: str) -> list[str]:
    """Return by what the tokens are named: the first digits of their digests."""
    return [digest[:_SHOWN] for digest in _digests(directory)]


def add_token(directory: str) -> str:
    """Make a token and keep its digest; the token itself is nowhere but in what is returned."""
    token = clock.random_id() + clock.random_id()
    _write(directory, [*_digests(directory), _digest(token)])
    return token


def remove_token(directory: str, name: str) -> bool:
    """Remove the token of that name; return whether there was one."""
    known = _digests(directory)
    kept = [digest for digest in known if digest[:_SHOWN] != name]
    _write(directory, kept)
    return len(kept) < len(known)


def _write(directory: str, digests: list[str]) -> None:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, _FILE)
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.writelines(f"{digest}\n" for digest in digests)
    os.replace(f"{path}.new", path)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def is_loopback(bound: socket.socket) -> bool:
    """Return whether only this machine can connect."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


class Guard:
    """An ASGI application that lets through to another one what may."""

    def __init__(
        self,
        application: Any,  # noqa: ANN401 - any ASGI application
        directory: str,
        hosts: Collection[str],
        *,
        is_open: bool,
    ) -> None:
        self._application = application
        self._directory = directory
        self._hosts = {name.lower() for name in hosts} | {"localhost"}
        self._is_open = is_open

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Answer a request, or hand it on."""
        headers = [(name, value.decode("latin-1")) for name, value in scope.get("headers", ())]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            answer = JSONResponse({"error": "this host name is not served: see --host"}, 421)
            await answer(scope, receive, send)
        elif self._is_open or scope["path"] in _FREE or self._is_known(headers):
            await self._application(scope, receive, send)
        else:
            refusal = {"WWW-Authenticate": _CHALLENGE}
            await JSONResponse({"error": "a token is needed"}, 401, refusal)(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        """Return whether a browser that names `host` means us.

        An address cannot be anybody else's name for us; a name can, if its owner wants to.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1] or found[2]
        if name.lower() in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_known(self, headers: list[tuple[bytes, str]]) -> bool:
        given = [_token_of(value) for name, value in headers if name == b"authorization"]
        if len(given) != 1 or given[0] is None:
            return False
        digest = _digest(given[0])
        return any(hmac.compare_digest(digest, known) for known in _digests(self._directory))


def _token_of(value: str) -> str | None:
    kind, _, rest = value.partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return pair.partition(":")[2]
