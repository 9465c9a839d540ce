"""What travels to a collector, and what its answers do: real HTTP over loopback."""

import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import Run
from in_process import client as make_client
from in_process import count, environment

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.testing import Answer, Receiver

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# What HTTP itself needs, and what the contract names.
ALLOWED_HEADERS = {
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "patter-batch-age",
    "patter-client-report",
    "patter-sample-rate",
    "user-agent",
}

RECORD_ONE = """
from getpatter.telemetry import TelemetryClient
import json
client = TelemetryClient(sdk_version="1.2.3")
client.record("cli_command", cli_command="demo")
client.flush(5)
print(json.dumps(client.stats()))
"""


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def client(tmp_path: Path, receiver: Receiver) -> Iterator[TelemetryClient]:
    with closing(make_client(tmp_path, receiver.endpoint)) as made:
        yield made


def send(client: TelemetryClient, *numbers: int) -> None:
    """Record one event for each number, and deliver them."""
    for number in numbers:
        client.record("agent_configured", builtin_tool_count=number)
    assert client.flush(15)


def numbers(receiver: Receiver) -> list[int]:
    return [event["builtin_tool_count"] for event in receiver.events]


# batches


def test_batches_hold_at_most_64_events_and_keep_the_order(
    client: TelemetryClient, receiver: Receiver
) -> None:
    send(client, *range(300))
    sizes = [len(request.events) for request in receiver.requests]
    assert numbers(receiver) == list(range(300))
    assert max(sizes) == 64
    assert len({request.idempotency_key for request in receiver.requests}) == len(sizes)


def test_a_batch_leaves_by_itself_before_anybody_asks(
    client: TelemetryClient, receiver: Receiver
) -> None:
    client.record("agent_configured", builtin_tool_count=1)
    assert [event["event"] for event in receiver.wait_for(1, timeout=60)] == ["agent_configured"]


def test_a_burst_beyond_every_bound_loses_the_oldest_and_accounts_for_all(
    client: TelemetryClient, receiver: Receiver
) -> None:
    let_go = threading.Event()

    def hold(_: object) -> None:
        assert let_go.wait(10)

    receiver.answer(hold)
    for number in range(4_000):
        client.record("agent_configured", builtin_tool_count=number % 1_000)
    let_go.set()
    assert client.flush(10)
    stats = client.stats()
    assert count(stats) == 4_000
    assert stats["delivered"] == len(receiver.events)
    lost = stats["lost"]
    assert isinstance(lost, dict)
    # 2,000 at once, and 100 a second from then on, of which this took a few at most.
    assert 1_500 <= lost["agent_configured"]["rate_limit"] <= 2_000
    assert set(lost["agent_configured"]) <= {"rate_limit", "queue_full", "spool_full"}
    send(client, 7)
    # All that was lost has been reported, once.
    assert sum(receiver.losses.values()) == 4_001 - len(receiver.events)


# the request


def test_the_headers_are_those_of_the_contract_and_no_others(
    run: Run, receiver: Receiver, home: Path
) -> None:
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login canary-login password canary-password\n")
    netrc.chmod(0o600)
    done = run(
        RECORD_ONE,
        PATTER_TELEMETRY_ENDPOINT=receiver.endpoint.replace("//", "//canary-user:canary-secret@"),
        PATTER_TELEMETRY_SAMPLE="0.25",
    )
    assert json.loads(done.stdout)["delivered"] == 1
    (request,) = receiver.requests
    assert request.method == "POST"
    assert request.path == "/v1/ingest"
    assert {name.lower() for name in request.headers} <= ALLOWED_HEADERS
    assert "canary" not in str(request.headers)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == "getpatter/1.2.3"
    assert len(request.idempotency_key or "") == 32
    assert set(request.idempotency_key or "") <= set("0123456789abcdef")
    assert request.batch_age in range(60)
    assert request.sample_rate == 0.25
    assert request.headers["Patter-Client-Report"] is None
    assert request.headers["Content-Encoding"] is None


def test_a_version_that_is_none_of_ours_is_not_in_the_user_agent(
    tmp_path: Path, receiver: Receiver
) -> None:
    made = TelemetryClient(
        sdk_version="My Company/9", environ=environment(tmp_path, receiver.endpoint)
    )
    with closing(made) as client:
        send(client, 1)
    assert receiver.requests[0].headers["User-Agent"] == "getpatter/0"
    assert receiver.events[0]["sdk_version"] == "0"


def test_a_cookie_is_not_sent_back(client: TelemetryClient, receiver: Receiver) -> None:
    receiver.answer(Answer(200, headers={"Set-Cookie": "who=you; Path=/"}))
    send(client, 1)
    send(client, 2)
    assert [request.headers["Cookie"] for request in receiver.requests] == [None, None]


def test_gzip_only_after_the_collector_has_offered_it(
    client: TelemetryClient, receiver: Receiver
) -> None:
    offers = ["br, gzip;q=0.5", "gzip;q=0", "gzip", "identity"]
    for offer in offers:
        receiver.answer(Answer(200, headers={"Accept-Encoding": offer}))
    for number in range(5):
        send(client, number)
    encodings = [request.headers["Content-Encoding"] for request in receiver.requests]
    assert encodings == [None, "gzip", None, "gzip", None]
    assert json.loads(gzip.decompress(receiver.requests[1].body))[0]["builtin_tool_count"] == 1
    assert numbers(receiver) == list(range(5))


def test_what_was_lost_is_reported_once_with_the_next_batch(
    client: TelemetryClient, receiver: Receiver
) -> None:
    client.record("no_such_event")
    client.record("call_started", carrier="twilio", latency_ms=5, duration_seconds=float("nan"))
    assert client.flush(5)
    send(client, 1)
    first, second = receiver.requests
    assert first.client_report == {
        ("unknown", "unknown_event"): 1,
        ("call_started", "bad_dimension"): 2,
    }
    assert second.client_report == {}


# answers


def test_a_retry_says_the_same_under_the_same_key(
    client: TelemetryClient, receiver: Receiver
) -> None:
    receiver.answer(503)
    client.record("no_such_event")
    send(client, 1)
    first, second = receiver.requests
    assert (first.status, second.status) == (503, 200)
    assert first.idempotency_key == second.idempotency_key
    assert first.events == second.events
    assert first.client_report == second.client_report == {("unknown", "unknown_event"): 1}
    assert numbers(receiver) == [1]
    assert client.stats() == {
        "delivered": 1,
        "waiting": 0,
        "spooled": 0,
        "lost": {"unknown": {"unknown_event": 1}},
    }


def test_an_answer_that_got_lost_counts_nothing_twice(
    client: TelemetryClient, receiver: Receiver
) -> None:
    receiver.answer(Answer(200, close=True))
    send(client, 7)
    assert len(receiver.requests) == 2
    assert numbers(receiver) == [7]
    assert client.stats()["delivered"] == 1


def test_refused_rows_are_counted_and_the_rest_is_delivered(
    client: TelemetryClient, receiver: Receiver
) -> None:
    said = {"accepted": 2, "refused": [{"index": 1, "pointer": "/carrier", "rule": "enum"}]}
    receiver.answer(Answer(200, body=json.dumps(said).encode()))
    send(client, 0, 1, 2)
    assert client.stats() == {
        "delivered": 2,
        "waiting": 0,
        "spooled": 0,
        "lost": {"agent_configured": {"rejected": 1}},
    }
    send(client, 3)
    assert receiver.requests[-1].client_report == {("agent_configured", "rejected"): 1}


@pytest.mark.parametrize(
    "body",
    [b"", b"thanks", b"[]", b'{"refused": 3}', b'{"refused": [{"index": "0"}]}', b"9" * 9_999],
)
def test_any_2xx_means_all_taken_whatever_it_says(
    client: TelemetryClient, receiver: Receiver, body: bytes
) -> None:
    receiver.answer(Answer(202, body=body))
    send(client, 1, 2)
    assert client.stats() == {"delivered": 2, "waiting": 0, "spooled": 0, "lost": {}}


def test_a_batch_that_is_too_large_is_halved_under_new_keys(
    client: TelemetryClient, receiver: Receiver
) -> None:
    receiver.answer(413)
    send(client, *range(5))
    assert [len(request.events) for request in receiver.requests] == [5, 2, 3]
    assert len({request.idempotency_key for request in receiver.requests}) == 3
    assert numbers(receiver) == list(range(5))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(
    client: TelemetryClient, receiver: Receiver, status: int
) -> None:
    with Receiver() as elsewhere:
        receiver.answer(Answer(status, headers={"Location": elsewhere.endpoint}))
        client.record("agent_configured", builtin_tool_count=1)
        assert not client.flush(15)  # it does not wait for the breaker
        assert elsewhere.requests == []
    assert len(receiver.requests) == 1
    assert client.stats() == {"delivered": 0, "waiting": 0, "spooled": 1, "lost": {}}


def test_a_redirect_to_nonsense_is_not_followed_either(
    client: TelemetryClient, receiver: Receiver
) -> None:
    receiver.answer(Answer(302, headers={"Location": "http://[oops"}))
    client.record("agent_configured", builtin_tool_count=1)
    assert not client.flush(15)
    assert len(receiver.requests) == 1
    assert client.stats() == {"delivered": 0, "waiting": 0, "spooled": 1, "lost": {}}


@pytest.mark.parametrize("status", [200, 302])
def test_an_answer_without_end_is_not_read_to_its_end(tmp_path: Path, status: int) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        head = f"HTTP/1.1 {status} Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(64):  # 64 MiB, if anybody reads them
            connection.sendall(b"x" * 1_048_576)

    with serving(answer) as (port, ended):
        with closing(make_client(tmp_path, f"http://127.0.0.1:{port}/v1/ingest")) as client:
            client.record("cli_command", cli_command="demo")
            assert client.flush(10) == (status == 200)
        assert isinstance(ended(), OSError)


# endpoints


@pytest.mark.parametrize(
    "endpoint",
    [
        "not a url",
        "127.0.0.1:8080/v1/ingest",
        "localhost:8080/v1/ingest",
        "//127.0.0.1/v1/ingest",
        "ftp://127.0.0.1/v1/ingest",
        "file:///v1/ingest",
        "http:///v1/ingest",
        "https://",
        "https://exa mple/v1/ingest",
        "https://[::1/v1/ingest",
        "https://telemetry.example:99999/v1/ingest",
        "http://127.0.0.1:0/v1/ingest",
        "https://telemetry..example/v1/ingest",
        f"https://{'a' * 64}.example/v1/ingest",
        "http://telemetry.example/v1/ingest",
        "http://192.0.2.1/v1/ingest",
        "http://0.0.0.0/v1/ingest",
        "http://127.0.0.1@telemetry.example/v1/ingest",
        "http://127.0.0.1.telemetry.example/v1/ingest",
        "http://localhost.telemetry.example/v1/ingest",
    ],
)
def test_an_unusable_endpoint_sends_nothing_anywhere(run: Run, endpoint: str) -> None:
    watch = """
import sys
def refuse(event, args):
    if event.startswith("socket."):
        print("network:", event, args)
sys.addaudithook(refuse)
"""
    done = run(watch + RECORD_ONE, PATTER_TELEMETRY_ENDPOINT=endpoint)
    assert json.loads(done.stdout) == {
        "delivered": 0,
        "waiting": 0,
        "spooled": 0,
        "lost": {"cli_command": {"endpoint_invalid": 1}},
    }


def test_an_endpoint_that_is_no_text_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    made = TelemetryClient(
        sdk_version="1",
        endpoint=b"http://127.0.0.1/",  # type: ignore[arg-type]
        environ=environment(tmp_path, receiver.endpoint),
    )
    with closing(made) as client:
        client.record("cli_command", cli_command="demo")
        assert client.flush(5)
    assert client.stats()["lost"] == {"cli_command": {"endpoint_invalid": 1}}
    assert receiver.requests == []


def test_the_argument_wins_over_the_environment(run: Run, receiver: Receiver) -> None:
    with Receiver() as named:
        code = RECORD_ONE.replace('"1.2.3"', f'"1.2.3", endpoint="{named.endpoint}"')
        assert json.loads(run(code).stdout)["delivered"] == 1
        assert len(named.events) == 1
    assert receiver.requests == []


# proxies


def test_the_default_endpoint_is_reached_through_the_proxy_of_the_environment(
    run: Run, tmp_path: Path
) -> None:
    # An install that has seen the notice long ago, so that nothing is held back.
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "notice").write_text("8 0")
    first_lines = []

    def answer(connection: socket.socket) -> None:
        first_lines.append(connection.recv(65_536).split(b"\r\n")[0])
        connection.sendall(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")

    with serving(answer) as (port, ended):
        proxy = f"http://127.0.0.1:{port}"
        run(
            RECORD_ONE.replace("flush(5)", "flush(2)"),
            PATTER_TELEMETRY_ENDPOINT="",
            HTTPS_PROXY=proxy,
            PATTER_TELEMETRY_STATE_DIR=str(state),
        )
        assert ended() is None
    (first_line,) = first_lines
    assert first_line.startswith(b"CONNECT telemetry.getpatter.com:443 ")


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_nothing_to_this_machine_passes_a_proxy(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Receiver() as proxy:
        monkeypatch.setenv(name, proxy.endpoint.removesuffix("/v1/ingest"))
        with closing(make_client(tmp_path, receiver.endpoint)) as client:
            send(client, 1)
        assert proxy.requests == []
    assert numbers(receiver) == [1]


# a collector that is down


def test_a_collector_that_is_down_loses_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with closing(make_client(tmp_path, f"http://127.0.0.1:{port}/v1/ingest")) as client:
        client.record("cli_command", cli_command="demo")
        assert not client.flush(0.5)
        assert client.stats() == {"delivered": 0, "waiting": 0, "spooled": 1, "lost": {}}
        client.record("cli_command", cli_command="demo")
        assert not client.close(0)
        assert client.stats() == {"delivered": 0, "waiting": 0, "spooled": 2, "lost": {}}
        client.record("cli_command", cli_command="demo")
        assert client.stats()["lost"] == {"cli_command": {"shutdown": 1}}


def test_while_a_collector_rests_what_is_recorded_is_on_disk_within_a_second(
    client: TelemetryClient, receiver: Receiver
) -> None:
    receiver.answer(Answer(503, headers={"Retry-After": "50"}))
    for recorded in range(1, 4):
        client.record("cli_command", cli_command="demo")
        until = time.monotonic() + 10  # it rests for fifty
        while client.stats()["spooled"] != recorded:
            assert time.monotonic() < until
            os.sched_yield()
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("can_store", [True, False], ids=["disk", "no disk"])
def test_a_collector_that_is_down_fills_no_memory(tmp_path: Path, *, can_store: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}/v1/ingest"
    environ = environment(tmp_path, endpoint)
    if not can_store:
        (Path(environ["PATTER_TELEMETRY_STATE_DIR"]) / "spool").write_text("not a directory")
    client = TelemetryClient(sdk_version="1.2.3", environ=environ, rate_limit=(10_000, 0))
    with closing(client):
        client.record("agent_configured", builtin_tool_count=0)
        client.flush(5)  # from here on the collector is known to be down
        most = 0
        for number in range(1, 6_000):
            client.record("agent_configured", builtin_tool_count=number % 1_000)
            if number % 50 == 0:
                client.flush(0.01)
            waiting = client.stats()["waiting"]
            assert isinstance(waiting, int)
            most = max(most, waiting)
        # The buffer, and a batch each in flight, behind it, on its way to the disk, and seen twice
        # while it leaves the buffer, which fills again.
        assert most <= 1_000 + 4 * 64
        assert count(client.stats()) == 6_000


def test_close_during_a_request_keeps_what_that_request_does_not_deliver(
    client: TelemetryClient, receiver: Receiver
) -> None:
    arrived, let_go = threading.Event(), threading.Event()

    def hold(_: object) -> int:
        arrived.set()
        assert let_go.wait(10)
        return 503

    receiver.answer(hold)
    client.record("cli_command", cli_command="demo")
    client.flush_pending()
    assert arrived.wait(10)
    assert not client.close(0)
    let_go.set()
    assert client.stats() == {"delivered": 0, "waiting": 0, "spooled": 1, "lost": {}}


@contextmanager
def serving(
    answer: Callable[[socket.socket], None],
) -> Iterator[tuple[int, Callable[[], OSError | None]]]:
    """A server of one connection: its port, and a function that waits for its end."""
    problem: list[OSError] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    answer(connection)
            except OSError as error:
                problem.append(error)

        thread = threading.Thread(target=serve)
        thread.start()

        def ended() -> OSError | None:
            thread.join(20)
            assert not thread.is_alive()
            return problem[0] if problem else None

        yield listener.getsockname()[1], ended
