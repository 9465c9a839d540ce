"""HTTP answers with an end: within so many seconds and bytes, however they come.

A socket's own limit is for each read, so that a collector that sends a byte now and then, or
`100 Continue` for ever, would never be given up. Here each read is given what is left of the whole
request. Loaded with `requests`; knows nothing of batches.
"""

import http.client
import io
import os
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer

__all__ = ["BoundedAdapter"]

# Twice of what is read of a body: for the head, and what buffers read ahead.
_BYTES = 131_072


class _Bounds:
    """Until when the request that is under way is waited for. One is under way at a time."""

    def __init__(self) -> None:
        self.until = float("inf")


class _Reader(io.RawIOBase):
    """What comes from a socket, until the bounds are reached; then OSError."""

    def __init__(self, source: "socket.socket", bounds: _Bounds) -> None:
        self._source = source
        # The socket counts what was made of it, and stays open for as long as that is.
        self._raw = source.makefile("rb", buffering=0)
        self._until = bounds.until
        self._left = _BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int | None:
        seconds = self._until - time.monotonic()
        if seconds <= 0 or self._left <= 0:
            message = "the answer does not end"
            raise TimeoutError(message)
        self._source.settimeout(seconds)
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connections(queue.LifoQueue[Any]):
    """The connections of a pool. A `fork` child has none of them, and no lock that anyone held:
    urllib3 empties every pool when the process ends, and would wait for that lock for ever.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        me = weakref.ref(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _begin_anew(me))


def _begin_anew(connections: "weakref.ref[_Connections]") -> None:
    alive = connections()
    if alive is not None:
        alive.mutex = threading.Lock()
        alive.not_empty = threading.Condition(alive.mutex)
        alive.not_full = threading.Condition(alive.mutex)
        alive.all_tasks_done = threading.Condition(alive.mutex)
        alive.queue = []


class BoundedAdapter(HTTPAdapter):
    """An adapter whose answers end; `give` says when."""

    def __init__(self) -> None:
        self._bounds = bounds = _Bounds()

        class Response(http.client.HTTPResponse):
            def __init__(self, sock: "socket.socket", *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the base class
                super().__init__(sock, *args, **kwargs)
                self.fp.close()
                self.fp = io.BufferedReader(_Reader(sock, bounds))

            def begin(self) -> None:
                super().begin()
                # urllib3 would tell the host's log of a head that is out of order.
                self.headers.defects = []
                self.headers.set_payload("")

        class Plain(HTTPConnection):
            response_class = Response

        class Secure(HTTPSConnection):
            response_class = Response

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain
            QueueCls = _Connections

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure
            QueueCls = _Connections

        self._pools = {"http": PlainPool, "https": SecurePool}
        super().__init__()

    def give(self, seconds: float) -> None:
        """Let the next request take so long from now on."""
        self._bounds.until = time.monotonic() + seconds

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the base class
        """Make the pools for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as the base class
        """Make the pools for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager
