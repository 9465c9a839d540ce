"""One process, two listeners: clients, and operators. Starts, drains, ends.

Nothing is logged but what is printed here: uvicorn's and asyncio's loggers are silenced, since what
they say may quote a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from getpatter.collector import answering, clock, control, operate, public, recommend
from getpatter.collector.access import Guard, is_loopback
from getpatter.collector.arrivals import Arrivals
from getpatter.collector.commit import Committer
from getpatter.collector.ingest import Ingest
from getpatter.collector.judge import EventJudge
from getpatter.collector.limits import DRAIN_SECONDS
from getpatter.collector.metrics import Metrics
from getpatter.collector.pages import Pages, Site, problem, report
from getpatter.collector.protocol import BoundedProtocol
from getpatter.collector.reserve import Reserve
from getpatter.collector.store import Store
from getpatter.collector.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["Options", "bind", "serve"]


class Options:
    """What `serve` is started with."""

    def __init__(
        self,
        listen: socket.socket,
        pages: socket.socket,
        *,
        reserve: int | None = None,
        recommend: str | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        self.listen = listen
        self.pages = pages
        self.reserve = reserve
        self.recommend = recommend
        self.hosts = hosts


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, not yet listening; OSError if the address cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


class _Server(uvicorn.Server):
    """A listener. Signals are ours: two listeners must not each take them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(application: Any, protocol: Any) -> _Server:  # noqa: ANN401 - any ASGI application
    return _Server(
        uvicorn.Config(
            application,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )


def serve(options: Options, store: Store, say: Callable[[str], None]) -> int:
    """Run until SIGTERM or SIGINT, then drain; return the exit code."""
    _be_silent()
    return uvloop.run(_Collector(options, store, say).run())


def _be_silent() -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        logger.setLevel(logging.CRITICAL + 1)
    # The type only: a message may quote what arrived.
    threading.excepthook = lambda hook: _say_type(hook.exc_type)


def _say_type(kind: type[BaseException]) -> None:
    _say(kind.__name__)


def _say(line: str) -> None:
    print(f"getpatter collector: {line}", file=sys.stderr, flush=True)


class _Collector:
    def __init__(self, options: Options, store: Store, say: Callable[[str], None]) -> None:
        self._options = options
        self._store = store
        self._say = say
        self._judge = EventJudge()
        self._metrics = Metrics()
        self._reserve = Reserve(store.directory, options.reserve)
        self._committer = Committer(store, self._reserve, self._metrics)
        self._upkeep = Upkeep(store, self._reserve, self._metrics, self._committer.fail)
        arrivals = Arrivals(clock.now())
        self._ingest = Ingest(store, self._committer, self._judge, self._metrics, arrivals)
        self._answers = answering.Answering(store)
        site = Site(
            store, self._answers, arrivals, self._endpoint, lambda: self._ingest.recommended
        )
        pages = Pages(store, self._committer, self._reserve, self._metrics, site)
        guard = Guard(
            pages.application,
            store.directory,
            options.hosts,
            is_open=is_loopback(options.pages),
        )
        self._listeners = [
            (_listener(self._ingest, BoundedProtocol), options.listen),
            (_listener(guard, BoundedProtocol), options.pages),
        ]

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._count)
        self._read_recommended()
        self._committer.start(loop, self._stop)
        self._upkeep.start()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        commands = await control.serve(self._store.directory, self._actions())
        running = [
            asyncio.ensure_future(server.serve(sockets=[bound]))
            for server, bound in self._listeners
        ]
        # uvicorn says it in an attribute only.
        while not all(server.started for server, _ in self._listeners):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        # In one write: whoever reads the first line may close the pipe.
        self._say(f"ingest {self._endpoint()}\npages {_url(self._options.pages)}")
        await asyncio.gather(*running)
        commands.close()
        await asyncio.to_thread(self._committer.close)
        await asyncio.to_thread(self._upkeep.close)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._store.directory, "control"))
        return 1 if self._committer.failure else 0

    def _endpoint(self) -> str:
        return f"{_url(self._options.listen)}v1/ingest"

    def _stop(self) -> None:
        for server, _ in self._listeners:
            server.should_exit = True

    def _count(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Count what nobody caught, by its type; asyncio would print it with what it held."""
        error = context.get("exception")
        self._metrics.internal_errors.labels(type(error).__name__ if error else "asyncio").inc()

    def _reload(self) -> None:
        """Read again what is read from a file, and say in a line what is recommended now."""
        if self._options.recommend is None:
            _say("nothing to read again: there is no --recommend")
        elif self._read_recommended():
            _say(f"clients are recommended {recommend.text(self._ingest.recommended or {})}")

    def _read_recommended(self) -> bool:
        """Read the recommended configuration; one that cannot be used changes nothing."""
        if self._options.recommend is None:
            return False
        try:
            self._ingest.recommended = recommend.read(self._options.recommend, self._judge)
        except recommend.RecommendationError as error:
            _say(f"{error}; what was recommended before stays")
            return False
        return True

    # What commands ask for over the control socket

    def _actions(self) -> dict[str, control.Action]:
        return {
            "status": self._status,
            "erase": self._erase,
            "compact": self._compact,
            "backup": self._backup,
            "ask": self._ask,
            "check": self._check,
            "public": self._public,
            "report": self._report,
        }

    async def _status(self, _: dict[str, Any], __: control.Say) -> Any:  # noqa: ANN401 - JSON
        reason = await problem(self._store, self._committer)
        facts = await asyncio.to_thread(operate.status, self._store)
        return {
            **facts,
            "running": True,
            "pid": os.getpid(),
            "ingest": self._endpoint(),
            "pages": _url(self._options.pages),
            "ready": reason is None,
            "reason": reason,
            "recommended": self._ingest.recommended,
        }

    async def _erase(self, request: dict[str, Any], _: control.Say) -> Any:  # noqa: ANN401 - JSON
        return await asyncio.to_thread(operate.erase, self._store, str(request["install"]))

    async def _ask(self, request: dict[str, Any], _: control.Say) -> Any:  # noqa: ANN401 - JSON
        question, given = str(request["question"]), dict(request["filters"])
        return await asyncio.to_thread(self._answers.ask, question, given)

    async def _check(self, request: dict[str, Any], _: control.Say) -> Any:  # noqa: ANN401 - JSON
        return await asyncio.to_thread(answering.check, self._store, dict(request["filters"]))

    async def _public(self, request: dict[str, Any], _: control.Say) -> Any:  # noqa: ANN401 - JSON
        known = [str(name) for name in request["known"]]
        return await asyncio.to_thread(public.weeks, self._store, known, clock.now())

    async def _report(self, _: dict[str, Any], __: control.Say) -> Any:  # noqa: ANN401 - JSON
        return await asyncio.to_thread(report, self._answers.ask)

    async def _compact(self, _: dict[str, Any], say: control.Say) -> Any:  # noqa: ANN401 - JSON
        say("rewriting the store; clients are answered 503 meanwhile")
        return await asyncio.to_thread(operate.compact, self._store)

    async def _backup(self, request: dict[str, Any], say: control.Say) -> Any:  # noqa: ANN401 - JSON
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(say, text)

        return await asyncio.to_thread(operate.backup, self._store, str(request["target"]), tell)


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
