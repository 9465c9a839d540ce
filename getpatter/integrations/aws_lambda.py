"""AWS Lambda: deliver what an invocation recorded before the process is frozen.

Between invocations no thread runs, and a process that is not used any more ends without a word.
Imports nothing of AWS.
"""

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = ["flush_after"]

P = ParamSpec("P")
R = TypeVar("R")

# A request to a collector takes a tenth of it; the caller of the function waits for the rest.
_SECONDS = 0.5
# Left to the runtime to hand over the answer, before it calls the invocation timed out.
_MARGIN_SECONDS = 0.1


class _Flushable(Protocol):
    def flush(self, timeout: float = ..., /) -> bool: ...


def flush_after(
    client: _Flushable, *, timeout: float = _SECONDS
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a handler so that what it records is delivered before it returns.

    ``@flush_after(phone.telemetry)`` above ``def handler(event, context):``. Waits at most
    `timeout` seconds after each invocation, and never so long that the invocation would time out,
    as far as its context shows (`get_remaining_time_in_millis`). What could not be delivered is
    tried again with the next invocation. The handler's answer and what it raises stay as they are;
    no error of the delivery reaches it.
    """

    def decorate(handler: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(handler)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return handler(*args, **kwargs)
            finally:
                with suppress(Exception):  # the answer matters more than any event
                    client.flush(_bounded(timeout, args, kwargs))

        return wrapped

    return decorate


def _bounded(timeout: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Return the timeout, or what the invocation has left if that is less."""
    # Lambda calls handler(event, context); a test may call it in any way.
    context = args[1] if len(args) > 1 else kwargs.get("context")
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is None:
        return timeout
    return max(0.0, min(timeout, float(remaining()) / 1000 - _MARGIN_SECONDS))
