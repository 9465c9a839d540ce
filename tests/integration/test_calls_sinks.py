"""The file, the webhook and OpenTelemetry: bounded, retried, each event once."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from lone_call import lone_call

from getpatter.calls import Event, EventsLost, Hub, JsonLinesSink, WebhookSink
from getpatter.calls.sinks.signature import HEADER, sign, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 60.0
SECRET = "an invented secret"


class Null:
    def record(self, name: str, /, **dimensions: object) -> None:
        """Telemetry is another matter."""


def event(number: int, text: str = "") -> Event:
    return Event("event", "mine", "node", 1_700_000_000_000_000 + number, number, {"text": text})


# JSON lines


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_an_event(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path)
    events = [event(0, "grüße\n☎"), event(1, "\ud800 alone")]
    sink.write(events[:1])
    sink.write(events[1:])
    sink.close()
    sink.close()
    assert read(path)[0] == events[0].as_dict()
    assert [line["sequence"] for line in read(path)] == [0, 1]
    assert path.stat().st_mode & 0o077 == 0


def test_the_file_is_rotated_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path, max_bytes=1_000, files=3)
    sink.write([event(number, "x" * 50) for number in range(100)])
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2"]
    assert all(0 < file.stat().st_size <= 1_000 for file in tmp_path.iterdir())
    files = [tmp_path / f"calls.jsonl{suffix}" for suffix in (".2", ".1", "")]
    kept = [line["sequence"] for file in files for line in read(file)]
    assert kept == list(range(100 - len(kept), 100))
    sink.close()


def test_a_single_file_begins_anew(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "calls.jsonl", max_bytes=1_000, files=1)
    sink.write([event(number, "x" * 50) for number in range(100)])
    (file,) = tmp_path.iterdir()
    assert read(file)[-1]["sequence"] == 99
    assert file.stat().st_size <= 1_000


def test_an_event_that_does_not_fit_is_lost_alone(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path, max_bytes=500)
    with pytest.raises(EventsLost) as raised:
        sink.write([event(0), event(1, "x" * 500), event(2)])
    assert raised.value.lost == 1
    assert [line["sequence"] for line in read(path)] == [0, 2]


def test_who_finds_the_file_rotated_or_gone_opens_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path)
    sink.write([event(0)])
    path.rename(tmp_path / "elsewhere")
    sink.write([event(1)])
    path.unlink()
    sink.write([event(2)])
    assert [line["sequence"] for line in read(path)] == [2]


WRITER = """
import sys
from getpatter.calls import Event, JsonLinesSink
sink = JsonLinesSink(sys.argv[1], max_bytes=10_000_000)
for number in range(300):
    sink.write([Event("e", sys.argv[2], "n", 1, number, {"text": "x" * 500})])
"""


def test_processes_share_a_file_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b", "c")]
    assert [writer.wait(LONG) for writer in writers] == [0, 0, 0]
    for name in ("a", "b", "c"):
        told = [line["sequence"] for line in read(path) if line["session"] == name]
        assert told == list(range(300))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError),
        ((None,), TypeError),
        (("",), ValueError),
        (("no/such/directory/calls.jsonl",), OSError),
    ],
)
def test_a_file_that_cannot_be_is_refused_at_once(
    arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        JsonLinesSink(*arguments)


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"files": 0}])
def test_a_bound_that_is_none_is_refused_at_once(tmp_path: Path, options: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        JsonLinesSink(tmp_path / "calls.jsonl", **options)


# webhook


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps the requests; answers what `answers` says, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        answers = self.server.answers
        status, headers = answers.pop(0) if answers else (200, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join(LONG)


def hook(receiver: Receiver, **options: Any) -> WebhookSink:
    return WebhookSink(receiver.url, SECRET, timeout=LONG, first_pause=0.001, **options)


def test_a_signed_body_that_the_receiver_can_verify(receiver: Receiver) -> None:
    sink = hook(receiver)
    assert sink.write([event(0, "a"), event(1, "b")]) is None
    sink.close()
    ((headers, body),) = receiver.requests
    assert json.loads(body) == {"events": [event(0, "a").as_dict(), event(1, "b").as_dict()]}
    header = headers[HEADER]
    at = int(header.partition(",")[0].removeprefix("t="))
    assert verify(SECRET, header, body, at)
    assert not verify("another", header, body, at)
    assert not verify(SECRET, header, body + b" ", at)
    assert not verify(SECRET, header, body, at + 1_000)
    allowed = {"Host", "User-Agent", "Content-Type", "Content-Length", "Idempotency-Key", HEADER}
    assert headers.keys() <= allowed | {"Accept-Encoding", "Connection"}


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=00", "t=,v1=", "t=x,v1=00", "t=1,v1=é", f"t={'9' * 99},v1=0", "=,=,="]
)
def test_a_signature_that_is_none_is_refused(header: str) -> None:
    assert verify(SECRET, header, b"body", 1) is False


def test_the_signature_is_the_one_documented() -> None:
    """For receivers in other languages; made with openssl, not with this code."""
    expected = "t=1700000000,v1=3947de27ec923573170fccda604ddfb25583ff98dc51e96cca2e11c59545026a"
    assert sign(b"secret", b'{"events":[]}', 1_700_000_000) == expected


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_work_later_is_sent_again_under_the_same_key(
    receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, {}), (status, {})]
    hub = Hub(hook(receiver))
    hub.emitter("x", hub.session()).emit("event", {})
    assert hub.flush(LONG)
    bodies = [body for _, body in receiver.requests]
    keys = [headers["Idempotency-Key"] for headers, _ in receiver.requests]
    assert len(bodies) == 3
    assert len(set(bodies)) == len(set(keys)) == 1
    hub.emitter("x", hub.session()).emit("another", {})
    hub.close(LONG)
    assert receiver.requests[-1][0]["Idempotency-Key"] != keys[0]


def test_it_is_given_up_after_so_many_attempts_and_counted(receiver: Receiver) -> None:
    receiver.answers = [(503, {})] * 3
    hub = Hub()
    hub.attach(hook(receiver, attempts=3), "hook")
    emitter = hub.emitter("x", hub.session())
    emitter.emit("event", {})
    assert hub.flush(LONG)
    assert len(receiver.requests) == 3
    stats: Any = hub.stats()
    assert stats["sinks"]["hook"]["lost"] == {"sink_failed": 1}
    emitter.emit("event", {})
    assert hub.flush(LONG)
    stats = hub.stats()
    assert stats["sinks"]["hook"]["delivered"] == 1
    hub.close(LONG)


@pytest.mark.parametrize("error", [SystemExit(), KeyError("of an adapter"), MemoryError()])
def test_events_that_an_exception_loses_leave_their_key_to_no_others(
    receiver: Receiver, error: BaseException
) -> None:
    class Broken(Event):
        def as_dict(self) -> dict[str, object]:
            raise error

    receiver.answers = [(503, {})]
    sink = hook(receiver)
    assert sink.write([event(0)]) is not None
    with pytest.raises(type(error)):
        sink.write([Broken("event", "mine", "node", 0, 0, {})])
    assert sink.write([event(1)]) is None
    first, second = [headers["Idempotency-Key"] for headers, _ in receiver.requests]
    assert first != second


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413])
def test_what_will_never_work_is_given_up_at_once(receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]
    sink = hook(receiver)
    with pytest.raises(EventsLost, match=f"HTTP {status}"):
        sink.write([event(0)])
    assert len(receiver.requests) == 1


def test_a_receiver_says_when_to_come_again(receiver: Receiver) -> None:
    receiver.answers = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "soon"})]
    sink = hook(receiver)
    assert sink.write([event(0)]) == 7.0
    assert sink.write([event(0)]) == 0.002  # 0.001, doubled
    assert sink.write([event(0)]) is None


def test_nobody_there_is_tried_again() -> None:
    with Receiver() as gone:
        url = gone.url
    sink = WebhookSink(url, SECRET, attempts=2, first_pause=0.5)
    assert sink.write([event(0)]) == 0.5
    with pytest.raises(EventsLost, match="not reached"):
        sink.write([event(0)])


def test_no_credentials_of_the_machine_are_sent(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    hook(receiver).write([event(0)])
    ((headers, _),) = receiver.requests
    assert "Authorization" not in headers


FORK = """
import os, sys
from getpatter.calls import Hub, WebhookSink
hub = Hub(WebhookSink(sys.argv[1], "secret"))
hub.emitter("x", hub.session()).emit("before", {})
assert hub.flush(60)
child = os.fork()
name = "parent" if child else "child"
for _ in range(5):
    hub.emitter("x", hub.session()).emit(name, {})
    assert hub.flush(60)
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_does_not_share_its_parents_connection(receiver: Receiver) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, receiver.url], check=False, timeout=LONG)
    assert done.returncode == 0
    types = [json.loads(body)["events"][0]["type"] for _, body in receiver.requests]
    assert {name: types.count(name) for name in ("before", "parent", "child")} == {
        "before": 1,
        "parent": 5,
        "child": 5,
    }


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("", SECRET),
        ("ftp://example.com", SECRET),
        ("https://", SECRET),
        ("http://example.com/hook", SECRET),
        ("https://example.com/hook", ""),
        ("https://example.com:0/hook", SECRET),
        ("https://example.com:99999/hook", SECRET),
        ("https://example.com:port/hook", SECRET),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_at_once(url: str, secret: str) -> None:
    with pytest.raises(ValueError, match=r"webhook|[Pp]ort"):
        WebhookSink(url, secret)


def test_plain_http_is_possible_if_it_is_asked_for() -> None:
    WebhookSink("http://collector:8080/hook", SECRET, allow_http=True)


# OpenTelemetry: a process of its own, since its providers are set once in a process

OTEL = """
import json
import asyncio
from contextlib import suppress
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
tracers = TracerProvider(); tracers.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([reader]))
loggers = LoggerProvider(); loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
set_logger_provider(loggers)

from getpatter import Patter
from getpatter.calls import Hub, OpenTelemetrySink
hub = Hub(OpenTelemetrySink())
patter = Patter(carrier="none", telemetry=False, diagnostics=hub,
                credentials={"OPENAI_API_KEY": "invented"})
agent = patter.agent(stt="deepgram/nova-3", llm="openai/gpt-4o", tts="cartesia/sonic-2")
try:
    with patter.call(direction="outbound", agent=agent, session="mine") as call:
        call.turn()
        with call.stage("stt"): pass
        with call.activate(), tracers.get_tracer("http").start_as_current_span("GET"):
            with call.stage("llm") as stage: stage.first()
        call.turn()
        with call.emitter("tools").span("look.up", {"city": "Bologna", "deep": {}}, turn_id="2"):
            pass
        with suppress(ValueError), call.emitter("tools").span("failed"):
            raise ValueError
        with call.stage("tts"): raise TimeoutError("too late")
except TimeoutError:
    pass
open_call = patter.call(direction="inbound", session="open")
async def work():
    with open_call.activate():
        await asyncio.sleep(0)
        with tracers.get_tracer("http").start_as_current_span("POST"):
            pass
asyncio.run(work())
assert hub.flush(60)
with call.activate():  # it has ended
    assert not trace.get_current_span().get_span_context().is_valid
hub.close(60)

points = {}
for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
    for metric in scope.metrics:
        for point in metric.data.data_points:
            points.setdefault(metric.name, []).append(
                [metric.unit, point.count, point.sum, dict(point.attributes)])
print(json.dumps({
    "spans": [
        {"name": s.name, "id": s.context.span_id, "trace": s.context.trace_id,
         "parent": s.parent and s.parent.span_id, "start": s.start_time, "end": s.end_time,
         "attributes": dict(s.attributes), "status": s.status.status_code.name,
         "kind": s.kind.name}
        for s in spans.get_finished_spans()],
    "logs": [
        {"name": r.log_record.event_name, "body": dict(r.log_record.body),
         "trace": r.log_record.trace_id, "severity": r.log_record.severity_text,
         "attributes": dict(r.log_record.attributes)}
        for r in logs.get_finished_logs()],
    "points": points,
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-c", OTEL],
        check=False,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_call_is_a_span_with_its_turns_and_their_stages(told: dict[str, Any]) -> None:
    by_id = {span["id"]: span for span in told["spans"]}
    below: dict[str, list[str]] = {}
    for span in sorted(by_id.values(), key=lambda span: span["start"]):
        parent = by_id.get(span["parent"])
        number = "" if parent is None else parent["attributes"].get("getpatter.turn.number", "")
        name = "" if parent is None else f"{parent['name']}{number}"
        below.setdefault(name, []).append(span["name"])
    assert below == {
        "": ["call", "call"],
        "call": ["turn", "GET", "turn", "failed", "POST"],
        "turn1": ["stt", "chat gpt-4o"],
        "turn2": ["look.up", "tts"],
    }
    spans = {span["name"]: span for span in told["spans"]}
    call = next(span for span in told["spans"] if span["kind"] == "CLIENT" and not span["parent"])
    unfinished = spans["call"]
    assert unfinished["attributes"]["gen_ai.conversation.id"] == "open"
    assert unfinished["trace"] == spans["POST"]["trace"] != call["trace"]
    for span in told["spans"]:
        assert span["start"] <= span["end"]
        if span["trace"] == call["trace"]:
            assert call["start"] <= span["end"] <= call["end"]
    assert call["status"] == "ERROR"
    assert call["attributes"]["error.type"] == "timeout"
    assert call["attributes"]["gen_ai.provider.name"] == "openai"
    assert call["attributes"]["getpatter.call.direction"] == "outbound"
    assert (spans["tts"]["status"], spans["stt"]["status"]) == ("ERROR", "UNSET")
    assert spans["tts"]["attributes"]["error.type"] == "REQUEST_TIMEOUT"


def test_a_span_of_ones_own_says_what_its_event_does(told: dict[str, Any]) -> None:
    own = {span["name"]: span for span in told["spans"]}
    assert own["look.up"]["attributes"] == {
        "gen_ai.conversation.id": "mine",
        "getpatter.node": "tools",
        "getpatter.data.city": "Bologna",
    }
    assert (own["look.up"]["status"], own["failed"]["status"]) == ("UNSET", "ERROR")
    assert own["failed"]["attributes"]["error.type"] == "ValueError"


def test_a_call_may_be_activated_without_a_sink_that_has_spans() -> None:
    class Raising:
        def write(self, events: object) -> None:
            pass

        def close(self) -> None:
            pass

        def activate(self, *_: object, **__: object) -> None:
            raise SystemExit

    for hub in (None, Hub(), Hub(Raising())):
        call = lone_call(Null(), {}, hub=hub)
        with call.activate() as active:
            assert active is call
        call.end()
        with pytest.raises(KeyError), call.activate():
            raise KeyError


def test_the_language_model_has_the_names_of_genai(told: dict[str, Any]) -> None:
    (span,) = (span for span in told["spans"] if span["name"] == "chat gpt-4o")
    attributes = span["attributes"]
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.request.model"] == "gpt-4o"
    seconds = (span["end"] - span["start"]) / 1e9
    assert 0 <= attributes["gen_ai.response.time_to_first_chunk"] <= seconds + 0.001


def test_durations_are_histograms_in_seconds(told: dict[str, Any]) -> None:
    points = told["points"]
    assert {unit for rows in points.values() for unit, *_ in rows} == {"s"}
    assert {name: sum(row[1] for row in rows) for name, rows in points.items()} == {
        "getpatter.call.duration": 1,
        "getpatter.stage.duration": 3,
        "gen_ai.client.operation.duration": 1,
        "gen_ai.client.operation.time_to_first_chunk": 1,
    }
    ((_, _, seconds, labels),) = points["getpatter.call.duration"]
    call = next(span for span in told["spans"] if span["kind"] == "CLIENT" and not span["parent"])
    assert 0 <= seconds <= (call["end"] - call["start"]) / 1e9 + 0.001
    assert labels == {"getpatter.call.outcome": "error", "error.type": "timeout"}


def test_every_event_is_a_log_record_in_the_trace_of_its_call(told: dict[str, Any]) -> None:
    mine = [r for r in told["logs"] if r["attributes"]["gen_ai.conversation.id"] == "mine"]
    assert [record["attributes"]["getpatter.sequence"] for record in mine] == list(range(15))
    assert mine[0]["name"] == "call.started"
    assert mine[-1]["name"] == "call.ended"
    assert len({record["trace"] for record in mine} - {0}) == 1
    assert mine[-1]["severity"] == "WARN"
    assert mine[3]["body"]["stage"] == "stt"


def test_a_late_webhook_does_not_hold_up_the_file(tmp_path: Path) -> None:
    """A receiver that accepts and never answers: the file goes on, and the end does not wait."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        path = tmp_path / "calls.jsonl"
        hub = Hub(WebhookSink(url, SECRET, timeout=LONG), JsonLinesSink(path))
        with lone_call(Null(), {}, hub=hub) as call:
            connection, _ = listener.accept()  # the webhook hangs in its request
            for number in range(20):
                call.emitter("x").emit("event", {"number": number})
        for _ in range(int(LONG)):
            if hub.flush(1.0) or path.read_text().count('"call.ended"'):
                break
        assert path.read_text().count('"event"') >= 20
        assert path.read_text().count('"call.ended"') == 1
        connection.close()
        hub.close(0.0)
