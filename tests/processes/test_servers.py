"""Web servers and task queues with worker processes: everything arrives once."""

import http.client
import signal
import socket
import subprocess

import pytest
from matrix import check
from stage import Stage

pytest_plugins = ("processes_fixtures",)

# Told where a server's own hooks stand, so that each worker tells, however requests are spread.
GUNICORN = """
workers = 2
def post_worker_init(worker):
    from tell import tell
    tell("running")
def worker_exit(server, worker):
    from tell import tell
    tell("ending")
"""
PRELOADED = (
    GUNICORN
    + """
preload_app = True
def pre_fork(server, worker):
    from tell import tell
    tell("before")
"""
)
WSGI = """
from tell import tell
def app(environ, start_response):
    tell("running")
    start_response("200 OK", [])
    return [b"served"]
"""


def get(listener: socket.socket) -> bytes:
    """Ask the server on that socket for its page."""
    host, port = listener.getsockname()
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def gunicorn(stage: Stage, listener: socket.socket, config: str) -> subprocess.Popen[bytes]:
    stage.write("application.py", WSGI)
    listening = listener.fileno()
    return stage.start(
        *("-m", "gunicorn", "--config", stage.write("gunicorn_config.py", config)),
        *("--bind", f"fd://{listening}", "--no-control-socket", "application:app"),
        pass_fds=[listening],
    )


@pytest.mark.parametrize(
    ("model", "config", "starts"),
    [
        ("gunicorn", GUNICORN, 2),
        ("gunicorn `--preload`", PRELOADED, 1),
        ("gunicorn `--worker-class gevent`", GUNICORN + "worker_class = 'gevent'", 2),
    ],
)
def test_gunicorn(
    stage: Stage, listener: socket.socket, model: str, config: str, starts: int
) -> None:
    server = gunicorn(stage, listener, config)
    stage.until(running=2)
    assert [get(listener) for _ in range(10)] == [b"served"] * 10
    stage.until(running=12)
    assert stage.arrive(), stage.output
    assert stage.finish(server, signal.SIGTERM) == 0, stage.output
    stage.until(ending=2)
    check(model, stage.settle())
    assert stage.starts() == stage.runs() == starts + 1


ASGI = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from getpatter.integrations.asgi import telemetry_lifespan
from tell import client, tell

async def page(request):
    tell("running")
    return PlainTextResponse(request.state.answer)

@asynccontextmanager
async def own(app):
    tell("running")
    yield {"answer": "served"}
    tell("ending")

app = Starlette(routes=[Route("/", page)], lifespan=telemetry_lifespan(client, own))
"""


def test_uvicorn_workers(stage: Stage, listener: socket.socket) -> None:
    stage.write("application.py", ASGI)
    listening = listener.fileno()
    server = stage.start(
        *("-m", "uvicorn", "--workers", 2, "--fd", listening, "application:app"),
        pass_fds=[listening],
    )
    stage.until(running=2)
    assert [get(listener) for _ in range(10)] == [b"served"] * 10
    stage.until(running=12)
    assert stage.arrive(), stage.output
    stage.finish(server, signal.SIGTERM)
    stage.until(ending=2)
    check("uvicorn `--workers`", stage.settle())
    assert stage.starts() == stage.runs() == 3


CELERY = """
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown
from tell import tell

app = Celery("application", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control",
}
tell("before")

@worker_process_init.connect
def begin(**_):
    tell("running")

@worker_process_shutdown.connect
def end(**_):
    tell("ending")

@app.task
def work():
    tell("running")
"""


def test_celery_prefork(stage: Stage) -> None:
    (stage.directory / "queue").mkdir()
    (stage.directory / "control").mkdir()
    stage.write("application.py", CELERY)
    worker = stage.start(
        *("-m", "celery", "--app", "application", "worker", "--pool", "prefork"),
        *("--concurrency", 2, "--without-mingle", "--without-gossip", "--without-heartbeat"),
    )
    stage.until(before=1, running=2)
    sender = stage.script("from application import work\nfor _ in range(10): work.delay()\n")
    assert stage.finish(sender) == 0, stage.output
    stage.until(before=2, running=12)
    assert stage.arrive(), stage.output
    assert stage.finish(worker, signal.SIGTERM) == 0, stage.output
    stage.until(ending=2)
    check("Celery, prefork", stage.settle())
    assert stage.starts() == stage.runs() == 3


def test_gevent_patched(stage: Stage) -> None:
    program = stage.script("""
from gevent import monkey
monkey.patch_all()
import gevent, os, sys
from gevent.fileobject import FileObjectThread
from tell import client, tell

for greenlet in [gevent.spawn(tell, "running") for _ in range(100)]:
    greenlet.join()
assert client.flush(60)
gevent.sleep(0)
tell("running")
FileObjectThread(sys.stdin.buffer).read()
tell("ending")
""")
    stage.until(running=101)
    assert stage.arrive(), stage.output
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=1)
    check("gevent, patched", stage.settle())
    assert stage.starts() == stage.runs() == 2


LATE = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("patch", LATE.values(), ids=LATE)
def test_patched_while_a_client_is_at_work(stage: Stage, patch: str) -> None:
    """Its thread is a real one, and has ended or not when green threads come."""
    program = stage.script(f"""
from tell import client, tell

tell("running")
assert client.flush(60)
{patch}
for _ in range(3):
    tell("running")
    assert client.flush(60)
""")
    stage.until(running=4)
    assert stage.arrive(), stage.output
    assert stage.finish(program) == 0, stage.output


@pytest.mark.parametrize("patch", LATE.values(), ids=LATE)
def test_patched_between_two_threads_of_ours(stage: Stage, patch: str) -> None:
    """What was loaded before is used by what begins after."""
    program = stage.script(f"""
from getpatter.telemetry import TelemetryClient
from tell import client, tell

tell("running")
assert client.flush(60)
{patch}
import tell as program
program.client = TelemetryClient(sdk_version="1")
tell("running")
assert program.client.flush(60)
""")
    stage.until(running=2)
    assert stage.arrive(), stage.output
    assert stage.finish(program) == 0, stage.output


def test_eventlet_patched(stage: Stage) -> None:
    program = stage.script("""
import eventlet
eventlet.monkey_patch()
from tell import client, tell

pool = eventlet.GreenPool()
for _ in range(100):
    pool.spawn(tell, "running")
pool.waitall()
assert client.flush(60)
eventlet.sleep(0)
tell("ending")
""")
    stage.until(running=100)
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=1)
    assert stage.arrive(), stage.output


# Patches at the moment when our thread runs the code of a module.
AT_AN_IMPORT = """
import importlib.machinery, sys, threading
from gevent import monkey
reached, go_on = threading.Lock(), threading.Lock()
reached.acquire(), go_on.acquire()

class Held:
    def find_spec(self, name, path=None, target=None):
        if name != MODULE or threading.current_thread() is threading.main_thread():
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        def held(module):
            reached.release()
            go_on.acquire()
            execute(module)
        spec.loader.exec_module = held
        return spec

sys.meta_path.insert(0, Held())
from tell import client, tell
tell("running")
assert reached.acquire(timeout=60)
monkey.patch_all()
go_on.release()
for _ in range(2):
    assert client.flush(60), client.stats()
    tell("running")
assert client.flush(60), client.stats()
"""


@pytest.mark.parametrize(
    "module", ["run", "delivery.outbox", "delivery.uploader", "delivery.transport", "_turns"]
)
def test_gevent_patched_while_our_thread_imports(stage: Stage, module: str) -> None:
    """Then the import in hand fails, because gevent replaces the import system's own locks."""
    name = f"getpatter.telemetry.{module}"
    program = stage.script(AT_AN_IMPORT.replace("MODULE", repr(name)))
    stage.until(running=3)
    assert stage.arrive(), stage.output
    assert stage.finish(program) == 0, stage.output
    assert "Traceback" not in stage.output
