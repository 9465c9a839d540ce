"""The transport by itself, over real sockets: the ways to a collector, its answers, and erasing."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from recorder import Recorder, listening, recording

from getpatter.telemetry.delivery.batch import Batch, Response
from getpatter.telemetry.delivery.transport import HttpTransport, erase
from getpatter.telemetry.testing import Receiver

KEY = "0123456789abcdef" * 2
INSTALL = "f" * 32
TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TRUST, *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector() -> Iterator[Recorder]:
    with recording() as running:
        yield running


def batch() -> Batch:
    return Batch([{"event": "x"}], KEY, 0.0, {})


def send(endpoint: str) -> Response:
    with closing(HttpTransport(endpoint)) as transport:
        return transport.send(batch(), 0.0)


def answer_to(collector: Recorder, answer: bytes) -> Response:
    collector.answers = [answer]
    return send(f"{collector.url}/v1/ingest")


# answers


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("1", 1),
        ("64", 64),
        ("511", 511),
        ("512", 512),
        ("513", 512),
        ("1000", 512),
        ("10000", 512),
        ("0064", None),
        ("9" * 30, 512),
        ("0", None),
        ("000", None),
        ("", None),
        ("-64", None),
        ("+64", None),
        ("64.0", None),
        ("6_4", None),
        ("٦٤", None),
        ("many", None),
    ],
)
def test_how_many_events_a_collector_takes(
    collector: Recorder, said: str, understood: int | None
) -> None:
    head = f"HTTP/1.1 200 OK\r\nPatter-Max-Events: {said}\r\nContent-Length: 0\r\n\r\n"
    assert answer_to(collector, head.encode()).max_events == understood


def test_a_receiver_says_it_if_it_is_told_to() -> None:
    with Receiver(max_events=300) as receiver:
        assert send(receiver.endpoint).max_events == 300
    with Receiver() as receiver:
        assert send(receiver.endpoint).max_events is None


REFUSED = b'{"refused": [{"index": 3}]}'


@pytest.mark.parametrize(
    ("answer", "status", "refused"),
    [
        (b"HTTP/1.1 200\r\n\r\n" + REFUSED, 200, [3]),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 27\r\n\r\n" + REFUSED, 200, [3]),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + REFUSED, 200, [3]),
        (b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 202 OK\r\n\r\n", 202, []),
        (b"HTTP/1.1 200 OK\nContent-Length: 27\n\n" + REFUSED, 200, [3]),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"a;x=y\r\n" + REFUSED[:10] + b"\r\n11\r\n" + REFUSED[10:] + b"\r\n0\r\nT: x\r\n\r\n",
            200,
            [3],
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, []),
        (b"HTTP/1.1 200 OK\r\nno header\r\n folded\r\n\r\n" + REFUSED, 200, [3]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", 200, []),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000, 200, []),
        # No answer is better than one that is not whole: the batch is sent again, under its key.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + REFUSED, None, []),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", None, []),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n", None, []),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", None, []),
        # But a refusal counts without its body.
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 28\r\n\r\n", 503, []),
        (b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 429, []),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", None, []),
        (b"HTTP/2 200 OK\r\n\r\n", None, []),
        (b"HTTP/1.1 99 What\r\n\r\n", None, []),
        (b"HTTP/1.1 2000 OK\r\n\r\n", None, []),
        (b"SSH-2.0-OpenSSH_9.6\r\n", None, []),
        (b"\x15\x03\x01\x00\x02\x02\x16", None, []),
        (b"", None, []),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 30_000, None, []),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, None, []),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_answer_is_read_as_far_as_it_is_one(
    answer: bytes, status: int | None, refused: list[int]
) -> None:
    def handle(client: socket.socket) -> None:
        client.recv(65_536)
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        client.recv(1)

    with listening(handle) as port:
        found = send(f"http://127.0.0.1:{port}/v1/ingest")
    assert (found.status, list(found.refused)) == (status, refused)


def test_a_connection_is_kept_while_it_is_in_order(collector: Recorder) -> None:
    closing_one = b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}"
    too_much = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n"
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with closing(HttpTransport(f"{collector.url}/v1/ingest")) as transport:
        found = []
        for answer in (ok, ok, closing_one, ok, old, ok, too_much, ok, ok):
            collector.answers = [answer]
            assert transport.send(batch(), 0.0).status == 200
            found.append(collector.connections)
    assert found == [1, 1, 1, 2, 2, 3, 3, 4, 4]


def test_an_idle_connection_that_the_collector_has_closed_costs_no_try() -> None:
    gone: list[socket.socket] = []

    def handle(client: socket.socket) -> None:
        client.recv(65_536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        gone.append(client)

    with (
        listening(handle) as port,
        closing(HttpTransport(f"http://127.0.0.1:{port}/v1/ingest")) as transport,
    ):
        for number in range(1, 4):
            assert transport.send(batch(), 0.0).status == 200
            while len(gone) < number or gone[-1].fileno() != -1:
                os.sched_yield()


@pytest.mark.parametrize("rate", ["1.0\r\nX-Evil: 1", "1.0\n", "é"])
def test_a_header_cannot_be_made_two(collector: Recorder, rate: str) -> None:
    """As a file in the spool that somebody has changed might try."""
    changed = Batch([{"event": "x"}], rate, 0.0, {})
    with closing(HttpTransport(f"{collector.url}/v1/ingest")) as transport:
        assert transport.send(changed, 0.0).status is None
    assert collector.requests == []


# erasing


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/ingest", f"/v1/installs/{INSTALL}"),
        ("/prefix/v1/ingest", f"/prefix/v1/installs/{INSTALL}"),
        ("/a/b%20c/v1/ingest", f"/a/b%20c/v1/installs/{INSTALL}"),
        ("/v1/ingest/", f"/v1/ingest/installs/{INSTALL}"),
        ("/ingest", f"/installs/{INSTALL}"),
        ("/", f"/installs/{INSTALL}"),
        ("", f"/installs/{INSTALL}"),
        ("/v1/ingest?tenant=7", f"/v1/installs/{INSTALL}?tenant=7"),
        ("/v1/ingest#part", f"/v1/installs/{INSTALL}"),
    ],
)
def test_the_last_segment_of_the_endpoint_is_replaced(
    collector: Recorder, path: str, asked: str
) -> None:
    collector.answers = [b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"receipt": "r"}']
    assert erase(collector.url + path, INSTALL, "1") == (200, "r")
    (request,) = collector.requests
    assert request.startswith(f"DELETE {asked} HTTP/1.1\r\n".encode())


def test_a_receiver_erases_under_a_prefix(receiver: Receiver) -> None:
    endpoint = receiver.endpoint.replace("/v1/", "/some/prefix/v1/")
    assert send(endpoint).status == 200
    status, receipt = erase(endpoint, INSTALL, "1")
    assert (status, bool(receipt)) == (200, True)
    path = urlsplit(receiver.requests[-1].path).path
    assert path == f"/some/prefix/v1/installs/{INSTALL}"
