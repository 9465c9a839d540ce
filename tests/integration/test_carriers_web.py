"""Callbacks behind real servers: what is answered, and that only what was signed is believed."""

from __future__ import annotations

import asyncio
import http.client
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import carrier_requests as made
import pytest
import uvicorn
from carrier_requests import TOKEN, Sent
from starlette.applications import Starlette
from starlette.routing import Mount

from getpatter import Patter
from getpatter.calls import Event, Hub
from getpatter.integrations.carriers import twilio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run

ROOT = Path(__file__).parents[2]
PUBLIC = "https://voice.example.com/base"
BUSY = [("CallSid", "CA1"), ("CallStatus", "busy"), ("CallerName", "Zoë %2B")]
LONG = 60.0


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def wsgi_server(phone: Patter) -> Iterator[int]:
    # The validator looks at each request and answer by the rules of WSGI.
    application = validator(twilio.wsgi(phone, TOKEN, public_url=PUBLIC))
    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def asgi_server(phone: Patter) -> Iterator[int]:
    yield from _uvicorn(twilio.asgi(phone, TOKEN, public_url=PUBLIC))


@contextmanager
def mounted(phone: Patter) -> Iterator[int]:
    application = twilio.asgi(phone, TOKEN, public_url=PUBLIC)
    yield from _uvicorn(Starlette(routes=[Mount("/status", application)]))


def _uvicorn(application: Any) -> Iterator[int]:
    config = uvicorn.Config(application, port=0, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


SERVERS = {"wsgi": wsgi_server, "asgi": asgi_server, "mounted": mounted}


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def phone(events: list[Event]) -> Patter:
    return Patter(carrier="none", telemetry=False, diagnostics=Hub(events.append))


@pytest.fixture(params=SERVERS)
def port(request: pytest.FixtureRequest, phone: Patter) -> Iterator[int]:
    make: Callable[[Patter], Any] = SERVERS[request.param]
    with make(phone) as running:
        yield running


def post(port: int, sent: Sent, **more: str) -> int:
    """Send a request to this machine, whatever URL was signed; return the status."""
    parts = urlsplit(sent.url)
    target = parts.path.removeprefix("/base") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(sent.method, target, sent.body or None, {**sent.headers, **more})
        answer = connection.getresponse()
        assert answer.read() == b""
        return answer.status
    finally:
        connection.close()


def test_what_was_signed_is_taken_and_all_else_is_refused(
    port: int, phone: Patter, events: list[Event]
) -> None:
    for url in (f"{PUBLIC}/status/", f"{PUBLIC}/status/a%20b/?tenant=%C3%A9&x="):
        for sent in (made.twilio(BUSY, url), made.twilio(BUSY[:2], url, method="GET")):
            assert post(port, sent) == 204
            assert post(port, sent._replace(url=sent.url + "?a=1&b=2")) == 403
    sent = made.twilio(BUSY, f"{PUBLIC}/status/")
    assert post(port, sent._replace(body=sent.body + b"&a=1")) == 403
    assert post(port, sent._replace(headers={})) == 403
    assert post(port, sent._replace(method="PUT")) == 403
    assert post(port, sent._replace(body=b"")) == 403
    assert post(port, sent._replace(body=b"\xff" * 9)) == 403
    assert post(port, made.twilio_json({"CallSid": "CA3"}, f"{PUBLIC}/status/")) == 204
    assert phone.diagnostics.flush(LONG)
    assert [e.data["outcome"] for e in events if e.type == "call.ended"] == ["busy"]
    refused = [event.data for event in events if event.data.get("status") == 403]
    assert len(refused) == 9


def test_a_body_that_is_too_large_is_not_read(port: int) -> None:
    sent = made.twilio(BUSY, f"{PUBLIC}/status/")
    assert post(port, sent._replace(body=b"a" * 1_100_000)) == 413
    assert post(port, sent) == 204


def test_a_server_that_starts_it_alone_has_a_lifespan(phone: Patter) -> None:
    with asgi_server(phone) as port:
        assert post(port, made.twilio(BUSY, f"{PUBLIC}/")) == 204


def test_a_client_that_goes_away_gets_no_answer(phone: Patter) -> None:
    sent: list[object] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        application = twilio.asgi(phone, TOKEN)
        await application({"type": "http", "method": "POST", "path": "/"}, receive, send)
        await application({"type": "websocket", "path": "/"}, receive, send)

    asyncio.run(ask())
    assert sent == []


def test_a_wsgi_server_without_the_target_of_the_request_will_do(phone: Patter) -> None:
    """Then the URL is made of what WSGI itself has."""
    from io import BytesIO

    sent = made.twilio(BUSY, "https://voice.example.com:8443/status/a%20%C3%A9?x=%2B")
    answers: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/status",
        "PATH_INFO": "/a \u00c3\u00a9",
        "QUERY_STRING": "x=%2B",
        "SERVER_NAME": "inside",
        "HTTP_HOST": "voice.example.com:8443",
        "HTTP_X_TWILIO_SIGNATURE": sent.headers["X-Twilio-Signature"],
        "CONTENT_TYPE": made.FORM,
        "wsgi.url_scheme": "https",
    }
    application = twilio.wsgi(phone, TOKEN)
    for more in (
        {"CONTENT_LENGTH": str(len(sent.body))},
        {"wsgi.input_terminated": True},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "-1"},
    ):
        environ["wsgi.input"] = BytesIO(sent.body)
        application({**environ, **more}, lambda status, _: answers.append(status))
    assert answers == ["204 No Content", "204 No Content", "403 Forbidden", "403 Forbidden"]


def test_the_example_runs_without_an_account(run: Run) -> None:
    path = ROOT / "examples" / "carrier_status.py"
    run_it = f"runpy.run_path({str(path)!r}, run_name='__main__')"
    done = run(f"import runpy, sys; sys.argv = ['carrier_status']; {run_it}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("answered 204") == 3
    assert sum("'outcome': 'busy'" in line for line in lines) == 1
    assert sum("'outcome': 'completed'" in line for line in lines) == 1
