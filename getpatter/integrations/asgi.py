"""ASGI: deliver what was recorded when the server shuts the application down.

A server may end its process in a way in which Python runs no exit hook: uvicorn sends itself the
signal that stopped it once more. The lifespan's end comes before that. Imports no framework.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar, overload

__all__ = ["telemetry_app", "telemetry_lifespan"]

# The application, as Starlette and FastAPI hand it over, and what a lifespan yields.
App = TypeVar("App")
State = TypeVar("State")

_Lifespan = Callable[[App], AbstractAsyncContextManager[State]]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_AsgiApp = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]

# Servers allow a shutdown some seconds (uvicorn any time, gunicorn 30 s): a fraction of that.
_SECONDS = 2.0


class _Drainable(Protocol):
    async def drain(self, timeout: float = ..., /) -> None: ...


@overload
def telemetry_lifespan(client: _Drainable, *, timeout: float = ...) -> _Lifespan[Any, None]: ...
@overload
def telemetry_lifespan(
    client: _Drainable, lifespan: _Lifespan[App, State], *, timeout: float = ...
) -> _Lifespan[App, State]: ...
def telemetry_lifespan(
    client: _Drainable,
    lifespan: _Lifespan[Any, Any] | None = None,
    *,
    timeout: float = _SECONDS,
) -> _Lifespan[Any, Any]:
    """Return a lifespan for Starlette, FastAPI and their like that delivers at shutdown.

    ``FastAPI(lifespan=telemetry_lifespan(phone.telemetry))``. A lifespan of your own goes in as
    the second argument: it is entered and left as before, its state is passed on, what it raises
    is raised, and what it records as it ends is still delivered. Waits at most `timeout` seconds
    after it, without blocking the event loop; no error of the delivery ever reaches the server.
    The client stays usable: an application may be started again.
    """

    @asynccontextmanager
    async def wrapped(app: object) -> AsyncIterator[object]:
        try:
            if lifespan is None:
                yield None
            else:
                async with lifespan(app) as state:
                    yield state
        finally:
            await _drain(client, timeout)

    return wrapped


def telemetry_app(app: _AsgiApp, client: _Drainable, *, timeout: float = _SECONDS) -> _AsgiApp:
    """Return `app`, delivering at shutdown: for any ASGI application, also one without lifespan.

    ``app = telemetry_app(get_asgi_application(), phone.telemetry)``. Delivers before the server
    hears that the shutdown is complete, or has failed, so that it waits for it: at most `timeout`
    seconds, without blocking the event loop. An application that refuses the lifespan before it
    has read anything of it, as Django's does, gets one that does nothing else.
    """

    async def wrapped(scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        is_read = False

        async def read() -> _Message:
            nonlocal is_read
            is_read = True
            return await receive()

        async def send_when_delivered(message: _Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await _drain(client, timeout)
            await send(message)

        try:
            await app(scope, read, send_when_delivered)
        except Exception:
            if is_read:
                raise  # it knows the lifespan, and failed in it
            await _live(receive, send_when_delivered)

    return wrapped


async def _live(receive: _Receive, send: _Send) -> None:
    """The lifespan of an application that has none."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def _drain(client: _Drainable, timeout: float) -> None:
    with suppress(Exception):  # the server's shutdown matters more than any event
        await client.drain(timeout)
