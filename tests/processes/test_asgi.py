"""The ASGI helpers under uvicorn, which ends a process in a way that runs no exit hook."""

import http.client
import signal
import socket
import subprocess

import pytest
from stage import Stage

pytest_plugins = ("processes_fixtures",)

STARLETTE = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from getpatter.integrations.asgi import telemetry_lifespan
from tell import client, tell

async def page(request):
    tell("running")
    return PlainTextResponse(getattr(request.state, "answer", "none"))

@asynccontextmanager
async def own(app):
    yield {"answer": "its state"}
    tell("ending")

@asynccontextmanager
async def failing(app):
    tell("running")
    raise RuntimeError("no database")
    yield

routes = [Route("/", page)]
alone = Starlette(routes=routes, lifespan=telemetry_lifespan(client))
both = Starlette(routes=routes, lifespan=telemetry_lifespan(client, own))
broken = Starlette(routes=routes, lifespan=telemetry_lifespan(client, failing))
"""
PLAIN = """
from getpatter.integrations.asgi import telemetry_app
from tell import client, tell

async def answer(send):
    tell("running")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"none"})

async def without_lifespan(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("can only handle HTTP")
    await answer(send)

async def with_lifespan(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tell("ending")
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await answer(send)

async def failing(scope, receive, send):
    await receive()
    raise RuntimeError("no database")

alone = telemetry_app(without_lifespan, client)
both = telemetry_app(with_lifespan, client)
broken = telemetry_app(failing, client)
"""


def serve(
    stage: Stage, listener: socket.socket, name: str, text: str, **variables: str
) -> subprocess.Popen[bytes]:
    stage.write("application.py", text)
    listening = listener.fileno()
    return stage.start(
        *("-m", "uvicorn", "--fd", listening, "--lifespan", "on", f"application:{name}"),
        pass_fds=[listening],
        variables=variables,
    )


def get(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("text", [STARLETTE, PLAIN], ids=["telemetry_lifespan", "telemetry_app"])
@pytest.mark.parametrize(("name", "ending"), [("alone", 0), ("both", 1)])
def test_what_was_recorded_last_arrives(
    stage: Stage, listener: socket.socket, text: str, name: str, ending: int
) -> None:
    server = serve(stage, listener, name, text)
    has_state = name == "both" and text == STARLETTE
    assert get(listener) == ("its state" if has_state else "none")
    assert stage.finish(server, signal.SIGTERM) == -signal.SIGTERM
    stage.until(running=1, ending=ending)
    assert stage.arrive(), stage.output
    assert "ERROR" not in stage.output
    stage.settle()


@pytest.mark.parametrize("text", [STARLETTE, PLAIN], ids=["telemetry_lifespan", "telemetry_app"])
def test_an_application_that_cannot_start_says_so_as_before(
    stage: Stage, listener: socket.socket, text: str
) -> None:
    server = serve(stage, listener, "broken", text)
    assert stage.finish(server) == 3  # uvicorn's, for a failed start
    assert "no database" in stage.output
    stage.settle()


@pytest.mark.parametrize("text", [STARLETTE, PLAIN], ids=["telemetry_lifespan", "telemetry_app"])
def test_a_collector_that_never_answers_holds_no_server(
    stage: Stage, listener: socket.socket, text: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/ingest"
        server = serve(stage, listener, "both", text, PATTER_TELEMETRY_ENDPOINT=endpoint)
        get(listener)
        # Far less than the patience of the test: it hangs, or it does not.
        assert stage.finish(server, signal.SIGTERM) == -signal.SIGTERM
    assert "ERROR" not in stage.output
