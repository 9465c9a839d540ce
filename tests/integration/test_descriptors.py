"""Descriptors: none of ours stands for a standard stream, and none of the host's is ever taken for
ours. Each host is a process of its own.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from conftest import Run
from recorder import Recorder, recording

from getpatter.telemetry.testing import Receiver

COMMON = """
import gc, json, os, socket, stat, sys, threading, time
from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.transport import HttpTransport
from getpatter.calls.sinks.webhook import WebhookSink

endpoint = os.environ["PATTER_TELEMETRY_ENDPOINT"]
batch = Batch([{"event": "x"}], "0123456789abcdef" * 2, 0.0, {})

def kind(number):
    try:
        return "socket" if stat.S_ISSOCK(os.fstat(number).st_mode) else "other"
    except OSError:
        return "closed"
"""

STREAMS = """
for number in closed:
    os.close(number)
transport = HttpTransport(endpoint)
status = transport.send(batch, 0.0).status
from getpatter.telemetry.testing import Receiver
receiver = Receiver()
another = HttpTransport(receiver.endpoint)
assert another.send(batch, 0.0).status == 200
kinds = [kind(number) for number in (0, 1, 2)]
with open(os.environ["REPORT"], "w") as report:
    json.dump({"status": status, "kinds": kinds}, report)
"""


@pytest.mark.parametrize("closed", [(1,), (0,), (0, 1), (0, 1, 2)])
def test_no_socket_of_ours_is_a_standard_stream(
    run: Run, receiver: Receiver, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    report = tmp_path / "report"
    code = f"{COMMON}\nclosed = {closed!r}\n{STREAMS}"
    done = run(code, REPORT=str(report))
    assert done.returncode == 0, done.stderr
    said = json.loads(report.read_text())
    assert said["status"] == 200
    assert "socket" not in said["kinds"]
    assert len(receiver.requests) == 1


PROBE = """
from getpatter.calls.precall import precall_test
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
os.close(1)
found = []
def probe():
    found.extend(precall_test([f"http://127.0.0.1:{port}/"], probes=1, timeout=30))
thread = threading.Thread(target=probe)
thread.start()
import select
select.select([listener], [], [], 30)
kinds = [kind(number) for number in (0, 1, 2)]
connection, _ = listener.accept()
connection.recv(1000)
connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
thread.join(30)
with open(os.environ["REPORT"], "w") as report:
    json.dump({"succeeded": found[0]["succeeded"], "kinds": kinds}, report)
"""


def test_no_probe_is_a_standard_stream(run: Run, tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = run(COMMON + PROBE, REPORT=str(report))
    assert done.returncode == 0, done.stderr
    said = json.loads(report.read_text())
    assert said["succeeded"] == 1
    assert said["kinds"][1] != "socket"


FILES = """
from getpatter import Patter
from getpatter.calls import JsonLinesSink
for number in closed:
    os.close(number)
opened, numbers = os.open, {}
def noted(path, flags, *more, **named):
    number = opened(path, flags, *more, **named)
    if flags & (os.O_WRONLY | os.O_RDWR):
        numbers[os.path.basename(path)] = number
    return number
os.open = noted
phone = Patter(carrier="none")
phone.diagnostics.attach(JsonLinesSink("calls.jsonl"))
with phone.call(direction="inbound"):
    pass
phone.telemetry.flush(20)
phone.telemetry.record("cli_command", cli_command="demo")
phone.telemetry.flush(1)
phone.diagnostics.close(20)
with open(os.environ["REPORT"], "w") as report:
    json.dump(numbers, report)
"""


@pytest.mark.parametrize("closed", [(1,), (0, 1)])
def test_no_file_that_is_written_is_a_standard_stream_even_for_a_moment(
    run: Run, receiver: Receiver, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """What another thread prints just then would be in it."""
    receiver.answer(200, *[503] * 9)
    report = tmp_path / "report"
    done = run(f"{COMMON}\nclosed = {closed!r}\n{FILES}", REPORT=str(report), catch_up=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    kinds = {name.rpartition(".")[2] for name in found}
    assert {"ledger", "lock", "tmp", "jsonl"} <= kinds, found
    assert min(found.values()) > 2, found


SIDE_BY_SIDE = """
import threading
from getpatter.calls.private_file import PrivateFile
for number in closed:
    os.close(number)
opened, numbers = os.open, set()
def noted(path, flags, *more, **named):
    number = opened(path, flags, *more, **named)
    if flags & os.O_RDWR:
        numbers.add(number)
    return number
os.open = noted
sys.setswitchinterval(1e-6)
def use(name):
    for _ in range(500):
        with PrivateFile(name):
            pass
threads = [threading.Thread(target=use, args=(f"{number}.jsonl",)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with open(os.environ["REPORT"], "w") as report:
    json.dump(sorted(numbers), report)
"""


def test_files_that_threads_open_side_by_side_are_no_standard_streams_either(
    run: Run, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    done = run(f"{COMMON}\nclosed = (0, 1)\n{SIDE_BY_SIDE}", REPORT=str(report))
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found
    assert min(found) > 2, found


TAKEN = """
def take():
    \"\"\"As a recipe for daemons does it; then the host opens things of its own.\"\"\"
    os.closerange(3, 512)
    pairs = [socket.socketpair() for _ in range(24)]
    for one, other in pairs:
        one.setblocking(False), other.setblocking(False)
        one.send(b"host"), other.send(b"host")
    return pairs

def check(pairs):
    \"\"\"Everything of the host's is still there, unread, and nothing was written to it.\"\"\"
    for pair in pairs:
        for one in pair:
            assert one.recv(100) == b"host", one
            try:
                more = one.recv(100)
            except BlockingIOError:
                continue
            raise AssertionError(more)
"""

ACTIONS = {
    "send": """
transport = HttpTransport(endpoint)
assert transport.send(batch, 0.0).status == 200
pairs = take()
assert transport.send(batch, 0.0).status == 200
transport.close()
check(pairs)
""",
    "close": """
transport = HttpTransport(endpoint)
assert transport.send(batch, 0.0).status == 200
pairs = take()
transport.close()
check(pairs)
""",
    "finaliser": """
transport = HttpTransport(endpoint)
assert transport.send(batch, 0.0).status == 200
pairs = take()
del transport
gc.collect()
check(pairs)
""",
    "in flight": """
transport = HttpTransport(endpoint)
answers = []
thread = threading.Thread(target=lambda: answers.append(transport.send(batch, 0.0).status))
thread.start()
sys.stdin.read(1)  # the collector has the request, and holds its answer
pairs = take()
print("taken", flush=True)
thread.join(30)
assert answers == [None], answers
check(pairs)
assert transport.send(batch, 0.0).status == 200
""",
    "webhook": """
class One:
    def as_dict(self):
        return {"type": "x"}
sink = WebhookSink(endpoint, "secret")
assert sink.write([One()]) is None
pairs = take()
assert sink.write([One()]) is None
sink.close()
check(pairs)
""",
}


@pytest.fixture
def collector(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorder]:
    """A collector with http or https; `authority.pem` is who certifies it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with recording(context if request.param == "https" else None) as running:
        yield running


SCHEMES = pytest.mark.parametrize("collector", ["http", "https"], indirect=True)


@SCHEMES
@pytest.mark.parametrize("action", ["send", "close", "finaliser", "webhook"])
def test_what_the_host_opens_under_our_numbers_is_not_touched(
    run: Run, collector: Recorder, tmp_path: Path, action: str
) -> None:
    done = run(
        COMMON + TAKEN + ACTIONS[action],
        PATTER_TELEMETRY_ENDPOINT=f"{collector.url}/v1/ingest",
        REQUESTS_CA_BUNDLE=str(tmp_path / "authority.pem"),
    )
    assert done.returncode == 0, done.stderr
    assert len(collector.requests) == (2 if action in {"send", "webhook"} else 1)


@SCHEMES
def test_what_the_host_opens_during_a_request_is_not_read(
    child_environment: dict[str, str], collector: Recorder, tmp_path: Path
) -> None:
    collector.may_answer.clear()
    variables = {
        "PATTER_TELEMETRY_ENDPOINT": f"{collector.url}/v1/ingest",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "authority.pem"),
    }
    with subprocess.Popen(
        [sys.executable, "-c", COMMON + TAKEN + ACTIONS["in flight"]],
        env={**child_environment, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        collector.wait_for(1)
        assert host.stdin is not None
        assert host.stdout is not None
        host.stdin.write("x")
        host.stdin.close()
        assert host.stdout.readline() == "taken\n"
        collector.may_answer.set()
        assert host.wait(60) == 0
    assert len(collector.requests) == 2
