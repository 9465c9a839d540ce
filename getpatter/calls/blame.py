"""Blame: which error code an exception stands for, and whether it came from a stage. Pure."""

from __future__ import annotations

import concurrent.futures

from getpatter.calls.words import FailureCode
from getpatter.errors import ConfigurationError

__all__ = ["ERROR_CODES", "comes_from", "error_code", "failure_code"]

#: What an error code of `call_completed` can be; anything else is free text.
ERROR_CODES = frozenset(
    {
        *("auth", "config", "connection", "input_validation", "internal", "provider_error"),
        *("provision", "rate_limit", "timeout", "webhook_verification", "other"),
    }
)
# Exception → error code, failure code: the first that fits.
_CODES: tuple[tuple[type[BaseException], str, FailureCode], ...] = (
    (TimeoutError, "timeout", FailureCode.REQUEST_TIMEOUT),
    (concurrent.futures.TimeoutError, "timeout", FailureCode.REQUEST_TIMEOUT),
    (PermissionError, "auth", FailureCode.SERVER_ERROR),
    (ConnectionError, "connection", FailureCode.NETWORK_ERROR),
    (ConfigurationError, "config", FailureCode.CUSTOM),
)
# Until 3.10 asyncio's timeout is no builtin one; to import asyncio for it costs every host 30 ms.
_ASYNCIO_TIMEOUT = ("asyncio.exceptions", "TimeoutError")
# How many links of a chain of causes are followed to the stage that an error came from.
_LINKS = 64


def error_code(error: BaseException) -> str | None:
    """Return the error code of `call_completed` that an exception stands for, if one is known."""
    return _codes(error)[0]


def failure_code(error: BaseException) -> FailureCode:
    """Return the code with which a stage fails that an exception leaves."""
    if not isinstance(error, Exception):  # a cancelled task, a closed generator, Ctrl-C
        return FailureCode.CLIENT_ABORTED
    return _codes(error)[1]


def comes_from(error: BaseException, origin: BaseException) -> bool:
    """Return whether `origin` is `error`, one of its causes, or grouped in one of them."""
    links: list[BaseException] = [error]
    for link in links:
        if link is origin:
            return True
        if len(links) > _LINKS:
            return False
        grouped = getattr(link, "exceptions", ())  # an ExceptionGroup's, from Python 3.11 on
        causes = (link.__cause__, link.__context__, *(grouped if type(grouped) is tuple else ()))
        links += [cause for cause in causes if isinstance(cause, BaseException)]
    return False


def _codes(error: BaseException) -> tuple[str | None, FailureCode]:
    for kind, code, failure in _CODES:
        if isinstance(error, kind):
            return code, failure
    if any((kind.__module__, kind.__name__) == _ASYNCIO_TIMEOUT for kind in type(error).__mro__):
        return "timeout", FailureCode.REQUEST_TIMEOUT
    return None, FailureCode.CUSTOM
