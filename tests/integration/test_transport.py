"""The transport by itself, over real sockets: the ways to a collector, its answers, and erasing."""

import base64
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from recorder import Recorder, join, listening, recording

from getpatter.telemetry.delivery import Answer, Batch
from getpatter.telemetry.testing import Receiver
from getpatter.telemetry.transport import HttpTransport, erase

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


def send(endpoint: str) -> Answer:
    with closing(HttpTransport(endpoint)) as transport:
        return transport.send(batch(), 0.0)


def answer_to(collector: Recorder, answer: bytes) -> Answer:
    collector.answers = [answer]
    return send(f"{collector.url}/v1/ingest")


# certificates and proxies


@contextmanager
def secure(authority: trustme.CA, name: str) -> Iterator[Recorder]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with recording(context) as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return made


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
    with secure(authority, "127.0.0.1") as collector:
        with closing(HttpTransport(f"{collector.url}/v1/ingest")) as transport:
            large = Batch([{"event": "x" * 1_000}] * 1_000, KEY, 0.0, {})
            assert [transport.send(one, 0.0).status for one in (batch(), large)] == [200, 200]
        assert collector.connections == 1
        assert len(collector.requests[1]) > 1_000_000


@pytest.mark.parametrize("name", ["127.0.0.2", "collector.example"])
def test_a_certificate_for_another_host_is_not(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    with secure(authority, name) as collector:
        assert send(f"{collector.url}/v1/ingest").status is None
        assert collector.requests == []


@pytest.mark.parametrize("bundle", ["", "missing.pem", "empty.pem", "other.pem"])
def test_nor_is_one_that_nobody_vouches_for(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    (tmp_path / "empty.pem").touch()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / bundle) if bundle else "")
    with secure(authority, "127.0.0.1") as collector:
        assert send(f"{collector.url}/v1/ingest").status is None
        assert collector.requests == []


def connect_proxy(
    target: int, heads: list[bytes], answer: bytes = b""
) -> Callable[[socket.socket], None]:
    """A proxy that leads to a port of this machine, whatever it is asked for."""

    def handle(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(1)):
            head += data
        heads.append(head)
        client.sendall(answer or b"HTTP/1.1 200 Connection established\r\n\r\n")
        if not answer:
            with socket.create_connection(("127.0.0.1", target)) as there:
                join(client, there)

    return handle


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("user", ["", "who:s%20cret@"])
def test_a_named_collector_is_reached_through_the_proxy(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, user: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    heads: list[bytes] = []
    with (
        secure(authority, "collector.example") as collector,
        listening(connect_proxy(collector.port, heads)) as proxy,
    ):
        monkeypatch.setenv(variable, f"http://{user}127.0.0.1:{proxy}")
        assert send("https://collector.example/v1/ingest").status == 200
    lines = ["CONNECT collector.example:443 HTTP/1.1", "Host: collector.example:443"]
    if user:
        said = base64.b64encode(b"who:s cret").decode()
        lines.append(f"Proxy-Authorization: Basic {said}")
    assert heads == ["\r\n".join((*lines, "", "")).encode()]
    (request,) = collector.requests
    assert request.startswith(b"POST /v1/ingest HTTP/1.1\r\nHost: collector.example\r\n")
    assert b"Proxy" not in request


def test_a_proxy_may_be_asked_over_tls(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    heads: list[bytes] = []
    with secure(authority, "collector.example") as collector:
        plain = connect_proxy(collector.port, heads)
        with listening(plain) as inner:

            def handle(client: socket.socket) -> None:
                with (
                    context.wrap_socket(client, server_side=True) as secured,
                    socket.create_connection(("127.0.0.1", inner)) as there,
                ):
                    join(secured, there)

            with listening(handle) as proxy:
                monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy}")
                assert send("https://collector.example/v1/ingest").status == 200
        assert len(collector.requests) == len(heads) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"nothing of the kind\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000 + b"\r\n",
    ],
    ids=["refused", "redirected", "nonsense", "without end"],
)
def test_without_the_proxy_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, collector: Recorder, answer: bytes
) -> None:
    with listening(connect_proxy(collector.port, [], answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        assert send("https://collector.example/v1/ingest").status is None
    assert collector.requests == []


@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
def test_a_socks_proxy_leads_there_too(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    asked: list[bytes] = []
    with secure(authority, "localhost.example") as collector:

        def handle(client: socket.socket) -> None:
            client.recv(16)
            client.sendall(b"\x05\x00")
            asked.append(client.recv(300))
            client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x09")
            with socket.create_connection(("127.0.0.1", collector.port)) as there:
                join(client, there)

        with listening(handle) as proxy:
            monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{proxy}")
            name = "localhost.example" if scheme == "socks5h" else "192.0.2.1"
            status = send(f"https://{name}/v1/ingest").status
        # The certificate is for the name.
        assert status == (200 if scheme == "socks5h" else None)
    (request,) = asked
    assert (b"localhost.example" in request) == (scheme == "socks5h")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_proxy_is_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, collector: Recorder, host: str, scheme: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, collector.url)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert send(f"{scheme}://{host}:{port}/v1/ingest").status is None
    assert collector.requests == []
    assert collector.connections == 0


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
