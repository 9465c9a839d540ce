"""What a webhook sends and reads, byte by byte: as careful as telemetry, by the same HTTP."""

import contextlib
import socket
from collections.abc import Iterator

import pytest
import requests
from recorder import Recorder, listening, read_request, recording

from getpatter.calls import Event, EventsLost, WebhookSink
from getpatter.calls.sinks.signature import HEADER

LONG = 60.0
SECRET = "an invented secret"


@pytest.fixture
def receiver() -> Iterator[Recorder]:
    with recording() as running:
        yield running


def event(number: int) -> Event:
    return Event("event", "mine", "node", 1_700_000_000_000_000 + number, number, {})


def hook(receiver: Recorder) -> WebhookSink:
    return WebhookSink(f"{receiver.url}/hook", SECRET, timeout=LONG, first_pause=0.001)


def test_only_the_headers_of_the_page_are_sent(
    receiver: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever wraps the library that the host uses for its own requests."""
    monkeypatch.setattr(requests.sessions, "default_headers", lambda: {"X-Host": "canary"})
    url = receiver.url.replace("//", "//user:canary@")
    assert WebhookSink(f"{url}/hook", SECRET).write([event(0)]) is None
    (request,) = receiver.requests
    assert b"canary" not in request
    first, *lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert first == "POST /hook HTTP/1.1"
    assert [line.partition(":")[0] for line in lines] == [
        *("Host", "Accept-Encoding", "Content-Length", "User-Agent", "Content-Type"),
        *("Idempotency-Key", HEADER),
    ]


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "503 Busy"])
def test_a_cookie_of_the_receivers_is_not_sent_back(receiver: Recorder, status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nSet-Cookie: who=you; Path=/\r\nLocation: {receiver.url}\r\n"
    receiver.answers = [f"{answer}Content-Length: 0\r\n\r\n".encode()]
    sink = hook(receiver)
    with contextlib.suppress(EventsLost):
        sink.write([event(0)])
    assert sink.write([event(0)]) is None
    assert len(receiver.requests) == 2
    assert b"cookie" not in b"".join(receiver.requests).lower()


@pytest.mark.parametrize(
    ("head", "piece", "outcome"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x" * 1_048_576, "302"),
        (b"HTTP/1.1 400 No\r\n\r\n", b"x" * 1_048_576, "400"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_048_576, None),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100_000, "not reached"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "not reached"),
    ],
)
def test_an_answer_without_end_is_not_read_to_its_end(
    head: bytes, piece: bytes, outcome: str | None
) -> None:
    sent: list[int] = []

    def answer(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        for _ in range(64):  # 64 MiB, if anybody reads them
            connection.sendall(piece)
            sent.append(len(piece))

    with listening(answer) as port:
        sink = WebhookSink(f"http://127.0.0.1:{port}/hook", SECRET, timeout=LONG, attempts=1)
        if outcome is None:
            assert sink.write([event(0)]) is None
        else:
            with pytest.raises(EventsLost, match=outcome):
                sink.write([event(0)])
    assert len(sent) < 64


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_a_webhook_to_this_machine_passes_no_proxy(
    receiver: Recorder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert hook(receiver).write([event(0)]) is None


def test_plain_http_to_another_machine_is_forwarded_by_the_proxy(
    receiver: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        heads.append(read_request(connection).partition(b"\r\n\r\n")[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with listening(proxy) as port:
        monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{port}")
        sink = WebhookSink("http://collector.example:8080/hook?a=b", SECRET, allow_http=True)
        assert sink.write([event(0)]) is None
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"POST http://collector.example:8080/hook?a=b HTTP/1.1"
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in lines
    assert receiver.requests == []
