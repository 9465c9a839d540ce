"""What leaves is the contract's, byte by byte, whatever the host has patched; and the host's traces
and tests know nothing of it. Each host is a process of its own: such patches cannot be taken back.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Run
from recorder import Recorder, recording

POST = re.compile(
    rb"POST /v1/ingest HTTP/1\.1\r\n"
    rb"Host: 127\.0\.0\.1:[0-9]+\r\n"
    rb"Accept-Encoding: identity\r\n"
    rb"Content-Length: [0-9]+\r\n"
    rb"User-Agent: getpatter/1\.2\.3\r\n"
    rb"Content-Type: application/json\r\n"
    rb"Idempotency-Key: [0-9a-f]{32}\r\n"
    rb"Patter-Batch-Age: [0-9]\r\n"
    rb"Patter-Sample-Rate: 1\.0\r\n"
    rb"\r\n(\[.*\])"
)
DELETE = re.compile(
    rb"DELETE /v1/installs/[0-9a-f]{32} HTTP/1\.1\r\n"
    rb"Host: 127\.0\.0\.1:[0-9]+\r\n"
    rb"Accept-Encoding: identity\r\n"
    rb"Content-Length: 0\r\n"
    rb"User-Agent: getpatter/[0-9a-z.]+\r\n"
    rb"\r\n"
)

SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.socket import SocketIntegration
from sentry_sdk.transport import Transport

class Kept(Transport):
    items = []
    def capture_envelope(self, envelope):
        Kept.items += [item.payload.json for item in envelope.items]

sentry_sdk.init(
    "http://key@127.0.0.1:9/1",
    traces_sample_rate=1.0,
    transport=Kept,
    default_integrations=True,
    integrations=[SocketIntegration()],
)

@contextlib.contextmanager
def host():
    with sentry_sdk.start_transaction(op="task", name="patient Jane Roe"):
        yield
    sentry_sdk.capture_message("done")

def traces():
    said = [str(span.get("description")) for item in Kept.items for span in item.get("spans", ())]
    crumbs = [item.get("breadcrumbs", {}).get("values", ()) for item in Kept.items]
    return said + [str(crumb.get("data")) for values in crumbs for crumb in values]
"""

OTEL = """
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
for instrumentor in (RequestsInstrumentor, ThreadingInstrumentor, URLLib3Instrumentor):
    instrumentor().instrument()

@contextlib.contextmanager
def host():
    context.attach(baggage.set_baggage("patient", "Jane Roe"))
    with trace.get_tracer("host").start_as_current_span("patient Jane Roe"):
        yield

def traces():
    found = exporter.get_finished_spans()
    return [str(dict(one.attributes)) for one in found if one.name != "patient Jane Roe"]
"""

BY_HAND = """
import functools, http.client, threading, urllib3, requests
calls = []

def wrap(owner, name, change):
    original = getattr(owner, name)
    def wrapped(self, *args, **kwargs):
        calls.append(name)
        change(self, args, kwargs)
        return original(self, *args, **kwargs)
    setattr(owner, name, wrapped)

def at_send(session, args, kwargs):
    args[0].headers["X-Patient"] = "Jane Roe"

def at_request(session, args, kwargs):
    kwargs["headers"] = {"X-Patient": "Jane Roe", **(kwargs.get("headers") or {})}

def at_end(connection, args, kwargs):
    connection.putheader("traceparent", "Jane Roe")

wrap(requests.Session, "send", at_send)
wrap(requests.Session, "request", at_request)
wrap(requests.Session, "prepare_request", at_send)
wrap(urllib3.HTTPConnectionPool, "urlopen", at_request)
wrap(http.client.HTTPConnection, "putrequest", lambda *_: None)
wrap(http.client.HTTPConnection, "endheaders", at_end)
wrap(http.client.HTTPConnection, "getresponse", lambda *_: None)
wrap(threading.Thread, "run", lambda *_: None)
http.client.HTTPConnection.debuglevel = 1
requests.sessions.default_headers = lambda: {"X-Patient": "Jane Roe"}
requests.utils.default_user_agent = lambda *_: "Jane Roe"

@contextlib.contextmanager
def host():
    yield

def traces():
    return [name for name in calls if name != "run"]
"""

PROGRAM = """
import json
import requests
from getpatter.cli import main
from getpatter.telemetry import TelemetryClient

with host():
    client = TelemetryClient(sdk_version="1.2.3")
    client.record("cli_command", cli_command="demo")
    assert client.flush(30)
    ours = traces()
    if not own:
        main(["telemetry", "forget", "--remote", "--yes"])
        ours = traces()
    else:
        requests.get(own, timeout=30)
        client.record("cli_command", cli_command="demo")
print(json.dumps({"ours": ours, "all": traces()}))
"""

HOSTS = pytest.mark.parametrize("host", [SENTRY, OTEL, BY_HAND], ids=["sentry", "otel", "by hand"])


@pytest.fixture
def collector() -> Iterator[Recorder]:
    with recording() as running:
        yield running


def last_line(output: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(output.splitlines()[-1])
    return said


@HOSTS
@pytest.mark.parametrize("mode", ["wait", "detach"])
def test_a_batch_is_the_contracts_and_the_hosts_requests_stay_the_hosts(
    run: Run, collector: Recorder, host: str, mode: str
) -> None:
    with recording() as other:
        done = run(
            f"import contextlib\nown = {other.url + '/own'!r}\n{host}{PROGRAM}",
            PATTER_TELEMETRY_ENDPOINT=f"{collector.url}/v1/ingest",
            PATTER_TELEMETRY_EXIT=mode,
        )
        assert done.returncode == 0, done.stderr
        # The last one is sent by the ending program, or by the sender that takes over from it.
        sent = collector.wait_for(2)
        (own,) = other.requests
    for request in sent:
        match = POST.fullmatch(request)
        assert match is not None, request
        assert [event["event"] for event in json.loads(match[1])] == ["cli_command"]
    said = last_line(done.stdout)
    assert said["ours"] == []
    assert said["all"] != []
    assert not any("/v1/ingest" in one or str(collector.port) in one for one in said["all"])
    assert re.search(rb"(?i)sentry-trace|traceparent|x-patient", own)
    assert b"Jane" not in b"".join(sent)


@HOSTS
def test_erasing_is_the_contracts_too(run: Run, collector: Recorder, host: str) -> None:
    done = run(
        f"import contextlib\nown = None\n{host}{PROGRAM}",
        PATTER_TELEMETRY_ENDPOINT=f"{collector.url}/v1/ingest",
    )
    assert done.returncode == 0, done.stderr
    posted, erased = collector.requests
    assert POST.fullmatch(posted), posted
    assert DELETE.fullmatch(erased), erased
    assert last_line(done.stdout)["ours"] == []
    assert "send:" not in done.stdout


LOGGING = """
import http.client, logging
logging.basicConfig(level=logging.DEBUG)
http.client.HTTPConnection.debuglevel = 1
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1.2.3")
client.record("cli_command", cli_command="demo")
assert client.flush(30)
client.close(5)
"""


def test_the_hosts_log_and_debugging_say_nothing_of_our_requests(
    run: Run, collector: Recorder
) -> None:
    endpoint = f"{collector.url}/v1/ingest"
    first = run(LOGGING, PATTER_TELEMETRY_ENDPOINT=endpoint)
    second = run(LOGGING, PATTER_TELEMETRY_ENDPOINT=endpoint)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert "DEBUG:" not in first.stderr
    assert (second.stdout, second.stderr) == ("", "")
    assert len(collector.requests) == 2


@pytest.mark.parametrize(
    ("package", "version"),
    [("urllib3", "99.0.1"), ("urllib3", "0.1.2"), ("charset_normalizer", "99.1.2")],
)
@pytest.mark.parametrize("flags", ["", "error"])
def test_what_requests_warns_of_is_not_the_hosts_to_read(
    run: Run, collector: Recorder, package: str, version: str, flags: str
) -> None:
    """As errors, such warnings would keep it from being loaded at all."""
    old = f"import {package}\n{package}.__version__ = {version!r}\n"
    old += f"import sys\nsys.modules['{package}'].__version__ = {version!r}\n"
    done = run(
        old + LOGGING.replace("logging.basicConfig(level=logging.DEBUG)", ""),
        PATTER_TELEMETRY_ENDPOINT=f"{collector.url}/v1/ingest",
        PYTHONWARNINGS=flags,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert len(collector.requests) == 1


def test_a_warning_of_the_hosts_is_still_heard_while_ours_are_not() -> None:
    import warnings

    from getpatter.telemetry._quiet import quiet_import

    before = list(warnings.filters)
    with quiet_import(), pytest.warns(DeprecationWarning, match="the host's"):
        warnings.warn("the host's", DeprecationWarning, stacklevel=1)
    assert list(warnings.filters) == before


@pytest.mark.parametrize("entry", ["None", "b'/x/site-packages'", "7", "pathlib.Path('/x')"])
def test_what_is_no_text_in_the_import_path_is_passed_over(
    run: Run, collector: Recorder, entry: str
) -> None:
    done = run(
        f"""
import pathlib, sys
from getpatter.telemetry import TelemetryClient
sys.path[:0] = [{entry}, {entry}]
client = TelemetryClient(sdk_version="1.2.3")
client.record("cli_command", cli_command="demo")
""",
        PATTER_TELEMETRY_ENDPOINT=f"{collector.url}/v1/ingest",
        PATTER_TELEMETRY_EXIT="detach",
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert len(collector.wait_for(1)) == 1
